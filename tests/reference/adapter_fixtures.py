"""Writes tests/fixtures/adapters and adapters-pissa: an adapter of peft's beside a model of tests/fixtures, and what it makes of it.

    python tests/reference/adapter_fixtures.py [NAME...]

A new one is an entry of `FIXTURES`: a name, the base model, and the settings of its `LoraConfig`. Written are what peft saves
(adapter_config.json, adapter_model.safetensors), `base`, the path of the base model, and expected.safetensors as in
family_fixtures.py: `input_ids`, `lengths`, `labels`, `logits`, `loss`, a `grad.<name>` for every parameter that learns, and
`losses` of 20 AdamW steps. The adapter is not a new one: neither B is zero, nor are magnitudes the lengths of rows. One that starts
as PiSSA does stands in a folder apart, because peft changes the base for it, so that it cannot be loaded beside the one that is stored;
it lies away from its start, but for NEW, and has `singular.<module>`, the values that it took off the base.
`host/train/tests/adapters.rs` reads whatever lies there.
"""

import json
import sys

import torch
import transformers
from family_fixtures import DECAY, RATE, STEPS, inputs, shown
from make_fixtures import FIXTURES as ROOT
from make_fixtures import fresh, write_expected
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer

FIXTURES = {
    "llama-lora": ("families/llama-gelu", dict(r=4, lora_alpha=8, target_modules="all-linear")),
    "llama-patterns": ("families/llama-scaled-tied", dict(
        r=4, lora_alpha=6, use_rslora=True, target_modules=["q_proj", "v_proj", "gate_proj", "down_proj"],
        rank_pattern={"q_proj": 2, "layers.1.mlp.gate_proj": 3}, alpha_pattern={"down_proj": 3, "layers.0.self_attn.v_proj": 12})),
    "llama-dora": ("families/llama-gelu", dict(r=3, lora_alpha=8, use_dora=True, target_modules="all-linear")),
    "llama-tied-tables": ("families/llama-scaled-tied", dict(
        r=2, lora_alpha=4, target_modules=["k_proj", "embed_tokens", "lm_head"])),
    "mistral-saved": ("families/mistral", dict(
        r=2, lora_alpha=4, target_modules=["o_proj", "embed_tokens"], modules_to_save=["lm_head", "model.norm"])),
    "mistral-head": ("families/mistral", dict(r=3, lora_alpha=4, target_modules=["up_proj", "lm_head"])),
    "qwen2-dora-rs": ("families/qwen2", dict(
        r=4, lora_alpha=4, use_dora=True, use_rslora=True, target_modules=["q_proj", "k_proj", "v_proj"])),
    "phi3-lora": ("families/phi3", dict(r=4, lora_alpha=8, target_modules="all-linear")),
    "phi3-dora": ("families/phi3", dict(r=4, lora_alpha=8, use_dora=True, target_modules=["qkv_proj", "gate_up_proj"])),
    "gpt2-lora": ("families/gpt2", dict(r=4, lora_alpha=8, target_modules="all-linear")),
    "gpt2-dora": ("families/gpt2", dict(r=4, lora_alpha=8, use_dora=True, target_modules=["c_attn", "c_proj"])),
    "gpt2-tables": ("families/gpt2-untied", dict(r=2, lora_alpha=8, target_modules=["wte", "wpe", "c_fc"])),
    "bert-classifier": ("bert-tiny", dict(r=4, lora_alpha=8, target_modules=["query", "value", "word_embeddings"])),
    "roberta-classifier": ("families/roberta", dict(
        r=4, lora_alpha=8, use_dora=True, target_modules=["query", "key", "intermediate.dense"])),
    "llama-classifier": ("families/qwen2-classifier", dict(r=4, lora_alpha=8, target_modules="all-linear")),
    "llama-pissa": ("families/llama-gelu", dict(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights="pissa")),
    "llama-pissa-dora": ("families/llama-gelu", dict(
        r=3, lora_alpha=8, use_dora=True, target_modules=["q_proj", "up_proj", "down_proj"], init_lora_weights="pissa")),
    "qwen2-pissa-rs": ("families/qwen2", dict(
        r=4, lora_alpha=4, use_rslora=True, target_modules=["q_proj", "v_proj", "gate_proj"], init_lora_weights="pissa",
        rank_pattern={"q_proj": 2, "layers.1.mlp.gate_proj": 3}, alpha_pattern={"layers.0.self_attn.v_proj": 12})),
    "gpt2-pissa": ("families/gpt2", dict(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights="pissa")),
    "mistral-pissa-tables": ("families/mistral", dict(
        r=2, lora_alpha=4, target_modules=["o_proj", "embed_tokens", "lm_head"], modules_to_save=["model.norm"],
        init_lora_weights="pissa")),
}

