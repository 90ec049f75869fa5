#!/usr/bin/env python3
"""The peer of `cargo run --example language_steps`: the same steps on the same token ids in transformers.

    python3 tests/reference/language_steps.py MODEL IDS.jsonl [STEPS] [ROWS] [RATE]
    python3 tests/reference/language_steps.py --encode MODEL ROWS.jsonl IDS.jsonl

With `--encode`, rows with `question` and `answer` (GSM8K as it is published) become ids: question and a newline are the prompt,
the answer and the end token the completion, each encoded on its own without special tokens.

Rows are padded per batch, the loss is the mean over the completion, AdamW without weight decay, gradient norm 1, float32, CPU.
Prints loss, seconds, seconds of CPU time, real and padded tokens of each step, then one JSON object. Needs torch and transformers;
OMP_NUM_THREADS says how many threads.
"""

import json
import resource
import sys
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

LONGEST = 512


def encode(model, source, target):
    tokenizer = AutoTokenizer.from_pretrained(model)

    def ids(text):
        return tokenizer(text, add_special_tokens=False).input_ids

    with open(source, encoding="utf-8") as rows, open(target, "w", encoding="utf-8") as out:
        for row in map(json.loads, rows):
            completion = ids(row["answer"]) + [tokenizer.eos_token_id]
            out.write(json.dumps({"prompt": ids(row["question"] + "\n"), "completion": completion}) + "\n")


def batch(rows):
    ids = [(row["prompt"] + row["completion"])[:LONGEST] for row in rows]
    labels = [([-100] * len(row["prompt"]) + row["completion"])[:LONGEST] for row in rows]
    longest = max(map(len, ids))

    def padded(lists, value):
        return torch.tensor([row + [value] * (longest - len(row)) for row in lists])

    mask = padded([[1] * len(row) for row in ids], 0)
    return {"input_ids": padded(ids, 0), "attention_mask": mask, "labels": padded(labels, -100)}


def main():
    if sys.argv[1] == "--encode":
        return encode(*sys.argv[2:5])
    steps, count = (int(a) for a in (sys.argv[3:5] + ["10", "4"][len(sys.argv[3:5]) :]))
    rate = float(sys.argv[5]) if len(sys.argv) > 5 else 1e-4
    with open(sys.argv[2], encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    walls, cpus = [], []
    for step in range(steps):
        inputs = batch([rows[(step * count + i) % len(rows)] for i in range(count)])
        start = time.perf_counter(), time.process_time()
        loss = model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        walls.append(time.perf_counter() - start[0])
        cpus.append(time.process_time() - start[1])
        mask = inputs["attention_mask"]
        print(
            f"loss {loss.item():.5f}, {walls[-1]:.2f} s, {cpus[-1]:.2f} s of CPU time, "
            f"{int(mask.sum())} tokens of {mask.numel()} places",
            flush=True,
        )
    later = max(1, steps - 1)
    print(
        json.dumps(
            {
                "threads": torch.get_num_threads(),
                "seconds_per_step": round(sum(walls[1:]) / later, 3),
                "cpu_seconds_per_step": round(sum(cpus[1:]) / later, 3),
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
