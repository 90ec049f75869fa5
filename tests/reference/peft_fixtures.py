"""Writes tests/fixtures/peft: adapters that peft saved for models of tests/fixtures, and the logits that it computes.

    python tests/reference/peft_fixtures.py [NAME...]

A directory each: adapter_config.json and adapter_model.safetensors as `save_pretrained` leaves them, and
expected.safetensors with `input_ids`, `lengths` and `logits`. Matrices of adapters are random, so that none is zero. The
base stands in adapter_config.json, relative to the adapter. One that starts as PiSSA does is saved as peft converts it, for the base
as it was. `host/train/tests/peft.rs` reads whatever lies there.
"""

import copy
import json
import sys
import tempfile
import warnings

import torch
from make_fixtures import FIXTURES as ROOT
from make_fixtures import fresh, rows, write_expected
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

LLAMA, TIED = "families/llama-gelu", "families/llama-scaled-tied"
CHAT = dict(task_type="CAUSAL_LM")
CLASSES = dict(task_type="SEQ_CLS")

FIXTURES = {
    "lora": (LLAMA, dict(CHAT, r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])),
    "patterns": ("families/qwen2", dict(
        CHAT, r=4, lora_alpha=6, target_modules="all-linear", rank_pattern={"down_proj": 2, "layers.1.self_attn.q_proj": 6},
        alpha_pattern={r"^model\.layers\.0.*_proj": 3, "o_proj": 20})),
    "regex": (LLAMA, dict(CHAT, r=4, target_modules=r".*layers\.1\.(mlp|self_attn)\.(up|k)_proj")),
    "rslora": (LLAMA, dict(
        CHAT, r=4, lora_alpha=5, use_rslora=True, target_modules=["o_proj", "gate_proj"], layers_to_transform=[1])),
    "dora": (LLAMA, dict(CHAT, r=3, lora_alpha=4, use_dora=True, target_modules="all-linear")),
    "saved": (LLAMA, dict(CHAT, r=4, target_modules=["k_proj"], modules_to_save=["lm_head", "embed_tokens"])),
    "embeddings": (LLAMA, dict(CHAT, r=4, target_modules=["embed_tokens", "lm_head", "k_proj"])),
    "tied-embeddings": (TIED, dict(CHAT, r=4, target_modules=["embed_tokens", "k_proj"])),
    "tied-head": (TIED, dict(CHAT, r=4, target_modules=["lm_head", "k_proj"])),
    "tied-saved": (TIED, dict(CHAT, r=4, target_modules=["k_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True)),
    "untied-saved": (TIED, dict(CHAT, r=4, target_modules=["k_proj"], modules_to_save=["embed_tokens"])),
    "bert": ("bert-tiny", dict(CLASSES, r=4, lora_alpha=8, lora_dropout=0.1, target_modules=["query", "value"])),
    "gpt2": ("families/gpt2", dict(CHAT, r=4, lora_alpha=8, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True)),
    "gpt2-dora": ("families/gpt2", dict(CHAT, r=4, use_dora=True, target_modules=["c_fc"], fan_in_fan_out=True)),
    "pissa": (LLAMA, dict(
        CHAT, r=4, lora_alpha=6, target_modules="all-linear", rank_pattern={"down_proj": 2}, alpha_pattern={"o_proj": 3},
        init_lora_weights="pissa")),
    "pissa-rslora": (LLAMA, dict(
        CHAT, r=3, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "up_proj"], init_lora_weights="pissa")),
}


def disturb(model, seed):
    """Gives everything that learns values that matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=generator)
                if "magnitude" in name:
                    parameter.mul_(1 + 0.1 * noise)
                else:
                    parameter.add_(0.1 * noise)


def write(name, seed):
    base, settings = FIXTURES[name]
    torch.manual_seed(seed)
    auto = AutoModelForCausalLM if settings["task_type"] == "CAUSAL_LM" else AutoModelForSequenceClassification
    model = auto.from_pretrained(ROOT / base, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(**settings)).eval()
    with tempfile.TemporaryDirectory() as place:
        convert = {}
        if settings.get("init_lora_weights") == "pissa":
            # Loaded with any other start it would be taken off the base once more.
            model.peft_config["default"].init_lora_weights = True
            model.save_pretrained(f"{place}/start")
            convert = dict(path_initial_model_for_weight_conversion=f"{place}/start")
        disturb(model, seed)
        directory = fresh(f"peft/{name}")
        # Saving changes what it has loaded.
        saved = copy.deepcopy(model) if convert else model
        saved.save_pretrained(directory, **convert)
    (directory / "README.md").unlink()
    path = directory / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = f"../../{base}"
    # Sets come out in another order each time.
    for key in ("target_modules", "modules_to_save"):
        if isinstance(config[key], list):
            config[key].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    lengths = [7, 13, 1, 10]
    ids, mask = rows(67, lengths, seed, 0)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits
    write_expected(directory, {"input_ids": ids, "lengths": torch.tensor(lengths), "logits": logits})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for number, name in enumerate(FIXTURES):
        if not sys.argv[1:] or name in sys.argv[1:]:
            write(name, number)
