"""Trains the recipes multi-label and regression with transformers, at equal settings.

    python tests/reference/row_tasks_transformers.py MODEL DATA [SEED...]

DATA is the folder that host/recipes/row-tasks/generate.py wrote, MODEL all-MiniLM-L6-v2. The values are those of the metrics
`multi-label` and `regression` of retune, on the test rows.
"""

import json
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

EPOCHS, BATCH, RATE, DECAY, LENGTH = 4, 16, 2e-4, 0.01, 64


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def measured(problem, logits, labels):
    if problem == "regression":
        p, t = logits[:, 0].double(), labels[:, 0].double()
        rest = ((p - t) ** 2).sum()
        dp, dt = p - p.mean(), t - t.mean()
        return {
            "rmse": (rest / len(p)).sqrt(), "mae": (p - t).abs().mean(), "r2": 1 - rest / (dt**2).sum(),
            "pearson": (dp * dt).sum() / ((dp**2).sum() * (dt**2).sum()).sqrt(),
        }
    found, held = logits >= 0, labels > 0.5
    hits, both = (found & held).sum(0), found.sum(0) + held.sum(0)
    return {
        "micro_f1": 2 * hits.sum() / both.sum(), "macro_f1": (2 * hits / both.clamp(min=1)).mean(),
        "subset_accuracy": (found == held).all(1).double().mean(), "hamming_loss": (found != held).double().mean(),
    }


def train(problem, name, base, data, seed):
    torch.manual_seed(seed)
    parts = [rows(data / f"{name}-{part}.jsonl") for part in ("train", "test")]
    topics = sorted({label for row in parts[0] for label in row.get("labels", [])})
    target = lambda row: [row["stars"]] if problem == "regression" else [float(t in row["labels"]) for t in topics]
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(topics) or 1, problem_type=problem)

    def batch(chosen):
        encoded = tokenizer([row["text"] for row in chosen], truncation=True, max_length=LENGTH, padding=True, return_tensors="pt")
        return encoded | {"labels": torch.tensor([target(row) for row in chosen])}

    groups = [
        dict(params=[p for p in model.parameters() if p.dim() > 1], weight_decay=DECAY),
        dict(params=[p for p in model.parameters() if p.dim() == 1], weight_decay=0.0),
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    per_epoch = -(-len(parts[0]) // BATCH)
    schedule = get_linear_schedule_with_warmup(optimizer, round(0.1 * EPOCHS * per_epoch), EPOCHS * per_epoch)
    model.train()
    start = time.time()
    for _ in range(EPOCHS):
        order = torch.randperm(len(parts[0])).tolist()
        for at in range(0, len(order), BATCH):
            loss = model(**batch([parts[0][i] for i in order[at : at + BATCH]])).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    seconds = time.time() - start
    model.eval()
    with torch.no_grad():
        batches = [batch(parts[1][at : at + 50]) for at in range(0, len(parts[1]), 50)]
        logits = torch.cat([model(**b).logits for b in batches])
    values = measured(problem, logits, torch.cat([b["labels"] for b in batches]))
    print(f"{name}, seed {seed}:", {k: round(float(v), 4) for k, v in values.items()}, f"{seconds:.0f} s", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    base, data = sys.argv[1], Path(sys.argv[2])
    for seed in map(int, sys.argv[3:] or ["42"]):
        train("regression", "reviews", base, data, seed)
        train("multi_label_classification", "tickets", base, data, seed)
