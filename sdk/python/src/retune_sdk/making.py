"""Making tensors on the host's device. Those made in `__init__` stay, others are taken back when the call ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retune_sdk.tensor import Dtype, Tensor, _ops, _raw_dtype


def tensor(data: Any, dtype: Dtype | None = None) -> Tensor:
    """A tensor of nested lists or of a number: int64 where all are whole, else float32."""
    shape, level = [], data
    while isinstance(level, (list, tuple)):
        shape.append(len(level))
        level = level[0] if level else None
    flat = [data] if not shape else list(data)
    for size in shape[1:]:
        if any(not isinstance(row, (list, tuple)) or len(row) != size for row in flat):
            raise ValueError(f"rows of unequal length; the first gives the shape {shape}")
        flat = [each for row in flat for each in row]
    whole = bool(flat) and all(isinstance(each, int) for each in flat)
    made = _ops().from_int64(flat, shape) if whole else _ops().from_float32([each * 1.0 for each in flat], shape)
    return Tensor(made) if dtype is None else Tensor(made).to(dtype)


def full(shape: Sequence[int], value: float, dtype: Dtype = Dtype.FLOAT32) -> Tensor:
    """One value everywhere."""
    return Tensor(_ops().full(list(shape), value * 1.0, _raw_dtype(dtype)))


def arange(start: int, end: int, step: int = 1) -> Tensor:
    """`start, start + step, ..` up to and without `end`, int64."""
    return Tensor(_ops().arange(start, end, step))


def eye(n: int, dtype: Dtype = Dtype.FLOAT32) -> Tensor:
    """The identity matrix."""
    return Tensor(_ops().eye(n, _raw_dtype(dtype)))


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Joins tensors along a dimension they have."""
    return Tensor(_ops().cat([each.raw for each in tensors], dim))


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Joins tensors of one shape along a new dimension."""
    return Tensor(_ops().stack([each.raw for each in tensors], dim))


def uniform(shape: Sequence[int], low: float = 0.0, high: float = 1.0, *, seed: int) -> Tensor:
    """Uniform on `[low, high)`: a function of seed and shape, the same on every device."""
    return Tensor(_ops().uniform(list(shape), low * 1.0, high * 1.0, seed))


def normal(shape: Sequence[int], mean: float = 0.0, std: float = 1.0, *, seed: int) -> Tensor:
    """Normal: a function of seed and shape, the same on every device."""
    return Tensor(_ops().normal(list(shape), mean * 1.0, std * 1.0, seed))
