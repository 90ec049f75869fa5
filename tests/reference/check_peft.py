"""Checks that peft loads an adapter that retune exported, and computes the same logits.

    python tests/reference/check_peft.py ADAPTER LOGITS.safetensors [BASE]

BASE is the model that adapter_config.json names, or another place of it. Every tensor must find its place, none may be
missing, and `logits` of `input_ids` and `lengths` agree to 1e-4; `cargo run --example export_logits` writes such a file. Then the
adapter is merged by peft, and must still agree.
"""

import json
import pathlib
import sys

import torch
from check_export import CLASSES
from peft import PeftModel
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM


def logits(model, expected):
    ids, lengths = expected["input_ids"], expected["lengths"]
    mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
    with torch.no_grad():
        found = model(input_ids=ids, attention_mask=mask).logits
    difference = (found - expected["logits"]).abs()
    return (difference * mask[..., None] if difference.dim() == 3 else difference).max().item()


def load(adapter, base=None):
    """The model of peft with the adapter in that folder, which must bring what peft looks for and nothing else."""
    settings = json.loads((adapter / "adapter_config.json").read_text())
    # It has the labels, for which the format of peft has no word.
    config = AutoConfig.from_pretrained(adapter / "model_config.json")
    auto = next((c for end, c in CLASSES.items() if config.architectures[0].endswith(end)), AutoModelForCausalLM)
    base = auto.from_pretrained(base or settings["base_model_name_or_path"], config=config, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, adapter).eval()
    saved = set(load_file(adapter / "adapter_model.safetensors"))
    held = {name for name in get_peft_model_state_dict(model, save_embedding_layers=False)}
    if saved - held:
        sys.exit(f"peft has no place for {sorted(saved - held)}")
    # A head that peft wraps whole has what the base has where the adapter says nothing.
    if lacking := sorted(name for name in held - saved if ".lora_" in name):
        sys.exit(f"peft misses {lacking}")
    return model, saved


def main():
    adapter, expected = pathlib.Path(sys.argv[1]), load_file(sys.argv[2])
    model, saved = load(adapter, sys.argv[3] if len(sys.argv) > 3 else None)
    worst = logits(model, expected)
    print(f"{adapter}: {len(saved)} tensors, largest difference of a logit {worst:.2e}", end="")
    # Of a table and a head that are one, peft merges into both what is beside one of them, and warns of it.
    apart = any("lora_embedding" in name or "lm_head.lora" in name for name in saved)
    if not (apart and model.config.tie_word_embeddings):
        merged = logits(model.merge_and_unload(), expected)
        print(f", merged by peft {merged:.2e}", end="")
        worst = max(worst, merged)
    print()
    if worst > 1e-4:
        sys.exit("logits differ by more than 1e-4")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
