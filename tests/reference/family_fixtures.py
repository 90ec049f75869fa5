"""Writes tests/fixtures/families: a small random model of each family and variant, and what transformers makes of it.

    python tests/reference/family_fixtures.py [NAME...]

A new family is an entry of `FIXTURES`: a name, the class, and what its configuration says beyond `SIZES`. Written are
config.json, the weights in bfloat16 (half the bytes, and the export has a format to keep), and expected.safetensors:
`input_ids`, `lengths`, `labels`, `logits`, `loss`, for every parameter a `grad.<name>`, and `losses` of 20 AdamW steps on
the same rows. Of a matrix the gradient is multiplied with a fixed vector, so that every value of it counts and few are
kept. `host/train/tests/families.rs` reads whatever lies there.
"""

import json
import sys

import torch
import transformers
from make_fixtures import FIXTURES as ROOT
from make_fixtures import fresh, write_expected
from safetensors import safe_open

STEPS, RATE, DECAY = 20, 2e-3, 0.01
VOCAB, PADDING, MASK = 67, 0, 3

# Settings that nearly all configurations understand; DistilBERT and GPT-2 have other names for some.
SIZES = dict(
    vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24,
    max_position_embeddings=64, initializer_range=0.02, pad_token_id=PADDING, bos_token_id=1, eos_token_id=2,
)
GROUPED = dict(SIZES, num_key_value_heads=2)
LAYERS3 = ["sliding_attention", "full_attention", "sliding_attention"]


def rope(theta=10000.0, rope_type="default", **settings):
    return dict(rope_type=rope_type, rope_theta=theta, **settings)


