"""The fused operations, in terms of `tensor`."""

import numpy as np

from retune_sdk.mock.tensor import Tensor


def _wide(logits: Tensor) -> Tensor:
    return logits if logits.data.dtype == np.float64 else Tensor(logits.data.astype(np.float32))


def token_log_probs(logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """The log-probability of each label, zero where it is `ignore_index`."""
    if labels.data.shape != logits.data.shape[:-1] or labels.data.dtype.kind not in "iu":
        raise ValueError(f"labels {labels.told()} do not fit logits {logits.told()}")
    kept = labels.data != ignore_index
    classes = logits.data.shape[-1]
    bad = labels.data[kept & ((labels.data < 0) | (labels.data >= classes))]
    if bad.size:
        raise ValueError(f"label {bad[0]} is outside of the {classes} classes")
    at = np.where(kept, labels.data, 0)[..., None]
    chosen = np.take_along_axis(_wide(logits).log_softmax(-1).data, at, -1)[..., 0]
    return Tensor(np.where(kept, chosen, np.zeros_like(chosen)))


def mean_log_probs(logits: Tensor) -> Tensor:
    """The mean over the classes of the log-probabilities."""
    return _wide(logits).log_softmax(-1).mean([-1], False)


def kl_div(input: Tensor, target: Tensor, temperature: float, reverse: bool) -> Tensor:
    """The divergence of two distributions given as logits."""
    q, p = (_wide(each).mul_scalar(1 / temperature).log_softmax(-1) for each in (input, target))
    p, q = (q, p) if reverse else (p, q)
    return p.exp().mul(p.sub(q)).sum([-1], False)


def entropy(logits: Tensor) -> Tensor:
    """The entropy of the softmax."""
    log_p = _wide(logits).log_softmax(-1)
    return log_p.exp().mul(log_p).sum([-1], False).neg()
