"""Draws adapters of peft on random variants, for `parity.py --adapters`: settings of a `LoraConfig`, saved beside a base.

What decides where an adapter sits and what it computes is drawn: targets as names, ends of names, regular expressions and
`all-linear`, what is excluded, blocks, ranks and alphas by pattern, rsLoRA, DoRA, modules that are trained whole, ways to start. Some
settings are refused by retune, whose message then has to name the key (`REFUSED`) or the reason (`MAY_REFUSE`).
"""

import re
import warnings

import torch
import transformers
from family_fixtures import disturb as disturb_base
from make_fixtures import write_expected
from parity_variants import FAMILIES, draw, variant, yes
from peft import LoraConfig, PeftModel, get_peft_model
from transformers.pytorch_utils import Conv1D

# Settings that compute something else than LoRA, or change the base; the key, as retune has to say it.
REFUSED = [
    dict(bias="all"), dict(bias="lora_only"), dict(lora_bias=True), dict(trainable_token_indices=[1, 3]),
    dict(init_lora_weights="olora"), dict(init_lora_weights="pissa"), dict(init_lora_weights="pissa_niter_2"),
    dict(layer_replication=[(0, 1), (0, 1)]),
]
# What retune may say of any adapter: where peft computes what retune does not, or keeps apart what the base ties.
MAY_REFUSE = ["dora is not computed on", "which this base ties (tie_word_embeddings)", "`decoder` takes no linear layer or table"]
TASKS = {"ForSequenceClassification": "SEQ_CLS", "ForTokenClassification": "TOKEN_CLS", "ForCausalLM": "CAUSAL_LM", "LMHeadModel": "CAUSAL_LM"}


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


def targets(model, linear, tables):
    """`target_modules` and what narrows it."""
    ends = sorted({name.rsplit(".", 1)[-1] for name in linear if ".layer" in name or ".h." in name or "layers" in name})
    blocks = sorted({int(part) for name in linear for part in re.findall(r"\.(\d+)\.", name)})
    kind = draw.choice(["all-linear", "ends", "ends", "names", "regex", "tables"])
    if kind == "all-linear":
        return dict(target_modules="all-linear")
    if kind == "names":
        return dict(target_modules=draw.sample(linear, min(3, len(linear))))
    if kind == "regex":
        chosen = "|".join(draw.sample(ends, min(2, len(ends))))
        return dict(target_modules=rf".*\.({chosen})" if yes() else rf"(?:.*\.)?[^.]*\.?\b(?:{chosen})")
    settings = dict(target_modules=draw.sample(ends, min(draw.choice([1, 2, 3]), len(ends))))
    if kind == "tables":
        settings["target_modules"] += [draw.choice(tables).rsplit(".", 1)[-1]]
        return settings
    narrowed = draw.choice(["no", "no", "blocks", "block", "exclude", "exclude regex"])
    if narrowed == "blocks":
        settings["layers_to_transform"] = [draw.choice(blocks)]
        if yes():
            settings["layers_pattern"] = next(part for part in ("layers", "layer", "h") if f".{part}." in linear[len(linear) // 2])
    if narrowed == "block":
        settings["layers_to_transform"] = draw.choice(blocks)
    if narrowed == "exclude" and len(settings["target_modules"]) > 1:
        settings["exclude_modules"] = settings["target_modules"][:1]
    if narrowed == "exclude regex" and len(blocks) > 1:
        settings["exclude_modules"] = rf".*\.{blocks[0]}\..*"
    return settings


def pattern(linear, values):
    """Keys of a pattern as one finds them: ends, whole names, regular expressions."""
    keys = [name.rsplit(".", 1)[-1] for name in linear] + linear
    keys += [rf"^{re.escape(name)}" for name in linear] + [rf".*\.{part}\..*" for part in ("0", "1", "[01]")]
    keys += ["|".join(sorted({name.rsplit(".", 1)[-1] for name in draw.sample(linear, min(2, len(linear)))}))]
    return {draw.choice(keys): draw.choice(values) for _ in range(draw.choice([1, 2, 3]))}


def task_of(name):
    return next((task for end, task in TASKS.items() if name.endswith(end)), None)


def settings_of(model, name):
    linear = [n for n, m in model.named_modules() if isinstance(m, (torch.nn.Linear, Conv1D)) and n.split(".")[0] not in ("lm_head", "score", "classifier")]
    tables = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Embedding)] + ["lm_head"] * hasattr(model, "lm_head")
    settings = targets(model, linear, tables) | dict(r=draw.choice([1, 2, 5]), lora_alpha=draw.choice([1, 4, 16]), lora_dropout=draw.choice([0.0, 0.1]))
    settings |= dict(use_rslora=yes(0.3), use_dora=yes(0.3), init_lora_weights=draw.choice([True, True, False, "gaussian"]))
    if yes(0.3):
        settings["rank_pattern"] = pattern(linear, [1, 3, 6])
    if yes(0.3):
        settings["alpha_pattern"] = pattern(linear, [2, 7, 11])
    if yes(0.2):
        settings["modules_to_save"] = [draw.choice(tables + [n for n, m in model.named_modules() if "norm" in type(m).__name__.lower()]).rsplit(".", 1)[-1]]
        settings["ensure_weight_tying"] = yes()
    refused = draw.choice(REFUSED) if yes(0.1) else {}
    return settings | refused | dict(task_type=task_of(name)), next(iter(refused), None)


def adapter(folder, number, seed):
    """Saves a base and an adapter of it, and gives the settings and the key that is refused, where there is one.

    # Raises
    Where peft itself does not take the settings.
    """
    warnings.simplefilter("ignore")
    one = variant(number, seed, list(FAMILIES))
    model_class = getattr(transformers, one.name)
    model = model_class(model_class.config_class(**one.settings))
    disturb_base(model, number)
    model.save_pretrained(folder / "base")
    model = model_class.from_pretrained(folder / "base", dtype=torch.float32, attn_implementation="eager")
    settings, refused = settings_of(model, one.name)
    torch.manual_seed(number)
    # The model without an adapter reads the rows first: peft puts its modules inside.
    ids, mask, lengths = one.rows(model, number + 1)
    model = get_peft_model(model, LoraConfig(**settings)).eval()
    disturb(model, number)
    model.save_pretrained(folder / "adapter")
    # Read again: peft sorts the keys of patterns when it saves them, and of several that match the first counts.
    base = model_class.from_pretrained(folder / "base", dtype=torch.float32, attn_implementation="eager")
    model = PeftModel.from_pretrained(base, folder / "adapter").eval()
    logits = []
    for row, length in enumerate(lengths.tolist()):
        with torch.no_grad():
            logits.append(model(input_ids=ids[row : row + 1, :length], attention_mask=mask[row : row + 1, :length]).logits)
    if logits[0].dim() == 3:
        padded = torch.zeros(len(lengths), ids.shape[1], logits[0].shape[-1])
        for row, length in enumerate(lengths.tolist()):
            padded[row, :length] = logits[row][0]
    else:
        padded = torch.cat(logits)
    write_expected(folder, {"input_ids": ids, "lengths": lengths, "logits": padded})
    return f"{number}: {one.name} {one.settings} {settings}", refused
