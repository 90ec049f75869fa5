#!/usr/bin/env python3
"""The peer of the recipe `intent-classification`: the same run in transformers.

    python3 tests/reference/banking77_transformers.py --model models/all-MiniLM-L6-v2 --data data/banking77

BANKING77 with 10 shots an intent (the first ten rows of each in file order), full fine-tuning of all-MiniLM-L6-v2:
20 epochs, batch 16, AdamW, learning rate 2e-4, linear schedule with 10 % warm-up, weight decay 0.01, gradient norm 1,
128 tokens, float32, CPU. Nothing is chosen on the test set: the last weights are tested once.

Needs torch and transformers. Prints one JSON object: test accuracy, seconds, peak memory.
"""

import argparse
import csv
import json
import pathlib
import resource
import time

import torch
import transformers
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments


class Rows(torch.utils.data.Dataset):
    def __init__(self, rows, labels, tokenizer, max_length):
        self.encoded = [tokenizer(text, truncation=True, max_length=max_length) for text, _ in rows]
        self.labels = [labels.index(label) for _, label in rows]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, row):
        return {**self.encoded[row], "labels": self.labels[row]}


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def first_of_each(rows, count):
    seen, kept = {}, []
    for text, label in rows:
        seen[label] = seen.get(label, 0) + 1
        if seen[label] <= count:
            kept.append((text, label))
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--shots", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--freeze-lower", type=int, help="freeze the embeddings and so many of the lower layers")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    transformers.set_seed(options.seed)
    everything = read(options.data / "train.csv")
    labels = sorted({label for _, label in everything})
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    train = Rows(first_of_each(everything, options.shots), labels, tokenizer, 128)
    test = Rows(read(options.data / "test.csv"), labels, tokenizer, 128)

    model = AutoModelForSequenceClassification.from_pretrained(options.model, num_labels=len(labels))
    if options.freeze_lower is not None:
        frozen = [model.bert.embeddings, *model.bert.encoder.layer[: options.freeze_lower]]
        for parameter in (parameter for part in frozen for parameter in part.parameters()):
            parameter.requires_grad = False
    steps = -(-len(train) // 16) * options.epochs
    arguments = TrainingArguments(
        output_dir="/tmp/banking77-transformers",
        num_train_epochs=options.epochs,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=64,
        learning_rate=2e-4,
        lr_scheduler_type="linear",
        warmup_steps=round(0.1 * steps),
        weight_decay=0.01,
        max_grad_norm=1.0,
        seed=options.seed,
        use_cpu=True,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        logging_steps=97,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=train,
        processing_class=tokenizer,
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
    )
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    predicted = trainer.predict(test).predictions.argmax(axis=-1)
    accuracy = sum(int(p) == q for p, q in zip(predicted, test.labels)) / len(test)
    print(
        json.dumps(
            {
                "transformers": transformers.__version__,
                "torch": torch.__version__,
                "rows": len(train),
                "steps": steps,
                "frozen_lower_layers": options.freeze_lower,
                "test_accuracy": round(accuracy, 4),
                "train_seconds": round(seconds, 1),
                "peak_memory_mib_after_training": round(peak),
            }
        )
    )


if __name__ == "__main__":
    main()