# Stays as it started.
NEW = "llama-pissa"


def disturb(model, seed, principal):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "lora_magnitude" in name:
                parameter.mul_(1 + noise * 0.1)
            elif "lora_" in name and principal and "embedding" not in name:
                parameter.add_(noise * 0.05)
            elif "lora_" in name:
                parameter.copy_(noise * 0.2)


def singular(model, before):
    """The largest singular values of what adapters sit beside, in double precision."""
    found = {}
    for name, module in model.base_model.model.named_modules():
        if isinstance(module, LoraLayer) and "default" in module.lora_A:
            matrix = before[f"{name}.weight"].double()
            found[f"singular.{name}"] = torch.linalg.svdvals(matrix)[: module.r["default"]]
    return found


def write(name, seed):
    base, settings = FIXTURES[name]
    config = json.loads((ROOT / base / "config.json").read_text())
    model_class = getattr(transformers, config["architectures"][0])
    classifies = model_class.__name__.endswith("SequenceClassification")
    model = model_class.from_pretrained(ROOT / base, dtype=torch.float32, attn_implementation="eager")
    settings = dict(settings, task_type="SEQ_CLS" if classifies else "CAUSAL_LM", fan_in_fan_out=base.startswith("families/gpt2"))
    before = {n: p.detach().clone() for n, p in model.state_dict().items()}
    model = get_peft_model(model, LoraConfig(**settings)).eval()
    principal = settings.get("init_lora_weights") == "pissa"
    if name != NEW:
        disturb(model, seed, principal)
    directory = fresh(f"adapters-pissa/{name}" if principal else f"adapters/{name}")
    model.save_pretrained(directory, save_embedding_layers=False)
    (directory / "README.md").unlink()
    (directory / "base").write_text(base + "\n")
    saved = json.loads((directory / "adapter_config.json").read_text())
    saved["base_model_name_or_path"] = "base"
    (directory / "adapter_config.json").write_text(json.dumps(saved, indent=2, sort_keys=True) + "\n")

    ids, mask, lengths = inputs(model.base_model.model, seed + 1)
    if classifies:
        given = torch.arange(len(lengths)) * 2 % model.config.num_labels
    else:
        labels = torch.where(mask == 1, ids, -100)
        given = torch.cat([labels[:, 1:], torch.full((len(lengths), 1), -100)], 1)
    rows = [dict(input_ids=ids[i : i + 1, :n], attention_mask=mask[i : i + 1, :n]) for i, n in enumerate(lengths)]
    counted = (given != -100).sum()

    def run():
        logits, scores = [model(**row).logits for row in rows], []
        for i, row in enumerate(logits):
            wanted = given[i, : lengths[i]] if given.dim() == 2 else given[i : i + 1]
            scores.append(torch.nn.functional.cross_entropy(
                row.reshape(-1, row.shape[-1]), wanted, reduction="sum", ignore_index=-100))
        return logits, sum(scores) / counted

    logits, loss = run()
    loss.backward()
    if logits[0].dim() == 3:
        padded = torch.zeros(len(lengths), ids.shape[1], logits[0].shape[-1])
        for i, row in enumerate(logits):
            padded[i, : lengths[i]] = row[0].detach()
    else:
        padded = torch.cat(logits)
    expected = {"input_ids": ids, "lengths": lengths, "labels": given, "logits": padded, "loss": loss.reshape(1)}
    expected |= singular(model, before) if principal else {}
    learns = {n: p for n, p in model.named_parameters() if p.requires_grad}
    expected |= {f"grad.{on_disk(n)}": shown(p.grad) for n, p in learns.items()}

    matrices = [p for p in learns.values() if p.dim() > 1]
    vectors = [p for p in learns.values() if p.dim() == 1]
    groups = [dict(params=matrices, weight_decay=DECAY), dict(params=vectors, weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        _, loss = run()
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    write_expected(directory, expected | {"losses": torch.tensor(losses)})
    print(f"{name}: {sum(p.numel() for p in learns.values())} learn, loss {losses[0]:.4f} -> {losses[-1]:.4f}")


def on_disk(name):
    """As peft writes it into adapter_model.safetensors, without `base_model.model.`."""
    name = name.removeprefix("base_model.model.").replace(".modules_to_save.default", "").replace(".default", "")
    return name.replace("lora_magnitude_vector.weight", "lora_magnitude_vector")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for index, name in enumerate(FIXTURES):
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            write(name, 1000 + 10 * index)
