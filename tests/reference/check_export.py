"""Checks that transformers loads a directory retune exported, and computes the same logits.

    python tests/reference/check_export.py DIRECTORY [LOGITS.safetensors]

Without the second argument the directory must load with no missing, unexpected or newly
initialised weight, and give finite logits. With it, `input_ids` and `lengths` are run and
`logits` compared to 1e-4; `cargo run --example export_logits` writes one.
"""

import sys

import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

CLASSES = {
    "ForSequenceClassification": AutoModelForSequenceClassification,
    "ForTokenClassification": AutoModelForTokenClassification,
    "ForMaskedLM": AutoModelForMaskedLM,
}


def load(directory):
    architecture = AutoConfig.from_pretrained(directory).architectures[0]
    auto = next((auto for end, auto in CLASSES.items() if architecture.endswith(end)), AutoModelForCausalLM)
    model, info = auto.from_pretrained(directory, output_loading_info=True, dtype=torch.float32)
    problems = {k: v for k, v in info.items() if v}
    if problems:
        sys.exit(f"{directory} does not load cleanly as {architecture}: {problems}")
    if type(model).__name__ != architecture:
        sys.exit(f"{directory} loads as {type(model).__name__}, but says {architecture}")
    return model.eval()


def main():
    model = load(sys.argv[1])
    expected = load_file(sys.argv[2]) if len(sys.argv) > 2 else None
    ids = expected["input_ids"] if expected else torch.tensor([[5, 6, 7, 8]])
    lengths = expected["lengths"] if expected else torch.tensor([4])
    mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits
    if not torch.isfinite(logits).all():
        sys.exit("logits are not finite")
    if expected:
        difference = (logits - expected["logits"]).abs()
        if difference.dim() == 3:
            difference = difference * mask[..., None]
        worst = difference.max().item()
        print(f"{type(model).__name__}: largest difference of a logit {worst:.2e}")
        if worst > 1e-4:
            sys.exit("logits differ by more than 1e-4")
    labels = getattr(model.config, "id2label", None)
    print(f"{sys.argv[1]} loads as {type(model).__name__}, labels {labels if labels and len(labels) <= 10 else len(labels or [])}")


if __name__ == "__main__":
    main()
