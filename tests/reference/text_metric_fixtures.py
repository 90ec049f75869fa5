"""Writes tests/fixtures/text-metrics.json: predictions and references, and what other programs say of them.

    python tests/reference/text_metric_fixtures.py [GSM8K.jsonl]

sacrebleu 2.6, rouge_score 0.1.2, `exact_match` of Hugging Face's evaluate and the filters of lm-evaluation-harness for
GSM8K; the last two are a few lines each and stand here as they stand there. Real pairs are GSM8K's answers, as `question` and
`answer` in its file, spoilt by hand; the others are drawn. Read by host/roles/src/builtin/texts/fixtures.rs and plugins/chrf.
"""

import json
import random
import re
import string
import sys
from pathlib import Path

import sacrebleu
from rouge_score import rouge_scorer

OUT = Path(__file__).parent.parent / "fixtures" / "text-metrics.json"
WORDS = (
    "the cat sat on a mat running runs ran relational happily happy Happiness ponies flies dies skies news outing yyy "
    "geology archaeology controlling controlled agreed feed spied tied hopping filing falling operator traditionally "
    "vietnamization 1,000 3.14 $5 e-mail U.S. don't l'été Straße ΣΟΦΟΣ İstanbul 日本語 テスト naïve coöperate ﬁne 🙂 👩‍👩‍👧 -7 "
    "10-12 (see) [x] &amp; &quot;hi&quot; &lt;b&gt; <skipped> a/b x_y ... ?! # #### 42 %"
).split(" ")
SPACES = [" ", " ", " ", " ", " ", "  ", "\n", "\t", "\u00a0", "\u2003", "\x1c", "\u200b", "-\n", ""]
ALPHABET = "ab01.,-$# \n\t'&;<>/[]{}()é日\u0301\u2028\x1f"


def text(rng, most):
    return "".join(rng.choice(WORDS) + rng.choice(SPACES) for _ in range(rng.randrange(most)))


def near(rng, text):
    """A text with some words left out, changed or doubled."""
    words = re.split(r"(\s+)", text)
    out = []
    for word in words:
        chance = rng.random()
        if chance < 0.1:
            continue
        out.append(rng.choice(WORDS) if chance < 0.2 else word)
        if chance > 0.93:
            out.append(word)
    return "".join(out)


