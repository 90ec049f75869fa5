#!/usr/bin/env python3
"""LoRA on chats in transformers and peft: the peer of a `retune run` with the recipe `chat-lora`.

    cargo run --release -p retune-train --example row_order -- 42 7473 8 200 > order.jsonl
    python3 tests/reference/lora_steps.py MODEL train.jsonl order.jsonl OUT [STEPS] [RATE]

Rows have `question` and `answer` (GSM8K as it is published): one user turn and one assistant turn in the model's own chat
template. What the template puts behind the generation prompt is learnt, up to and with the end token of the turn. Rows are cut at
512 tokens and padded per batch; rank 16 and alpha 32 on all linear layers but the output head, no dropout; AdamW without weight decay,
gradient norm 1, a constant rate; float32, CPU. `OUT/initial` is the adapter before the first step, in PEFT's format, `OUT/adapter` the
one after the last; `OUT/losses.json` has the loss of each step.

Prints loss, seconds and tokens of each step, then one JSON object. Needs torch, transformers and peft; OMP_NUM_THREADS says how
many threads.
"""

import json
import os
import resource
import statistics
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

LONGEST = 512


def encode(tokenizer, row):
    """Ids and labels of one conversation."""
    question = {"role": "user", "content": row["question"]}
    answer = {"role": "assistant", "content": row["answer"]}
    prompt = tokenizer.apply_chat_template([question], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([question, answer], tokenize=False)
    assert whole.startswith(prompt)
    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = encoded.input_ids, encoded.offset_mapping
    last = max(i for i, token in enumerate(ids) if token == tokenizer.eos_token_id)
    learnt = [start >= len(prompt) and i <= last for i, (start, _) in enumerate(offsets)]
    labels = [token if learn else -100 for token, learn in zip(ids, learnt)]
    return ids[:LONGEST], labels[:LONGEST]


def batch(rows, padding):
    longest = max(len(ids) for ids, _ in rows)

    def padded(lists, value):
        return torch.tensor([row + [value] * (longest - len(row)) for row in lists])

    return {
        "input_ids": padded([ids for ids, _ in rows], padding),
        "attention_mask": padded([[1] * len(ids) for ids, _ in rows], 0),
        "labels": padded([labels for _, labels in rows], -100),
    }


def main():
    directory, source, order, out = sys.argv[1:5]
    steps = int(sys.argv[5]) if len(sys.argv) > 5 else 200
    rate = float(sys.argv[6]) if len(sys.argv) > 6 else 2e-4
    tokenizer = AutoTokenizer.from_pretrained(directory)
    with open(source, encoding="utf-8") as file:
        rows = [encode(tokenizer, json.loads(line)) for line in file]
    with open(order, encoding="utf-8") as file:
        order = [json.loads(line) for line in file][:steps]
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    config = LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear")
    model = get_peft_model(model, config).train()
    if not os.path.exists(os.path.join(out, "initial")):
        model.save_pretrained(os.path.join(out, "initial"))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.0)
    losses, walls = [], []
    for step, numbers in enumerate(order):
        inputs = batch([rows[number] for number in numbers], tokenizer.pad_token_id)
        start = time.perf_counter()
        loss = model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        walls.append(time.perf_counter() - start)
        losses.append(loss.item())
        mask = inputs["attention_mask"]
        print(f"step {step + 1}: loss {losses[-1]:.5f}, {walls[-1]:.2f} s, {int(mask.sum())} tokens of {mask.numel()}", flush=True)
        with open(os.path.join(out, "losses.json"), "w", encoding="utf-8") as file:
            json.dump(losses, file)
    model.save_pretrained(os.path.join(out, "adapter"))
    print(
        json.dumps(
            {
                "threads": torch.get_num_threads(),
                "trained": sum(parameter.numel() for parameter in trained),
                "median_seconds_per_step": round(statistics.median(walls[1:] or walls), 3),
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