LLAMA3 = rope(5e5, "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
YARN = rope(1e4, "yarn", factor=4.0, original_max_position_embeddings=8)

FIXTURES = {
    "llama-scaled-tied": ("LlamaForCausalLM", dict(GROUPED, rope_parameters=LLAMA3, tie_word_embeddings=True)),
    "llama-gelu": ("LlamaForCausalLM", dict(GROUPED, hidden_act="gelu", mlp_bias=True, num_key_value_heads=4)),
    "qwen2": ("Qwen2ForCausalLM", dict(GROUPED, rope_parameters=rope(1e6))),
    "qwen2-window-tied": ("Qwen2ForCausalLM", dict(
        GROUPED, num_hidden_layers=3, num_key_value_heads=1, use_sliding_window=True, sliding_window=4, max_window_layers=1,
        tie_word_embeddings=True, rope_parameters=YARN)),
    "qwen2-classifier": ("Qwen2ForSequenceClassification", dict(GROUPED, num_labels=3)),
    "mistral": ("MistralForCausalLM", dict(GROUPED, sliding_window=4)),
    "mistral-wide-heads": ("MistralForCausalLM", dict(
        GROUPED, sliding_window=None, head_dim=12, num_key_value_heads=1, tie_word_embeddings=True,
        rope_parameters=rope(rope_type="linear", factor=4.0))),
    "mistral-classifier": ("MistralForSequenceClassification", dict(GROUPED, sliding_window=3, num_labels=3)),
    "qwen3": ("Qwen3ForCausalLM", dict(GROUPED, head_dim=12, rope_parameters=rope(1e6))),
    "qwen3-bias-tied": ("Qwen3ForCausalLM", dict(
        GROUPED, num_hidden_layers=3, head_dim=16, num_key_value_heads=1, attention_bias=True, tie_word_embeddings=True,
        use_sliding_window=True, sliding_window=4, layer_types=LAYERS3, rope_parameters=YARN)),
    "qwen3-classifier": ("Qwen3ForSequenceClassification", dict(GROUPED, head_dim=8, num_labels=3)),
    "phi3": ("Phi3ForCausalLM", dict(GROUPED, sliding_window=5)),
    "phi3-longrope-partial": ("Phi3ForCausalLM", dict(
        GROUPED, num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True, original_max_position_embeddings=32,
        rope_parameters=rope(rope_type="longrope", partial_rotary_factor=0.75, short_factor=[1.0, 1.1, 1.3, 1.5, 2.0, 2.5],
                             long_factor=[1.0, 1.5, 2.0, 4.0, 6.0, 8.0]))),
    "phi3-longrope-long": ("Phi3ForCausalLM", dict(
        GROUPED, original_max_position_embeddings=8,
        rope_parameters=rope(rope_type="longrope", short_factor=[1.0, 1.1, 1.3, 1.5], long_factor=[1.0, 1.5, 2.0, 4.0]))),
    "phi3-classifier": ("Phi3ForSequenceClassification", dict(GROUPED, num_labels=3)),
    "gemma2": ("Gemma2ForCausalLM", dict(
        GROUPED, head_dim=12, sliding_window=4, query_pre_attn_scalar=20, attn_logit_softcapping=4.0,
        final_logit_softcapping=3.0)),
    "gemma2-uncapped": ("Gemma2ForCausalLM", dict(
        GROUPED, head_dim=8, num_key_value_heads=1, sliding_window=4, attn_logit_softcapping=None,
        final_logit_softcapping=None, tie_word_embeddings=False, attention_bias=True, hidden_activation="gelu")),
    "gemma2-classifier": ("Gemma2ForSequenceClassification", dict(GROUPED, head_dim=8, sliding_window=4, num_labels=3)),
    "gemma3": ("Gemma3ForCausalLM", dict(
        GROUPED, num_hidden_layers=3, head_dim=12, sliding_window=4, query_pre_attn_scalar=20, layer_types=LAYERS3,
        rope_parameters=dict(full_attention=rope(1e6, "linear", factor=8.0), sliding_attention=rope(1e4)))),
    "gemma3-capped": ("Gemma3ForCausalLM", dict(
        GROUPED, num_hidden_layers=2, head_dim=8, num_key_value_heads=1, sliding_window=3, sliding_window_pattern=2,
        attn_logit_softcapping=None, final_logit_softcapping=3.0, tie_word_embeddings=False, attention_bias=True)),
    "gemma3-classifier": ("Gemma3TextForSequenceClassification", dict(GROUPED, head_dim=8, sliding_window=4, num_labels=3)),
    "olmo2": ("Olmo2ForCausalLM", dict(GROUPED)),
    "olmo2-bias-tied": ("Olmo2ForCausalLM", dict(
        GROUPED, num_key_value_heads=1, attention_bias=True, tie_word_embeddings=True, rope_parameters=LLAMA3)),
    "olmo2-classifier": ("Olmo2ForSequenceClassification", dict(GROUPED, num_labels=3)),
    "smollm3": ("SmolLM3ForCausalLM", dict(GROUPED, num_hidden_layers=3, no_rope_layer_interval=2)),
    "smollm3-window-untied": ("SmolLM3ForCausalLM", dict(
        GROUPED, num_hidden_layers=3, num_key_value_heads=1, no_rope_layers=[0, 1, 0], use_sliding_window=True, sliding_window=4,
        tie_word_embeddings=False, attention_bias=True, mlp_bias=True, rope_parameters=YARN)),
    "smollm3-classifier": ("SmolLM3ForSequenceClassification", dict(GROUPED, no_rope_layer_interval=2, num_labels=3)),
    "roberta": ("RobertaForSequenceClassification", dict(SIZES, pad_token_id=1, bos_token_id=0, num_labels=3)),
    "xlm-roberta": ("XLMRobertaForSequenceClassification", dict(
        SIZES, pad_token_id=3, bos_token_id=0, type_vocab_size=1, layer_norm_eps=1e-5, hidden_act="gelu_new", num_labels=4,
        max_position_embeddings=17)),
    "distilbert": ("DistilBertForSequenceClassification", dict(
        vocab_size=VOCAB, dim=32, n_layers=2, n_heads=4, hidden_dim=24, max_position_embeddings=16, num_labels=3)),
    "distilbert-relu": ("DistilBertForSequenceClassification", dict(
        vocab_size=VOCAB, dim=32, n_layers=2, n_heads=2, hidden_dim=40, activation="relu", sinusoidal_pos_embds=True,
        max_position_embeddings=32, num_labels=3)),
    "gpt2": ("GPT2LMHeadModel", dict(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=16, n_inner=24)),
    "gpt2-untied": ("GPT2LMHeadModel", dict(
        vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=2, n_positions=32, activation_function="relu",
        scale_attn_by_inverse_layer_idx=True, scale_attn_weights=False, reorder_and_upcast_attn=True,
        tie_word_embeddings=False)),
    "gpt2-classifier": ("GPT2ForSequenceClassification", dict(
        vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=16, n_inner=24, num_labels=3, pad_token_id=PADDING)),
    "modernbert": ("ModernBertForSequenceClassification", dict(
        SIZES, num_hidden_layers=4, local_attention=4, global_attn_every_n_layers=3, num_labels=3)),
    "modernbert-mean": ("ModernBertForSequenceClassification", dict(
        SIZES, num_hidden_layers=2, local_attention=6, layer_types=["sliding_attention", "full_attention"], num_labels=3,
        classifier_pooling="mean", norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True,
        hidden_activation="silu", classifier_activation="relu",
        rope_parameters=dict(full_attention=rope(1e5), sliding_attention=rope(1e3)))),
}


def inside(model, seed):
    """Rows with the padding token inside and at the end; without one, with the end token and the last of the vocabulary inside."""
    ids, mask, lengths = inputs(model, seed)
    padding = model.config.pad_token_id
    if padding is not None and padding >= 0:
        ids[0, 2], ids[1, lengths[1] - 1] = padding, padding
    else:
        ids[0, 2], ids[1, 3] = model.config.vocab_size - 1, model.config.eos_token_id
    return ids, mask, lengths


def both_ropes(directory):
    """`rope_scaling` of transformers 4 beside other `rope_parameters`."""
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config["rope_scaling"] = dict(config["rope_parameters"], type="linear")
    del config["rope_scaling"]["rope_type"], config["rope_scaling"]["rope_theta"]
    config["rope_theta"] = config["rope_parameters"]["rope_theta"]
    config["rope_parameters"] = rope(77.0, "yarn", factor=2.0)
    path.write_text(json.dumps(config, indent=2) + "\n")


# What random variants found to differ: the same, with arguments of `record`.
FOUND = {
    "gpt2-padded": ("GPT2LMHeadModel", dict(
        vocab_size=VOCAB, n_embd=32, n_layer=1, n_head=4, n_positions=16, n_inner=24, pad_token_id=PADDING), dict(rows=inside)),
    "llama-padding-minus-one": ("LlamaForCausalLM", dict(GROUPED, num_hidden_layers=1, pad_token_id=-1), dict(rows=inside)),
    "qwen2-classifier-unpadded": ("Qwen2ForSequenceClassification", dict(
        GROUPED, num_hidden_layers=1, pad_token_id=None, num_labels=3), dict(rows=inside)),
    "gemma3-attention-cap": ("Gemma3ForCausalLM", dict(
        GROUPED, num_hidden_layers=1, head_dim=8, sliding_window=4, attn_logit_softcapping=0.5), dict(rows=inside)),
    "mistral-both-ropes": ("MistralForCausalLM", dict(
        GROUPED, num_hidden_layers=1, sliding_window=None, rope_parameters=rope(3e3, "linear", factor=4.0)), dict(change=both_ropes)),
}


def disturb(model, seed):
    """Gives every parameter values that matter: biases and norms are not at 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    around_zero = model.config.model_type.startswith("gemma")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(noise * 0.12)
            elif name.endswith("bias") or around_zero:
                parameter.copy_(noise * 0.1)
            else:
                parameter.copy_(1 + noise * 0.1)


def inputs(model, seed, lengths=(7, 13, 1, 10)):
    """Rows of mixed lengths, as long as the model has positions, padded on the right. RoBERTa's have the padding token inside
    a row too: it has no position."""
    padding = model.config.pad_token_id or 0
    generator = torch.Generator().manual_seed(seed)
    roberta = "roberta" in model.config.model_type
    most = model.config.max_position_embeddings - (padding + 1 if roberta else 0)
    lengths = [min(length, most) for length in lengths]
    ids = torch.full((len(lengths), max(lengths)), padding)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(padding + 1, model.config.vocab_size, (length,), generator=generator)
    if roberta:
        ids[1, 4] = padding
    mask = (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]).long()
    return ids, mask, torch.tensor(lengths)


def shown(gradient):
    """A vector as it is; of a matrix its product with cos(0), cos(1), …"""
    if gradient.dim() == 1:
        return gradient
    return (gradient.double() @ torch.cos(torch.arange(gradient.shape[1], dtype=torch.float64))).float()


def write(name, seed):
    class_name, settings, *more = (FIXTURES | FOUND)[name]
    directory = fresh(f"families/{name}")
    losses = record(directory, class_name, settings, seed, **(more[0] if more else {}))
    size = sum(path.stat().st_size for path in directory.iterdir())
    print(f"{name}: loss {losses[0]:.4f} to {losses[-1]:.4f}, {size / 1024:.0f} KiB")


def labels_of(model, ids, lengths, seed):
    """Labels beside ids, -100 on padding and at a third of the tokens; for a masked model, ids with masks and what was there."""
    generator = torch.Generator().manual_seed(seed)
    real = torch.arange(ids.shape[1])[None] < lengths[:, None]
    if type(model).__name__.endswith("TokenClassification"):
        labels = torch.randint(0, model.config.num_labels, ids.shape, generator=generator)
        kept = torch.rand(ids.shape, generator=generator) > 0.33
        return ids, torch.where(real & kept, labels, -100)
    chosen = real & (torch.rand(ids.shape, generator=generator) < 0.4)
    # Padding inside a row moves RoBERTa's positions, and is never chosen.
    chosen &= ids != (model.config.pad_token_id or 0)
    masked = torch.where(chosen & (torch.rand(ids.shape, generator=generator) < 0.8), MASK, ids)
    return masked, torch.where(chosen, ids, -100)


def stored_names(directory):
    return {name for path in directory.glob("*.safetensors") for name in safe_open(path, "pt").keys()}


def record(directory, class_name, settings, seed, *, dtype=torch.bfloat16, shards=None, change=None, rows=inputs, segments=False):
    """Writes a model of that class and what it computes to `directory`, and gives the losses of its steps.

    `change` rewrites what was saved, before transformers reads it again; `rows` draws ids, mask and lengths for a model; with
    `segments` each row has tokens of a second segment.
    """
    model_class = getattr(transformers, class_name)
    config = model_class.config_class(**settings)
    model = model_class(config)
    disturb(model, seed)
    model.to(dtype).save_pretrained(directory, **(dict(max_shard_size=shards) if shards else {}))
    for path in directory.glob("generation_config.json"):
        path.unlink()
    # Of the names of a tied parameter, the one that is stored.
    stored = stored_names(directory)
    if change:
        change(directory)
    # Read again: converting in place would round the rotary frequencies too.
    model, info = model_class.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    if any(info.values()):
        raise ValueError(f"transformers does not find what was saved: {info}")
    model.eval()

    ids, mask, lengths = rows(model, seed + 1)
    if class_name.endswith("SequenceClassification"):
        given = torch.arange(len(lengths)) * 2 % model.config.num_labels
    elif class_name.endswith(("TokenClassification", "MaskedLM")):
        ids, given = labels_of(model, ids, lengths, seed + 2)
    else:
        labels = torch.where(mask == 1, ids, -100)
        given = torch.cat([labels[:, 1:], torch.full((len(lengths), 1), -100)], 1)
    # A row at a time, because some scalings of positions take the longest row of the batch.
    each = [dict(input_ids=ids[i : i + 1, :n], attention_mask=mask[i : i + 1, :n]) for i, n in enumerate(lengths)]
    kinds = (torch.arange(ids.shape[1])[None] >= 2).expand(ids.shape).long() * mask
    if segments:
        each = [dict(row, token_type_ids=kinds[i : i + 1, :n]) for i, (row, n) in enumerate(zip(each, lengths))]
    counted = (given != -100).sum()

    def run():
        logits = [model(**row).logits for row in each]
        scores = []
        for i, row in enumerate(logits):
            wanted = given[i, : lengths[i]] if given.dim() == 2 else given[i : i + 1]
            scores.append(torch.nn.functional.cross_entropy(row.reshape(-1, row.shape[-1]), wanted, reduction="sum", ignore_index=-100))
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
    expected |= {"token_type_ids": kinds} if segments else {}
    named = model.named_parameters(remove_duplicate=False)
    expected |= {f"grad.{n}": shown(p.grad) for n, p in named if n in stored and p.grad is not None}

    matrices = [p for p in model.parameters() if p.dim() > 1 and p.requires_grad]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [dict(params=matrices, weight_decay=DECAY), dict(params=vectors, weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        _, loss = run()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    expected["losses"] = torch.stack(losses)
    write_expected(directory, expected)
    return losses


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for seed, name in enumerate(FIXTURES | FOUND):
        if not wanted or name in wanted:
            write(name, 100 + 10 * seed)
    strange = {path.name for path in (ROOT / "families").iterdir()} - set(FIXTURES | FOUND)
    print(json.dumps(sorted(strange)), "are there without an entry") if strange else None
