"""Prints what host/train/tests/rope_scaling.rs, toy_family.rs and padding_row.rs compare with.

Weights are a formula of name and place, so that no checkpoint is needed: value j of the k-th parameter by name is
0.3 sin(0.37 j + 1.7 k), for norms 1 + that. Needs torch and transformers (written with 2.15 and 5.24).
"""
import math

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

SIZES = dict(vocab_size=24, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
             intermediate_size=24, head_dim=8, tie_word_embeddings=False, attn_implementation="eager")


def filled(model):
    with torch.no_grad():
        for k, (name, p) in enumerate(sorted(model.named_parameters())):
            j = torch.arange(p.numel(), dtype=torch.float64)
            values = 0.3 * torch.sin(0.37 * j + 1.7 * k) + (1.0 if "norm" in name else 0.0)
            p.copy_(values.reshape(p.shape).float())
    return model.eval()


def show(what, values):
    print(what, "[" + ", ".join(f"{x:.6}" for x in values.tolist()) + "]")


def row(length):
    return torch.tensor([[(7 * i + 3) % 24 for i in range(length)]])


for positions, length, rope in [
    (64, 12, dict(rope_type="default")),
    (64, 12, dict(rope_type="linear", factor=4.0)),
    (16, 20, dict(rope_type="dynamic", factor=2.0)),
    (64, 12, dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16)),
    (64, 12, dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                  original_max_position_embeddings=16)),
]:
    config = LlamaConfig(max_position_embeddings=positions, rope_parameters=dict(rope, rope_theta=10000.0), **SIZES)
    show(rope["rope_type"], filled(LlamaForCausalLM(config))(row(length)).logits[0, -1])

config = Qwen3Config(max_position_embeddings=64, hidden_act="gelu_pytorch_tanh", use_sliding_window=True, sliding_window=3,
                     layer_types=["sliding_attention", "full_attention"],
                     rope_parameters=dict(rope_type="default", rope_theta=10000.0), **SIZES)
show("toy", filled(Qwen3ForCausalLM(config))(row(12)).logits[0, -1])

# The gradient of the token table where the end token is the padding token as well.
for tied in (False, True):
    config = LlamaConfig(max_position_embeddings=64, pad_token_id=2, eos_token_id=2,
                         rope_parameters=dict(rope_type="default", rope_theta=10000.0),
                         **dict(SIZES, tie_word_embeddings=tied))
    model = filled(LlamaForCausalLM(config))
    ids = torch.tensor([[5, 9, 2, 7, 11, 2]])
    model(ids, labels=ids).loss.backward()
    gradient = model.model.embed_tokens.weight.grad
    show(f"tied={tied} row of token 2", gradient[2])
    show(f"tied={tied} row of token 9", gradient[9])
