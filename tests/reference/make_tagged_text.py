"""Writes sentences whose words are tagged as people, places and companies: the data of the recipe `token-classification`.

    python3 tests/reference/make_tagged_text.py FOLDER

Needs nothing but Python. train.jsonl (400 rows), validation.jsonl (150) and test.jsonl (600) have the columns of Hugging Face's data sets:
`tokens`, a list of words, and `tags`, as many of them. Names are made of syllables, and those of the test set are not those of the
training set, nor are half of its sentences; a name may stand for a person, a place or a company, so that the words around it
decide. One tag in twenty is drawn anew, in the training set only.
"""

import json
import pathlib
import random
import sys

STARTS = "Bar Cal Den El Far Gor Hal Is Jun Kar Lor Mar Nor Os Pel Quin Rav Sol Tor Ul Ver Wen Yor Zan".split()
ENDS = "an ara bert by dale den elle field ford gate ia in is ley mont more nova on stead ton vik wick wood".split()
FIRST = "Ada Ben Clara David Emma Felix Grace Hugo Ida Jack Karl Lena Max Nora Oscar Paul Rosa Sam Tom Vera".split()
FORMS = "Inc Ltd Group Bank Systems Foods Partners Energy".split()

TEMPLATES = [
    "{P} moved from {L} to {L} last year .",
    "{O} said on Monday that it would close its office in {L} .",
    "Shares of {O} fell after {P} resigned .",
    "{P} , who works for {O} , lives near {L} .",
    "The mayor of {L} met {P} and {P} .",
    "We flew to {L} with a manager of {O} .",
    "{P} told {P} that {O} had not paid .",
    "It rained in {L} all day .",
    "Analysts at {O} expect little growth .",
    "The train to {L} was late again .",
    "Yesterday {P} signed with {O} for three years .",
    "{O} bought a smaller rival , {O} , in May .",
    "Nobody in {L} had heard of {P} .",
    "The report was written by {P} of {L} .",
    "Prices rose by two percent in the third quarter .",
    "A spokesman for {O} declined to comment .",
]

# Of the test set only.
OTHERS = [
    "{L} is where {P} grew up .",
    "{P} left {O} to study in {L} .",
    "According to {O} , {L} was the better choice .",
    "Without {P} , {O} would not be what it is .",
    "Its rivals are {O} and {O} .",
    "{P} , {P} and {P} won the prize .",
    "Few people leave {L} for {L} .",
    "The lawyer of {P} called {O} a liar .",
    "From {L} comes news of {P} .",
    "{O} , based in {L} , hired {P} .",
    "Ask {P} or {O} about it .",
    "Both {L} and {O} were named after {P} .",
]


def pool(draw, count):
    """Stems that may become any kind of name."""
    stems = [start + end for start in STARTS for end in ENDS]
    draw.shuffle(stems)
    return stems[:count], stems[count:]


def name(kind, stems, draw):
    stem = draw.choice(stems)
    if kind == "P":
        return ([draw.choice(FIRST), stem] if draw.random() < 0.6 else [stem]), "PER"
    if kind == "O":
        return ([stem, draw.choice(FORMS)] if draw.random() < 0.5 else [stem]), "ORG"
    return ([draw.choice(["New", "North", "Upper"]), stem] if draw.random() < 0.2 else [stem]), "LOC"


def sentence(stems, draw, templates):
    tokens, tags = [], []
    for word in draw.choice(templates).split():
        if word[0] == "{":
            words, kind = name(word[1], stems, draw)
            tokens += words
            tags += ["B-" + kind] + ["I-" + kind] * (len(words) - 1)
        else:
            tokens.append(word)
            tags.append("O")
    return tokens, tags


def write(path, count, stems, draw, templates=TEMPLATES, noise=0.0):
    kinds = ["O", "B-PER", "B-LOC", "B-ORG"]
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(count):
            tokens, tags = sentence(stems, draw, templates)
            tags = [draw.choice(kinds) if draw.random() < noise else tag for tag in tags]
            file.write(json.dumps({"tokens": tokens, "tags": tags}) + "\n")


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(11)
    seen, unseen = pool(draw, 300)
    write(folder / "train.jsonl", 400, seen, draw, noise=0.05)
    write(folder / "validation.jsonl", 150, seen, draw)
    write(folder / "test.jsonl", 600, unseen, draw, TEMPLATES + OTHERS)


if __name__ == "__main__":
    main()
