"""Writes tests/fixtures: small random models, and what transformers computes with them.

    python tests/reference/make_fixtures.py [DIRECTORY OF all-MiniLM-L6-v2]

Each fixture is a directory with config.json, the weights, and expected.safetensors:
inputs (`input_ids`, `lengths`, ...), `last_hidden`, `logits`, `loss` and `grad.<parameter>`. Weights are larger than a fresh
model's, and biases and norms are not at 0 and 1, so that a slip in any of them shows.
all-MiniLM-L6-v2 is not copied: only its outputs for fixed token ids are kept.
"""

import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import (
    AutoModel,
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
)

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"


def disturb(model, seed):
    """Gives every parameter values that matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(noise * 0.12)
            elif name.endswith("bias"):
                parameter.copy_(noise * 0.1)
            else:
                parameter.copy_(1 + noise * 0.1)


def rows(vocab, lengths, seed, padding):
    """Random ids, padded on the right; never the padding token itself."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.full((len(lengths), max(lengths)), padding)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(padding + 1, vocab, (length,), generator=generator)
    mask = (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]).long()
    return ids, mask


def fresh(name):
    directory = FIXTURES / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def write_expected(directory, tensors):
    tensors = {k: v.detach().contiguous().clone() for k, v in tensors.items()}
    save_file({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}, directory / "expected.safetensors")


def run(model, inputs, labels, gradients):
    model.eval()
    model.zero_grad()
    out = model(**inputs, labels=labels, output_hidden_states=True)
    out.loss.backward()
    parameters = dict(model.named_parameters())
    expected = {"last_hidden": out.hidden_states[-1], "logits": out.logits, "loss": out.loss.reshape(1)}
    expected |= {f"grad.{name}": parameters[name].grad for name in gradients}
    return expected


def bert():
    directory = fresh("bert-tiny")
    config = BertConfig(
        vocab_size=200, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
        max_position_embeddings=40, type_vocab_size=2, num_labels=5,
    )
    model = BertForSequenceClassification(config)
    disturb(model, 1)
    model.save_pretrained(directory)
    lengths = [7, 13, 1, 10]
    ids, mask = rows(200, lengths, 2, 0)
    segments = ((torch.arange(13)[None] >= 4) & (mask == 1)).long()
    segments[2:] = 0
    labels = torch.tensor([3, 0, 4, 1])
    gradients = [
        "bert.embeddings.word_embeddings.weight",
        "bert.embeddings.position_embeddings.weight",
        "bert.embeddings.token_type_embeddings.weight",
        "bert.embeddings.LayerNorm.weight",
        "bert.encoder.layer.0.attention.self.query.weight",
        "bert.encoder.layer.0.attention.self.key.bias",
        "bert.encoder.layer.0.attention.output.LayerNorm.bias",
        "bert.encoder.layer.1.attention.self.value.weight",
        "bert.encoder.layer.1.intermediate.dense.weight",
        "bert.encoder.layer.1.output.dense.bias",
        "bert.encoder.layer.1.output.LayerNorm.weight",
        "bert.pooler.dense.weight",
        "classifier.weight",
        "classifier.bias",
    ]
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments}
    expected = run(model, inputs, labels, gradients)
    expected |= {"input_ids": ids, "token_type_ids": segments, "lengths": torch.tensor(lengths), "labels": labels}
    write_expected(directory, expected)


def llama_config(**changes):
    settings = dict(
        vocab_size=256, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=112, max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=5000.0,
        bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=False,
    )
    return LlamaConfig(**(settings | changes))


