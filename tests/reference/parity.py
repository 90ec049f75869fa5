"""Draws random variants of every family and compares retune with transformers: logits, gradients, losses of 20 steps of AdamW,
and the logits of the trained model after transformers has read what retune exported.

    cargo xtask parity [--python PYTHON] [--count COUNT] [--seed SEED] [--family NAME]

What the fixtures hold fixed is drawn here: numbers of heads and blocks, widths, biases, tied heads, windows, scalings of
rotary positions, caps, activations, vocabularies, classifiers. A row is run by itself, because some scalings take the longest
row of a batch. The first variant of a seed can be drawn again alone by its number: `--only NUMBER`.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import check_export
import torch
import transformers
from family_fixtures import record
from safetensors.torch import load_file

draw = random.Random()
# Logits, gradients (relative), losses, logits of the export.
BOUNDS = dict(logits=1e-4, gradients=1e-4, losses=1e-3, export=1e-4)


def yes():
    return draw.random() < 0.5


def scaled(pairs):
    kind = draw.choice(["default", "linear", "dynamic", "yarn", "llama3", "longrope"])
    settings = dict(rope_type=kind, rope_theta=draw.choice([1e4, 5e5, 1e6]))
    if kind in ("linear", "dynamic"):
        settings |= dict(factor=draw.choice([2.0, 4.0]))
    if kind == "yarn":
        settings |= dict(factor=4.0, original_max_position_embeddings=draw.choice([4, 16]), truncate=yes())
    if kind == "llama3":
        settings |= dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0)
        settings |= dict(original_max_position_embeddings=draw.choice([8, 32]))
    return settings | (long(pairs, draw.choice([4, 32])) if kind == "longrope" else {})


def long(pairs, trained):
    short_factor, long_factor = [1 + 0.1 * i for i in range(pairs)], [1.5 + 0.5 * i for i in range(pairs)]
    return dict(short_factor=short_factor, long_factor=long_factor, original_max_position_embeddings=trained)


def common():
    heads, width = draw.choice([1, 2, 4]), draw.choice([6, 8, 16])
    sizes = dict(
        vocab_size=draw.choice([67, 71, 101]), hidden_size=heads * width, num_hidden_layers=draw.choice([1, 2, 3]),
        num_attention_heads=heads, intermediate_size=draw.choice([20, 33]), max_position_embeddings=64, pad_token_id=0,
        bos_token_id=1, eos_token_id=2,
    )
    return sizes, heads, width


def decoder(own_width=False):
    settings, heads, width = common()
    settings["num_key_value_heads"] = draw.choice([kv for kv in (1, 2, 4) if heads % kv == 0])
    settings |= dict(tie_word_embeddings=yes(), rope_parameters=scaled(width // 2))
    if own_width:
        settings |= dict(hidden_size=8 * heads, head_dim=width)
    return settings


def qwen_windows():
    return dict(use_sliding_window=yes(), sliding_window=draw.choice([2, 5]), max_window_layers=draw.choice([0, 1, 2]))


def phi3():
    settings = decoder()
    width = settings["hidden_size"] // settings["num_attention_heads"]
    share = draw.choice([share for share in (1.0, 0.5, 0.75) if int(width * share) % 2 == 0])
    rotary = dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=share)
    if yes():
        trained = draw.choice([4, 32])
        rotary |= dict(rope_type="longrope") | long(int(width * share) // 2, trained)
        settings["original_max_position_embeddings"] = trained
    return settings | dict(rope_parameters=rotary, sliding_window=draw.choice([None, 3]))


def gemma():
    settings = decoder(own_width=True)
    return settings | dict(
        query_pre_attn_scalar=draw.choice([8, 24, 100]), sliding_window=draw.choice([2, 4]), attention_bias=yes(),
        final_logit_softcapping=draw.choice([None, 5.0]))


def gemma3():
    settings = gemma()
    kinds = ["sliding_attention", "full_attention"]
    rotary = settings["rope_parameters"]
    if rotary["rope_type"] == "dynamic":
        rotary = dict(rope_type="default", rope_theta=1e6)
    return settings | dict(
        layer_types=[draw.choice(kinds) for _ in range(settings["num_hidden_layers"])],
        rope_parameters=dict(full_attention=rotary, sliding_attention=dict(rope_type="default", rope_theta=1e4)))


def roberta():
    return common()[0] | dict(
        pad_token_id=draw.choice([0, 1, 3]), hidden_act=draw.choice(["gelu", "relu", "silu"]),
        type_vocab_size=draw.choice([1, 2]), max_position_embeddings=draw.choice([16, 40]))


def distilbert():
    sizes, heads, _ = common()
    return dict(
        vocab_size=sizes["vocab_size"], dim=sizes["hidden_size"], n_heads=heads, n_layers=sizes["num_hidden_layers"],
        hidden_dim=30, max_position_embeddings=20, activation=draw.choice(["gelu", "relu"]))


def gpt2():
    sizes, heads, _ = common()
    return dict(
        vocab_size=sizes["vocab_size"], n_embd=sizes["hidden_size"], n_head=heads, n_layer=sizes["num_hidden_layers"],
        n_positions=draw.choice([8, 20]), n_inner=draw.choice([None, 22]), pad_token_id=0, tie_word_embeddings=yes(),
        activation_function=draw.choice(["gelu_new", "gelu", "silu"]), scale_attn_by_inverse_layer_idx=yes())


def modernbert():
    return common()[0] | dict(
        local_attention=draw.choice([2, 3, 5, 8]), global_attn_every_n_layers=draw.choice([1, 2, 3]), norm_bias=yes(),
        attention_bias=yes(), mlp_bias=yes(), classifier_bias=yes(), classifier_pooling=draw.choice(["cls", "mean"]),
        hidden_activation=draw.choice(["gelu", "silu", "relu"]))


FAMILIES = {
    "Llama": lambda: decoder(True) | dict(attention_bias=yes(), mlp_bias=yes(), hidden_act=draw.choice(["silu", "gelu", "relu"])),
    "Qwen2": lambda: decoder() | qwen_windows(),
    "Mistral": lambda: decoder(True) | dict(sliding_window=draw.choice([None, 1, 3, 100])),
    "Qwen3": lambda: decoder(True) | qwen_windows() | dict(attention_bias=yes()),
    "Phi3": phi3,
    "Gemma2": lambda: gemma() | dict(attn_logit_softcapping=draw.choice([None, 5.0])),
    "Gemma3": gemma3,
    "Olmo2": lambda: decoder() | dict(attention_bias=yes()),
    "SmolLM3": lambda: decoder() | dict(attention_bias=yes(), mlp_bias=yes(), no_rope_layer_interval=draw.choice([1, 2, 3])),
    "GPT2": gpt2,
    "Bert": lambda: common()[0] | dict(hidden_act=draw.choice(["gelu", "gelu_new"])),
    "Roberta": roberta,
    "XLMRoberta": roberta,
    "DistilBert": distilbert,
    "ModernBert": modernbert,
}
ENCODERS = ["Bert", "Roberta", "XLMRoberta", "DistilBert", "ModernBert"]


def model_class(family):
    if family in ENCODERS or draw.random() < 0.3:
        return {"Gemma3": "Gemma3Text"}.get(family, family) + "ForSequenceClassification"
    return "GPT2LMHeadModel" if family == "GPT2" else family + "ForCausalLM"


def variant(number, seed, families):
    """A class and its settings; a function of number and seed alone."""
    draw.seed(f"{seed} {number}")
    family = families[number % len(families)]
    name, settings = model_class(family), FAMILIES[family]()
    if name.endswith("SequenceClassification"):
        settings["num_labels"] = draw.choice([3, 5])
    return family, name, settings


def exported(folder):
    """The largest distance of a logit of a row by itself between transformers and retune, of what retune exported."""
    expected, model = load_file(folder / "expected.safetensors"), check_export.load(str(folder / "export"))
    logits, worst = load_file(folder / "exported.safetensors")["logits"], 0.0
    for row, length in enumerate(expected["lengths"].tolist()):
        with torch.no_grad():
            found = model(input_ids=expected["input_ids"][row : row + 1, :length]).logits[0]
        wanted = logits[row][:length] if found.dim() == 2 else logits[row]
        worst = max(worst, (found - wanted).abs().max().item())
    return worst


def arguments():
    parser = argparse.ArgumentParser(description="compares retune with transformers")
    parser.add_argument("binary", help="the example `parity` of retune-train")
    parser.add_argument("--count", type=int, default=60, help="variants in all (default 60, four of each family)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--family", choices=FAMILIES, action="append", help="this one only; can be given several times")
    parser.add_argument("--only", type=int, help="the variant of this number")
    return parser.parse_args()


def main():
    given = arguments()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    families = given.family or list(FAMILIES)
    numbers = [given.only] if given.only is not None else range(given.count)
    worst = {family: dict.fromkeys(BOUNDS, 0.0) | dict(variants=0) for family in families}
    wrong = []
    with tempfile.TemporaryDirectory() as place:
        drawn = {}
        for number in numbers:
            family, name, settings = variant(number, given.seed, families)
            folder = pathlib.Path(place) / str(number)
            folder.mkdir()
            record(folder, name, settings, number)
            drawn[str(folder)] = (number, family, name, settings)
        run = subprocess.run([given.binary, *drawn], capture_output=True, text=True)
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        if len(lines) < len(drawn):
            sys.exit(f"{given.binary} ended after {len(lines)} of {len(drawn)} models: {run.stderr}")
        for line in lines:
            number, family, name, settings = drawn[line["folder"]]
            found = line["found"]
            if "error" not in found:
                try:
                    found["export"] = exported(pathlib.Path(line["folder"]))
                except (SystemExit, Exception) as error:
                    found = dict(error=f"the export does not load: {error}")
            off = {what: found.get(what) for what in BOUNDS}
            # JSON has no infinity.
            off = {what: float("inf") if value is None else value for what, value in off.items()}
            worst[family]["variants"] += 1
            for what, bound in BOUNDS.items():
                worst[family][what] = max(worst[family][what], off[what])
            if any(off[what] > bound for what, bound in BOUNDS.items()):
                wrong.append(f"{number}: {name} {settings}\n    {found}")
    print(f"{'family':12} {'variants':>8} " + " ".join(f"{what:>10}" for what in BOUNDS))
    for family, of in worst.items():
        print(f"{family:12} {of['variants']:8} " + " ".join(f"{of[what]:10.1e}" for what in BOUNDS))
    print(f"{'at most':21} " + " ".join(f"{bound:10.0e}" for bound in BOUNDS.values()))
    print("\n".join(wrong) if wrong else f"{len(drawn)} models agree (transformers {transformers.__version__}, torch {torch.__version__})")
    sys.exit(len(wrong) > 0)


if __name__ == "__main__":
    main()
