#!/usr/bin/env python3
"""The peer of the recipe `token-classification`: the same run in transformers.

    python3 tests/reference/tags_transformers.py --model models/all-MiniLM-L6-v2 --data data

As run_ner.py: the first piece of a word has its tag. 3 epochs, batch 16, AdamW, learning rate 3e-4, linear schedule with 10 % warm-up,
weight decay 0.01 (not on vectors), gradient norm 1, float32, CPU. Nothing is chosen on the test set. Needs torch, transformers and
seqeval. Prints one JSON object.
"""

import argparse
import json
import pathlib
import time

import torch
import transformers
from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score
from transformers import AutoModelForTokenClassification, AutoTokenizer, DataCollatorForTokenClassification, Trainer, TrainingArguments


def read(path):
    return [json.loads(line) for line in open(path, encoding="utf-8")]


class Rows(torch.utils.data.Dataset):
    def __init__(self, rows, labels, tokenizer):
        self.rows = []
        for row in rows:
            encoded = tokenizer(row["tokens"], is_split_into_words=True, truncation=True, max_length=128)
            words, before, tags = encoded.word_ids(), None, []
            for word in words:
                tags.append(-100 if word is None or word == before else labels.index(row["tags"][word]))
                before = word
            self.rows.append({**encoded, "labels": tags})

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, row):
        return self.rows[row]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    transformers.set_seed(options.seed)
    train = read(options.data / "train.jsonl")
    labels = sorted({tag for row in train for tag in row["tags"]})
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    train = Rows(train, labels, tokenizer)
    test = Rows(read(options.data / "test.jsonl"), labels, tokenizer)
    model = AutoModelForTokenClassification.from_pretrained(options.model, num_labels=len(labels))
    steps = -(-len(train) // 16) * 3
    arguments = TrainingArguments(
        output_dir="/tmp/tags-transformers", num_train_epochs=3, per_device_train_batch_size=16, per_device_eval_batch_size=32,
        learning_rate=3e-4, lr_scheduler_type="linear", warmup_steps=round(0.1 * steps), weight_decay=0.01, max_grad_norm=1.0,
        seed=options.seed, use_cpu=True, save_strategy="no", report_to=[], disable_tqdm=True, logging_steps=38,
    )
    trainer = Trainer(
        model=model, args=arguments, train_dataset=train, processing_class=tokenizer,
        data_collator=DataCollatorForTokenClassification(tokenizer),
    )
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    output = trainer.predict(test)
    wanted, found = [], []
    for row, predicted in zip(output.label_ids, output.predictions.argmax(axis=-1)):
        kept = row != -100
        wanted.append([labels[i] for i in row[kept]])
        found.append([labels[i] for i in predicted[kept]])
    values = {
        "f1": f1_score(wanted, found), "precision": precision_score(wanted, found), "recall": recall_score(wanted, found),
        "accuracy": accuracy_score(wanted, found),
    }
    print(json.dumps({
        "transformers": transformers.__version__, "torch": torch.__version__, "steps": steps, "seed": options.seed,
        **{name: round(float(value), 4) for name, value in values.items()}, "train_seconds": round(seconds, 1),
    }))


if __name__ == "__main__":
    main()