def llama():
    directory = fresh("llama-tiny")
    model = LlamaForCausalLM(llama_config())
    disturb(model, 3)
    model.save_pretrained(directory)
    lengths = [9, 16, 2, 12]
    ids, mask = rows(256, lengths, 4, 0)
    labels = torch.where(mask == 1, ids, -100)
    gradients = [
        "model.embed_tokens.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.self_attn.k_proj.weight",
        "model.layers.0.input_layernorm.weight",
        "model.layers.1.self_attn.v_proj.weight",
        "model.layers.1.self_attn.o_proj.weight",
        "model.layers.1.mlp.gate_proj.weight",
        "model.layers.1.mlp.up_proj.weight",
        "model.layers.1.post_attention_layernorm.weight",
        "model.norm.weight",
        "lm_head.weight",
    ]
    expected = run(model, {"input_ids": ids, "attention_mask": mask}, labels, gradients)
    shifted = torch.cat([labels[:, 1:], torch.full((len(lengths), 1), -100)], 1)
    expected |= {"input_ids": ids, "lengths": torch.tensor(lengths), "labels": shifted}
    write_expected(directory, expected)

    # The same model in bfloat16, in shards; expected: its rounded weights, run in float32.
    directory = fresh("llama-tiny-bf16-sharded")
    model.to(torch.bfloat16).save_pretrained(directory, max_shard_size="80KB")
    assert (directory / "model.safetensors.index.json").exists()
    # Read again: converting in place would round the rotary frequencies too.
    rounded = LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)
    expected = run(rounded, {"input_ids": ids, "attention_mask": mask}, labels, ["model.norm.weight"])
    expected |= {"input_ids": ids, "lengths": torch.tensor(lengths), "labels": shifted}
    keep = ("input_ids", "lengths", "labels", "logits", "loss", "grad.model.norm.weight")
    write_expected(directory, {k: expected[k] for k in keep})


def llama_classifier():
    """Width and heads apart, biases on, rope settings in the older spelling."""
    directory = fresh("llama-classifier-tiny")
    config = llama_config(
        hidden_size=32, num_hidden_layers=1, head_dim=12, num_key_value_heads=1, intermediate_size=40, vocab_size=96,
        attention_bias=True, mlp_bias=True, num_labels=3,
    )
    model = LlamaForSequenceClassification(config)
    disturb(model, 5)
    model.save_pretrained(directory)
    path = directory / "config.json"
    written = json.loads(path.read_text())
    written["rope_theta"] = written.pop("rope_parameters")["rope_theta"]
    written["rope_scaling"] = None
    path.write_text(json.dumps(written, indent=2) + "\n")
    lengths = [5, 11, 1]
    ids, mask = rows(96, lengths, 6, 0)
    labels = torch.tensor([2, 0, 1])
    gradients = ["model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.bias", "model.layers.0.mlp.down_proj.bias", "score.weight"]
    expected = run(model, {"input_ids": ids, "attention_mask": mask}, labels, gradients)
    expected |= {"input_ids": ids, "lengths": torch.tensor(lengths), "labels": labels}
    write_expected(directory, expected)


def minilm(source):
    """Outputs of all-MiniLM-L6-v2 for fixed ids; a test that has the checkpoint compares."""
    directory = fresh("minilm")
    model = AutoModel.from_pretrained(source).eval()
    texts = [
        [101, 2129, 2079, 1045, 12210, 2026, 4003, 1029, 102],
        [101, 1996, 4248, 2829, 4419, 14523, 2058, 1996, 13971, 3899, 1012, 2008, 2001, 2146, 3283, 102],
        [101, 2748, 102],
    ]
    lengths = [len(t) for t in texts]
    ids = torch.tensor([t + [0] * (max(lengths) - len(t)) for t in texts])
    mask = (ids != 0).long()
    with torch.no_grad():
        hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
    mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    embeddings = torch.nn.functional.normalize(mean, dim=1)
    write_expected(directory, {
        "input_ids": ids, "lengths": torch.tensor(lengths), "embeddings": embeddings,
        "first_hidden": hidden[:, 0],
    })


if __name__ == "__main__":
    bert()
    llama()
    llama_classifier()
    if len(sys.argv) > 1:
        minilm(sys.argv[1])
    for path in sorted(FIXTURES.rglob("generation_config.json")):
        path.unlink()
