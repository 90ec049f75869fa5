"""Draws random variants of every family, for `parity.py`: a class of transformers, its settings, and how the checkpoint is stored.

A variant is a function of its seed and number alone. What a family's configuration class reads in its forward pass is drawn: numbers
of heads and blocks, widths, biases, tied heads, windows, kinds of blocks, scalings of rotary positions, caps, activations, epsilons,
padding tokens, heads of tasks. Beside it: the number format and shards, names without the prefix of the base model, keys as
transformers 4 spelled them, and keys left out that have their default.
"""

import dataclasses
import json
import random

import torch
import transformers
from safetensors.torch import load_file, save_file

draw = random.Random()
ENCODERS = ["Bert", "Roberta", "XLMRoberta", "DistilBert", "ModernBert"]
# transformers has no class of them that labels words.
WITHOUT_TAGS = ["Gemma3", "Olmo2"]
ACTIVATIONS = ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish"]
LOCAL, FULL = "sliding_attention", "full_attention"


@dataclasses.dataclass
class Variant:
    number: int
    family: str
    name: str
    settings: dict
    dtype: torch.dtype
    shards: str | None
    lengths: tuple
    segments: bool
    changes: list

    def rows(self, model, seed):
        """As `inputs` of family_fixtures.py, with the padding token inside and at the end of rows."""
        config, generator = model.config, torch.Generator().manual_seed(seed)
        padding = config.pad_token_id if (config.pad_token_id or 0) >= 0 else None
        # Rows that are longer than the model was trained for are what `dynamic` is for.
        most = 99 if "dynamic" in str(self.settings) else config.max_position_embeddings
        most -= (padding + 1) if "Roberta" in self.family else 0
        lengths = [min(length, most) for length in self.lengths]
        ids = torch.full((len(lengths), max(lengths)), padding or 0)
        for row, length in enumerate(lengths):
            ids[row, :length] = torch.randint(0, config.vocab_size, (length,), generator=generator)
            if padding is not None:
                drawn = ids[row, :length]
                ids[row, :length] = torch.where(drawn == padding, (padding + 1) % config.vocab_size, drawn)
        if padding is not None and self.number % 2:
            ids[0, 2], ids[1, lengths[1] - 1] = padding, padding
        if padding is None and config.eos_token_id is not None:
            # retune then pads with the end token, and reads a row before it.
            ids = torch.where(ids == config.eos_token_id, config.eos_token_id + 1, ids)
        mask = (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]).long()
        return ids, mask, torch.tensor(lengths)

    def change(self, directory):
        for name in self.changes:
            {"bare": bare, "four": four, "short": short}[name](self, directory)


def yes(probability=0.5):
    return draw.random() < probability


def bare(variant, directory):
    """Names as a base model alone has them."""
    prefix = getattr(transformers, variant.name).base_model_prefix + "."
    path = directory / "model.safetensors"
    save_file({name.removeprefix(prefix): tensor for name, tensor in load_file(path).items()}, path, metadata=dict(format="pt"))


def edit(directory, change):
    path = directory / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config, indent=2) + "\n")


