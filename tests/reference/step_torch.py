#!/usr/bin/env python3
"""One training step of a Llama in plain PyTorch, to stand beside the same step in retune.

    python3 tests/reference/step_torch.py --config CONFIG.json --batch 8 --seq 256 --device cpu --steps 5

The model is what `config.json` says (Hugging Face's keys), with random weights: embeddings, RMS norm, rotary
positions, grouped attention through `scaled_dot_product_attention`, SwiGLU, tied or separate head. The step is forward,
mean cross-entropy over all tokens, backward, clipping to norm 1, AdamW; float32. Needs torch alone.

Prints one JSON object: seconds a step (median and best), first and last loss.
"""

import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return x * cos + turned * sin


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.size = hidden // self.heads
        self.norm1, self.norm2 = (nn.RMSNorm(hidden, eps=config["rms_norm_eps"]) for _ in range(2))
        self.q = nn.Linear(hidden, self.heads * self.size, bias=False)
        self.k = nn.Linear(hidden, self.kv_heads * self.size, bias=False)
        self.v = nn.Linear(hidden, self.kv_heads * self.size, bias=False)
        self.o = nn.Linear(self.heads * self.size, hidden, bias=False)
        self.gate = nn.Linear(hidden, inner, bias=False)
        self.up = nn.Linear(hidden, inner, bias=False)
        self.down = nn.Linear(inner, hidden, bias=False)

    def forward(self, x, cos, sin):
        batch, seq, _ = x.shape
        normed = self.norm1(x)
        split = lambda t, heads: t.view(batch, seq, heads, self.size).transpose(1, 2)
        q = rotate(split(self.q(normed), self.heads), cos, sin)
        k = rotate(split(self.k(normed), self.kv_heads), cos, sin)
        v = split(self.v(normed), self.kv_heads)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.heads != self.kv_heads)
        x = x + self.o(attended.transpose(1, 2).reshape(batch, seq, -1))
        normed = self.norm2(x)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden = config["hidden_size"]
        self.embed = nn.Embedding(config["vocab_size"], hidden)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config["num_hidden_layers"]))
        self.norm = nn.RMSNorm(hidden, eps=config["rms_norm_eps"])
        self.head = nn.Linear(hidden, config["vocab_size"], bias=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=config["initializer_range"])
        if config.get("tie_word_embeddings"):
            self.head.weight = self.embed.weight
        self.size, self.theta = hidden // config["num_attention_heads"], config["rope_theta"]

    def forward(self, ids):
        positions = torch.arange(ids.shape[1], device=ids.device, dtype=torch.float32)
        inverse = self.theta ** (-torch.arange(0, self.size, 2, device=ids.device, dtype=torch.float32) / self.size)
        angles = torch.outer(positions, inverse).repeat(1, 2)
        cos, sin = angles.cos(), angles.sin()
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.head(self.norm(x))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seq", type=int, default=256)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with open(options.config, encoding="utf-8") as file:
        config = json.load(file)
    torch.manual_seed(0)
    model = Llama(config).to(options.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
    ids = torch.randint(0, config["vocab_size"], (options.batch, options.seq + 1)).to(options.device)
    wait = torch.cuda.synchronize if options.device.startswith("cuda") else lambda: None
    seconds, losses = [], []
    for step in range(options.warmup + options.steps):
        wait()
        started = time.perf_counter()
        loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        wait()
        if step >= options.warmup:
            seconds.append(time.perf_counter() - started)
    print(
        json.dumps(
            {
                "torch": torch.__version__,
                "parameters": sum(p.numel() for p in model.parameters()),
                "median_seconds": round(statistics.median(seconds), 6),
                "best_seconds": round(min(seconds), 6),
                "first_loss": round(losses[0], 4),
                "last_loss": round(losses[-1], 4),
            }
        )
    )


if __name__ == "__main__":
    main()
