"""Writes made-up data for the recipes multi-label and regression; needs nothing but Python.

    python3 host/recipes/row-tasks/generate.py DIR

DIR gets tickets-train.jsonl and tickets-test.jsonl (letters to a shop, with the topics that they touch, none to three: `text`,
`labels`) and reviews-train.jsonl and reviews-test.jsonl (reviews of what was bought, with the stars that their writer would
give, 1 to 5 in quarters: `text`, `stars`). The same bytes come out each time. No text stands
twice, and of the phrases of a topic a third stand in the test rows only.
"""

import json
import random
import sys
from pathlib import Path

TOPICS = {
    "delivery": [
        "the parcel has been on its way for {n} days", "nobody rang and the driver left again",
        "the box arrived at the neighbours'", "tracking still says that it has not left your store",
        "I was at home all day and no courier came", "it was sent to my old street",
    ],
    "payment": [
        "my card was charged {n} times", "the voucher was not taken off the bill", "I still wait for the money back",
        "the invoice shows a sum that I never agreed to", "your page refused every bank I have",
        "I was asked to pay customs twice",
    ],
    "account": [
        "I cannot log in any more", "the mail to reset my password never comes", "please change the address that I gave",
        "somebody else's orders are in my profile", "I want all that you know of me deleted",
        "the app signs me out every {n} minutes",
    ],
    "quality": [
        "the handle broke after {n} days", "the colour came off in the wash", "two screws were missing",
        "it smells of glue and the seams are open", "one shoe is larger than the other", "the lid does not close",
    ],
    "staff": [
        "the person on the phone hung up on me", "your chat sent me the same answer {n} times",
        "the lady in the shop was very kind", "nobody could tell me who is responsible",
        "the technician explained everything with patience", "I was promised a call and none came",
    ],
}
IDLE = ["just so that you know, I like your new page", "I wish you a good week", "this is only to say hello"]

ASPECTS = {
    "sound": [(-1.0, "it hums and crackles"), (-0.5, "the bass is thin"), (0.5, "voices are clear"), (1.0, "I hear every string")],
    "build": [(-1.0, "it fell apart at once"), (-0.5, "the case feels cheap"), (0.5, "it sits well in the hand"), (1.0, "it is built like a tank")],
    "battery": [(-1.0, "it is empty before noon"), (-0.5, "it could last longer"), (0.5, "it lasts a day"), (1.0, "I charge it once a week")],
    "price": [(-1.0, "a waste of money"), (-0.5, "rather dear for what it is"), (0.5, "fair for the price"), (1.0, "a bargain")],
    "help": [(-1.0, "nobody answers at all"), (-0.5, "answers take their time"), (0.5, "questions were answered"), (1.0, "they sent a new one the same day")],
}
START = ["I have had it for {n} weeks", "bought for my father", "my second one", "as a present", "after {n} days of use"]


def filled(draw, phrase):
    return phrase.replace("{n}", str(draw.randint(2, 9)))


def ticket(draw, test):
    topics = draw.sample(sorted(TOPICS), draw.choices([0, 1, 2, 3], [1, 4, 4, 2])[0])
    parts = [filled(draw, draw.choice(TOPICS[topic] if test else TOPICS[topic][:4])) for topic in topics]
    if not parts or draw.random() < 0.2:
        parts.append(draw.choice(IDLE))
    draw.shuffle(parts)
    return {"text": ", and ".join(parts) + ".", "labels": sorted(topics)}


def review(draw, _):
    aspects = draw.sample(sorted(ASPECTS), draw.randint(1, 4))
    said = [draw.choice(ASPECTS[aspect]) for aspect in aspects]
    stars = 3 + 2 * sum(weight for weight, _ in said) / len(said) + draw.choice([-0.25, 0, 0, 0.25])
    text = ", ".join([filled(draw, draw.choice(START))] + [phrase for _, phrase in said])
    return {"text": text + ".", "stars": round(4 * min(max(stars, 1), 5)) / 4}


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for kind, make in ("tickets", ticket), ("reviews", review):
        draw = random.Random(f"{kind} 2026")
        seen = set()
        for part, count in ("train", 800), ("test", 300):
            rows = []
            while len(rows) < count:
                row = make(draw, part == "test")
                if row["text"] not in seen:
                    seen.add(row["text"])
                    rows.append(row)
            path = folder / f"{kind}-{part}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            print(f"{path}: {len(rows)} rows")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
