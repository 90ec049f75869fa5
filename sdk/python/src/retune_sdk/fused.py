"""Operations the host runs as one kernel, or chunk by chunk.

Prefer them over a large vocabulary: `token_log_probs` makes no second tensor of the size of the logits. All give float32
(float64 for float64), and gradients flow through them.
"""

from __future__ import annotations

from typing import Any

from retune_sdk import backend
from retune_sdk.tensor import Tensor

IGNORE_INDEX = -100


def _ops() -> Any:
    return backend.lent(backend.fused, "tensors", "a loss or a metric of tensors")


def token_log_probs(logits: Tensor, labels: Tensor, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """The log-probability of each label, and zero where it is `ignore_index`: `[.., vocab] x [..] -> [..]`."""
    return Tensor(_ops().token_log_probs(logits.raw, labels.raw, ignore_index))


def mean_log_probs(logits: Tensor) -> Tensor:
    """`logits.log_softmax(-1).mean(-1)`: the term of label smoothing, `[.., vocab] -> [..]`."""
    return Tensor(_ops().mean_log_probs(logits.raw))


def kl_div(input: Tensor, target: Tensor, temperature: float = 1.0, reverse: bool = False) -> Tensor:
    """`sum(p (log p - log q), -1)`, `p` of `target` and `q` of `input`, both softmax of logits over `temperature`.

    `reverse` swaps the two. Not multiplied by the square of the temperature.
    """
    return Tensor(_ops().kl_div(input.raw, target.raw, float(temperature), reverse))


def entropy(logits: Tensor) -> Tensor:
    """`-sum(p log p, -1)` with `p = softmax(logits)`: `[.., vocab] -> [..]`."""
    return Tensor(_ops().entropy(logits.raw))