def four(variant, directory):
    """Keys as transformers 4 wrote them; what is derived from other keys is left out."""

    def change(config):
        for key in ("layer_types", "no_rope_layers"):
            if key not in variant.settings:
                config.pop(key, None)
        rope = config.pop("rope_parameters", None)
        if rope is None:
            return
        if "rope_theta" in rope:
            config["rope_theta"] = rope.pop("rope_theta")
        else:
            names = dict(Gemma3=("rope_theta", "rope_local_base_freq"), ModernBert=("global_rope_theta", "local_rope_theta"))
            for kind, key in zip((FULL, LOCAL), names[variant.family]):
                config[key] = rope[kind].pop("rope_theta")
            rope = rope[FULL]
        if "partial_rotary_factor" in rope:
            config["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
        if rope["rope_type"] == "default":
            config["rope_scaling"] = None
        else:
            config["rope_scaling"] = rope
            # Where kinds of blocks have their own, transformers does not read `type`, and retune refuses it.
            nested = variant.family in ("Gemma3", "ModernBert")
            if variant.number % 3 == 0 and not nested:
                rope["type"] = rope.pop("rope_type")
            # Some files have both, and `rope_scaling` counts.
            if variant.number % 3 == 1 and not nested:
                config["rope_parameters"] = dict(rope_type="default", rope_theta=77.0)

    edit(directory, change)


def short(variant, directory):
    """Without the keys that have the default of the configuration class."""
    defaults = getattr(transformers, variant.name).config_class().to_dict()
    kept = ("model_type", "architectures", "id2label", "label2id")

    def change(config):
        for key in [key for key, value in config.items() if key not in kept and key in defaults and defaults[key] == value]:
            del config[key]

    edit(directory, change)


def scaled(width, kinds=("default", "linear", "dynamic", "yarn", "llama3", "longrope")):
    """`rope_parameters` of heads of which `width` components turn."""
    kind = draw.choice(kinds)
    settings = dict(rope_type=kind, rope_theta=draw.choice([1e4, 5e5, 1_000_000]))
    if kind in ("linear", "dynamic"):
        settings |= dict(factor=draw.choice([2, 4.0]))
    if kind == "yarn":
        settings |= dict(factor=draw.choice([1.0, 4.0]), original_max_position_embeddings=draw.choice([4, 16]))
        settings |= draw.choice([{}, dict(attention_factor=1.3), dict(mscale=0.7, mscale_all_dim=1.1), dict(mscale=0.7)])
        settings |= draw.choice([{}, dict(beta_fast=4.0, beta_slow=0.1), dict(beta_fast=2)])
        settings |= dict(truncate=yes()) if yes() else {}
    if kind == "llama3":
        settings |= dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0)
        settings |= dict(original_max_position_embeddings=draw.choice([8, 32])) if yes(0.8) else {}
    if kind == "longrope":
        settings |= dict(
            short_factor=[1 + 0.1 * i for i in range(width // 2)], long_factor=[1.5 + 0.5 * i for i in range(width // 2)],
            original_max_position_embeddings=draw.choice([4, 32]))
        settings |= draw.choice([{}, dict(factor=4.0), dict(attention_factor=1.2)])
    return settings


def common(odd=True):
    # Not too narrow: torch alone is 1e-3 from itself in float64 after 20 steps of a model that is 5 wide.
    heads = draw.choice([1, 2, 4])
    width = draw.choice([9, 12, 16] if heads == 1 and odd else [10, 16, 32] if heads == 1 else [5, 6, 8, 16] if odd else [4, 6, 8, 16, 32])
    sizes = dict(
        vocab_size=draw.choice([67, 71, 101]), hidden_size=heads * width, num_hidden_layers=draw.choice([1, 2, 3]),
        num_attention_heads=heads, intermediate_size=draw.choice([20, 33]), max_position_embeddings=128,
        pad_token_id=draw.choice([0, 0, 5, 66, None, -1]), bos_token_id=1, eos_token_id=2,
    )
    return sizes, heads, width


def decoder(own_width="no"):
    """`own_width`: heads may be as wide as they like; "divides" where the hidden width has to be a multiple of them all the same."""
    settings, heads, width = common(odd=False)
    settings["num_key_value_heads"] = draw.choice([kv for kv in (1, 2, 4) if heads % kv == 0])
    settings |= dict(tie_word_embeddings=yes(), rms_norm_eps=draw.choice([1e-6, 1e-5, 1e-3, 0.1]), rope_parameters=scaled(width))
    if own_width != "no" and yes(0.7):
        settings |= dict(hidden_size=max(heads, 2) * draw.choice([5, 7, 8]) + (own_width == "any" and yes()), head_dim=width)
    kind = settings["rope_parameters"]["rope_type"]
    if kind == "dynamic":
        settings["max_position_embeddings"] = 8
    if kind in ("yarn", "llama3", "longrope") and yes(0.2):
        # Beside the other settings it counts more than inside.
        settings["original_max_position_embeddings"] = draw.choice([6, 24])
    return settings


def layer_types(settings, probability=0.5):
    if yes(probability):
        settings["layer_types"] = [draw.choice([LOCAL, FULL]) for _ in range(settings["num_hidden_layers"])]
    return settings


def gated(settings):
    return settings | dict(hidden_act=draw.choice(ACTIVATIONS))


def qwen(own_width):
    settings = gated(decoder(own_width)) | dict(
        use_sliding_window=yes(), sliding_window=draw.choice([None, 1, 2, 5]), max_window_layers=draw.choice([0, 1, 2]))
    return layer_types(settings, 0.3) if settings["use_sliding_window"] and settings["sliding_window"] else settings


def qwen3():
    settings = qwen("any")
    # Without it a head is 128 wide.
    width = settings["hidden_size"] // settings["num_attention_heads"]
    return dict(head_dim=width) | settings | dict(attention_bias=yes())


def smollm3():
    settings = gated(decoder("any")) | dict(attention_bias=yes(), mlp_bias=yes(), no_rope_layer_interval=draw.choice([1, 2, 3]))
    if yes(0.3):
        settings["no_rope_layers"] = [draw.choice([0, 1]) for _ in range(settings["num_hidden_layers"] + draw.choice([0, 1]))]
    settings |= dict(use_sliding_window=yes(), sliding_window=draw.choice([None, 2, 5]))
    if settings["rope_parameters"]["rope_type"] == "dynamic":
        # Rows may be longer then, but not in a model without any positions.
        settings["no_rope_layers"] = [1] * settings["num_hidden_layers"]
    return layer_types(settings, 0.3) if settings["use_sliding_window"] and settings["sliding_window"] else settings


def phi3():
    settings = gated(decoder()) | dict(sliding_window=draw.choice([None, 1, 3]))
    settings.pop("original_max_position_embeddings", None)
    width = settings["hidden_size"] // settings["num_attention_heads"]
    share = draw.choice([1.0, 0.5, 0.75, 0.8])
    rotary = dict(rope_type="default", rope_theta=1e4)
    if yes() and int(width * share) % 2 == 0:
        rotary = scaled(int(width * share), ["longrope"])
        if yes():
            settings["original_max_position_embeddings"] = draw.choice([4, 32])
    elif yes(0.3):
        settings |= dict(hidden_size=settings["hidden_size"] + 1, head_dim=width)
    return settings | dict(
        rope_parameters=rotary | dict(partial_rotary_factor=share), max_position_embeddings=128, resid_pdrop=0.1, embd_pdrop=0.2)


def gemma(settings=None):
    settings = decoder("divides") if settings is None else settings
    width = settings["hidden_size"] // settings["num_attention_heads"]
    return dict(head_dim=width) | settings | dict(
        query_pre_attn_scalar=draw.choice([8, 24, 100]), sliding_window=draw.choice([1, 2, 4, 100]), attention_bias=yes(),
        hidden_activation=draw.choice(ACTIVATIONS), attn_logit_softcapping=draw.choice([None, 0.5, 5.0]),
        final_logit_softcapping=draw.choice([None, 0.5, 5.0]))


def kinds_of_rope(settings, width, kinds):
    """An object for each kind of blocks."""
    kinds = {FULL: scaled(width, kinds), LOCAL: scaled(width, ("default", "default", "linear"))}
    settings.pop("original_max_position_embeddings", None)
    # transformers does not read it there, and retune refuses it.
    kinds[FULL].pop("truncate", None)
    settings |= dict(rope_parameters=kinds)
    settings["max_position_embeddings"] = 8 if "dynamic" in str(kinds) else 128
    if "dynamic" in str(kinds):
        # Rows may be longer then, when there is a block that turns so.
        settings["layer_types"] = [LOCAL] * (settings["num_hidden_layers"] - 1) + [FULL]
        for key in ("sliding_window_pattern", "global_attn_every_n_layers"):
            settings.pop(key, None)
    return settings


def gemma3():
    settings = layer_types(gemma())
    if "layer_types" not in settings:
        settings["sliding_window_pattern"] = draw.choice([1, 2, 3])
    return kinds_of_rope(settings, settings["head_dim"], ("default", "linear", "dynamic", "yarn", "llama3", "longrope"))


def bert():
    return common()[0] | dict(
        hidden_act=draw.choice(ACTIVATIONS), type_vocab_size=draw.choice([1, 2, 3]), max_position_embeddings=draw.choice([16, 40]),
        layer_norm_eps=draw.choice([1e-12, 1e-5, 0.1]), tie_word_embeddings=yes(0.7))


def roberta():
    return bert() | dict(pad_token_id=draw.choice([0, 1, 3]))


def distilbert():
    sizes, heads, _ = common()
    return dict(
        vocab_size=sizes["vocab_size"], dim=sizes["hidden_size"], n_heads=heads, n_layers=sizes["num_hidden_layers"],
        hidden_dim=30, max_position_embeddings=20, activation=draw.choice(ACTIVATIONS), sinusoidal_pos_embds=sizes["hidden_size"] % 2 == 0 and yes(),
        pad_token_id=sizes["pad_token_id"], tie_word_embeddings=yes(0.7))


def gpt2():
    sizes, heads, _ = common()
    return dict(
        vocab_size=sizes["vocab_size"], n_embd=sizes["hidden_size"], n_head=heads, n_layer=sizes["num_hidden_layers"],
        n_positions=draw.choice([8, 20]), n_inner=draw.choice([None, 22]), pad_token_id=sizes["pad_token_id"], tie_word_embeddings=yes(),
        activation_function=draw.choice(ACTIVATIONS), scale_attn_by_inverse_layer_idx=yes(), scale_attn_weights=yes(0.7),
        reorder_and_upcast_attn=yes(), layer_norm_epsilon=draw.choice([1e-5, 0.1]), bos_token_id=1, eos_token_id=2)


def modernbert():
    sizes, _, width = common(odd=False)
    settings = layer_types(sizes, 0.3) | dict(
        local_attention=draw.choice([0, 1, 2, 3, 5, 8]), norm_bias=yes(), attention_bias=yes(), mlp_bias=yes(),
        classifier_bias=yes(), decoder_bias=yes(), classifier_pooling=draw.choice(["cls", "mean"]),
        hidden_activation=draw.choice(ACTIVATIONS), classifier_activation=draw.choice(ACTIVATIONS), norm_eps=draw.choice([1e-5, 0.1]),
        tie_word_embeddings=yes(0.7))
    if "layer_types" not in settings:
        settings["global_attn_every_n_layers"] = draw.choice([1, 2, 3])
    return kinds_of_rope(settings, width, ("default", "linear", "dynamic", "yarn")) if yes() else settings


FAMILIES = {
    "Llama": lambda: gated(decoder("divides")) | dict(attention_bias=yes(), mlp_bias=yes()),
    "Qwen2": lambda: qwen("any"),
    "Mistral": lambda: gated(decoder("any")) | dict(sliding_window=draw.choice([None, 1, 3, 100])),
    "Qwen3": qwen3,
    "Phi3": phi3,
    "Gemma2": lambda: layer_types(gemma()),
    "Gemma3": gemma3,
    "Olmo2": lambda: gated(decoder("any")) | dict(attention_bias=yes()),
    "SmolLM3": smollm3,
    "GPT2": gpt2,
    "Bert": bert,
    "Roberta": roberta,
    "XLMRoberta": roberta,
    "DistilBert": distilbert,
    "ModernBert": modernbert,
}


def model_class(family):
    """A class of the family, for one of its tasks."""
    if family in ENCODERS:
        task = draw.choice(["ForSequenceClassification", "ForTokenClassification", "ForMaskedLM"])
    else:
        task = draw.choices(["ForCausalLM", "ForSequenceClassification", "ForTokenClassification"], [3, 1, 1])[0]
    if task == "ForTokenClassification" and family in WITHOUT_TAGS:
        task = "ForCausalLM"
    names = {("GPT2", "ForCausalLM"): "GPT2LMHeadModel", ("Gemma3", "ForSequenceClassification"): "Gemma3TextForSequenceClassification"}
    return names.get((family, task), family + task)


def variant(number, seed, families):
    """The variant of that number; families take turns."""
    draw.seed(f"{seed} {number}")
    family = families[number % len(families)]
    name, settings = model_class(family), FAMILIES[family]()
    if name.endswith("Classification"):
        settings["num_labels"] = draw.choice([3, 5])
    lengths = draw.choice([(7, 13, 1, 10), (40, 3, 70, 33)])
    if "dynamic" in str(settings):
        # What transformers computes of such a row depends on the rows before, unless a short one stands between.
        lengths = (5, 13, 1, 10)
    segments = family in ("Bert", "Roberta", "XLMRoberta") and settings["type_vocab_size"] > 1 and yes()
    shards = "20KB" if yes(0.2) else None
    rope = settings.get("rope_parameters") or {}
    changes = [name for name in ("short", "four") if yes(0.3)]
    if "four" in changes and rope.get(LOCAL, {}).get("rope_type", "default") != "default":
        changes.remove("four")
    # A head that is stored keeps its name, and transformers then looks for the prefix.
    if shards is None and name.endswith(("ForCausalLM", "LMHeadModel")) and settings["tie_word_embeddings"] and yes(0.3):
        changes.append("bare")
    dtype = draw.choice([torch.bfloat16, torch.float16, torch.float32])
    return Variant(number, family, name, settings, dtype, shards, lengths, segments, changes)