def drawn():
    rng = random.Random(7)
    rows = [["", [""]], ["", ["a"]], ["a", [""]], [" ", ["\n"]], ["a", ["a"]], ["A b.", ["a B"]], ["the the the", ["the cat"]]]
    for _ in range(150):
        references = [text(rng, 14) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
        rows.append([near(rng, rng.choice(references)), references])
    for _ in range(60):
        noise = lambda: "".join(rng.choice(ALPHABET) for _ in range(rng.randrange(25)))
        reference = noise()
        rows.append([reference[rng.randrange(3):] + noise()[:4], [reference]])
    for word in WORDS:
        rows.append([word + "s", [word]])
    return rows


def numbers():
    rng = random.Random(9)
    rows = []
    for _ in range(120):
        value = rng.choice(["7", "-7", "1,234", "$1,234.50", "12.", "0", "3.0", "1e5", "٣", "12,", "$", "."])
        other = rng.choice([value, value.rstrip("."), value.replace(",", ""), "8"])
        shape = rng.choice(["#### {}", "It is {}", "so\n#### {}.", "#### none #### {}", "####{}", "{} of 9 #### {}", "{}", "x {} é", "#### {}\n"])
        rows.append([shape.format(other, other), [rng.choice(["a + b\n#### {}", "{}"]).format(value)]])
    return rows


def gsm8k(path):
    rng = random.Random(11)
    rows = []
    for line in path.read_text().splitlines()[:60]:
        answer = json.loads(line)["answer"]
        rows.append([near(rng, answer), [answer]])
    return rows


# evaluate/metrics/exact_match/exact_match.py, of arrays as of one pair.
def exact_match(prediction, reference, ignore_case=False, ignore_punctuation=False, ignore_numbers=False):
    if ignore_case:
        prediction, reference = prediction.lower(), reference.lower()
    if ignore_punctuation:
        table = string.punctuation.maketrans("", "", string.punctuation)
        prediction, reference = prediction.translate(table), reference.translate(table)
    if ignore_numbers:
        table = string.digits.maketrans("", "", string.digits)
        prediction, reference = prediction.translate(table), reference.translate(table)
    return float(prediction == reference)


# lm_eval/tasks/gsm8k/gsm8k.yaml, lm_eval/filters/extraction.py
def extracted(text, pattern, select):
    match = re.compile(pattern).findall(text)
    if not match:
        return "[invalid]"
    match = match[select]
    if isinstance(match, tuple):
        match = [m for m in match if m][0]
    return match.strip()


def harness(prediction, references):
    def normal(text):
        for pattern in [",", "\\$", "(?s).*#### ", "\\.$"]:
            text = re.sub(pattern, "", text)
        return text.lower()

    found = [
        extracted(prediction, r"#### (\-?[0-9\.\,]+)", 0),
        extracted(prediction, r"(-?[$0-9.,]{2,})|(-?[0-9]+)", -1),
    ]
    return [float(any(normal(number) == normal(reference) for reference in references)) for number in found]


def mean(lists):
    return [sum(column) / len(lists) for column in zip(*lists)]


def streams(rows):
    """References as sacrebleu takes them: one list for each place, None where a row has fewer."""
    most = max(len(references) for _, references in rows)
    return [[references[i] if i < len(references) else None for _, references in rows] for i in range(most)]


def main():
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data/gsm8k/test.jsonl")
    rows = {"drawn": drawn(), "numbers": numbers(), "gsm8k": gsm8k(path)}
    cases = []

    def case(name, metric, config, expected, each=False):
        cases.append({"rows": name, "metric": metric, "config": config, "expected": expected, "each": each})

    for name, some in rows.items():
        answers = [prediction for prediction, _ in some]
        for config in [
            {}, {"lowercase": True}, {"tokenize": "none"}, {"tokenize": "char"}, {"smooth_method": "none"},
            {"smooth_method": "floor"}, {"smooth_method": "floor", "smooth_value": 0.5}, {"smooth_method": "add-k"},
            {"smooth_method": "add-k", "smooth_value": 0.25},
        ]:
            bleu = sacrebleu.metrics.BLEU(**config)
            case(name, "bleu", config, [[bleu.corpus_score(answers, streams(some)).score]])
            single = [[bleu.corpus_score([p], [[r] for r in refs]).score] for p, refs in some]
            case(name, "bleu", config, single, each=True)
        for config in [{}, {"use_stemmer": True}]:
            names = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
            scorer = rouge_scorer.RougeScorer(names, **config)
            scores = [scorer.score_multi(refs, p) for p, refs in some]
            scores = [[score[n].fmeasure for n in names] for score in scores]
            case(name, "rouge", config, [mean(scores)])
            case(name, "rouge", config, scores, each=True)
        for config in [{}, {"ignore_case": True}, {"ignore_punctuation": True}, {"ignore_numbers": True},
                       {"ignore_case": True, "ignore_punctuation": True, "ignore_numbers": True}]:
            scores = [[max(exact_match(p, r, **config) for r in refs)] for p, refs in some]
            case(name, "exact-match", config, [mean(scores)])
        case(name, "gsm8k-answer", {}, [harness(p, refs) for p, refs in some], each=True)
        for config in [{}, {"word_order": 2}, {"lowercase": True}, {"whitespace": True}, {"beta": 1, "char_order": 4}, {"eps_smoothing": True}]:
            chrf = sacrebleu.metrics.CHRF(**config)
            case(name, "chrf", config, [[chrf.corpus_score(answers, streams(some)).score]])
            case(name, "chrf", config, [[chrf.corpus_score([p], [[r] for r in refs]).score] for p, refs in some], each=True)
    OUT.write_text(json.dumps({"rows": rows, "cases": cases}, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(OUT, OUT.stat().st_size)


main()
