"""Tensors as NumPy arrays, with the methods of the contract's `tensor` and its rules of types and shapes.

Not as on the host: random numbers are NumPy's, and there is no bfloat16. Sums are NumPy's own order of float32, so compare
with a tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from retune_sdk.mock.types import Dtype

_NUMPY = {
    Dtype.FLOAT32: np.float32,
    Dtype.FLOAT16: np.float16,
    Dtype.FLOAT64: np.float64,
    Dtype.INT64: np.int64,
    Dtype.INT32: np.int32,
    Dtype.UINT8: np.uint8,
    Dtype.BOOLEAN: np.bool_,
}
_CONTRACT = {np.dtype(numpy): dtype for dtype, numpy in _NUMPY.items()}
_erf = np.vectorize(math.erf, otypes=[np.float64])


def _numpy(dtype: Dtype) -> Any:
    if dtype not in _NUMPY:
        raise ValueError(f"tests have no tensors of {dtype.name.lower()}; use float32")
    return _NUMPY[dtype]


class Tensor:
    """An array."""

    def __init__(self, data: Any) -> None:
        self.data = np.asarray(data)
        if self.data.ndim > 8:
            raise ValueError(f"a tensor has at most 8 dimensions, this has {self.data.ndim}")

    def told(self) -> str:
        """Type and shape, for messages."""
        return f"{self.data.dtype}{list(self.data.shape)}"

    def shape(self) -> list[int]:
        return list(self.data.shape)

    def dtype(self) -> Dtype:
        return _CONTRACT[self.data.dtype]

    def numel(self) -> int:
        return self.data.size

    def to_float32(self) -> list[float]:
        return self.data.astype(np.float32).ravel().tolist()

    def to_int64(self) -> list[int]:
        return self.data.astype(np.int64).ravel().tolist()

    def item(self) -> float:
        if self.data.size != 1:
            raise ValueError(f"item is for one element, this is {self.told()}")
        return float(self.data.reshape(()))

    # Shape

    def reshape(self, shape: list[int]) -> Tensor:
        return Tensor(self.data.reshape(shape))

    def permute(self, dims: list[int]) -> Tensor:
        return Tensor(self.data.transpose(dims))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        return Tensor(self.data.swapaxes(dim0, dim1))

    def expand(self, shape: list[int]) -> Tensor:
        own = [1] * (len(shape) - self.data.ndim) + list(self.data.shape)
        sizes = [had if size == -1 else size for size, had in zip(shape, own, strict=True)]
        return Tensor(np.broadcast_to(self.data, sizes))

    def squeeze(self, dim: int) -> Tensor:
        return Tensor(self.data.squeeze(dim))

    def unsqueeze(self, dim: int) -> Tensor:
        return Tensor(np.expand_dims(self.data, dim))

    def slice(self, dim: int, start: int, end: int, step: int) -> Tensor:
        at: list[Any] = [slice(None)] * self.data.ndim
        at[self._dim(dim)] = slice(start, end, step)
        return Tensor(self.data[tuple(at)])

    def flip(self, dims: list[int]) -> Tensor:
        return Tensor(np.flip(self.data, tuple(dims) or None))

    def repeat(self, dim: int, times: int) -> Tensor:
        return Tensor(np.concatenate([self.data] * times, dim))

    def cast(self, to: Dtype) -> Tensor:
        data = np.trunc(self.data) if _numpy(to) in (np.int64, np.int32, np.uint8) and self._float() else self.data
        return Tensor(data.astype(_numpy(to)))

    # Selection

    def gather(self, dim: int, index: Tensor) -> Tensor:
        self._inside(dim, index)
        return Tensor(np.take_along_axis(self.data, index.data, dim))

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        self._inside(dim, index)
        return Tensor(np.take(self.data, index.data, dim))

    def scatter_add(self, dim: int, index: Tensor, src: Tensor) -> Tensor:
        self._inside(dim, index)
        at = list(np.indices(index.data.shape))
        at[self._dim(dim)] = index.data
        out = self.data.copy()
        np.add.at(out, tuple(at), src.data)
        return Tensor(out)

    def where(self, then: Tensor, otherwise: Tensor) -> Tensor:
        self._truth("where")
        a, b = self._meet(then, otherwise, "where")
        return Tensor(np.where(self.data, a, b))

    def masked_fill(self, mask: Tensor, value: float) -> Tensor:
        mask._truth("masked_fill")
        return Tensor(np.where(mask.data, self.data.dtype.type(value), self.data))

    def one_hot(self, classes: int) -> Tensor:
        if self.data.size and not (0 <= self.data.min() and self.data.max() < classes):
            raise ValueError(f"one_hot: {self.data.min()}..{self.data.max()} is outside of {classes} classes")
        return Tensor((self.data[..., None] == np.arange(classes)).astype(np.int64))

    def top_k(self, k: int, dim: int) -> tuple[Tensor, Tensor]:
        values, places = self.sort(dim, True)
        return values.slice(dim, 0, k, 1), places.slice(dim, 0, k, 1)

    def sort(self, dim: int, descending: bool) -> tuple[Tensor, Tensor]:
        places = np.argsort(-self.data if descending else self.data, axis=dim, kind="stable").astype(np.int64)
        return Tensor(np.take_along_axis(self.data, places, dim)), Tensor(places)

    # Arithmetic

    def div(self, rhs: Tensor) -> Tensor:
        a, b = self._meet(self, rhs, "div")
        if a.dtype.kind == "f":
            return Tensor(_quiet(np.true_divide, a, b))
        if not b.all():
            raise ValueError("div: an integer is divided by zero")
        return Tensor((np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype))

    def add_scalar(self, rhs: float) -> Tensor:
        return Tensor(_quiet(np.add, self.data, self._scalar(rhs)))

    def mul_scalar(self, rhs: float) -> Tensor:
        return Tensor(_quiet(np.multiply, self.data, self._scalar(rhs)))

    def pow_scalar(self, rhs: float) -> Tensor:
        return Tensor(_quiet(np.power, self.data, self._scalar(rhs)))

    def clamp(self, min: float | None, max: float | None) -> Tensor:
        low, high = (None if each is None else self._scalar(each) for each in (min, max))
        data = self.data if low is None else np.maximum(self.data, low)
        return Tensor(data if high is None else np.minimum(data, high))

    def matmul(self, rhs: Tensor) -> Tensor:
        a, b = self._meet(self, rhs, "matmul", broadcast=False)
        if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
            raise ValueError(f"matmul: {self.told()} and {rhs.told()} do not fit")
        return Tensor(_quiet(np.matmul, a, b))

    # Comparison and logic

    def eq_scalar(self, rhs: float) -> Tensor:
        return Tensor(self.data == self._scalar(rhs))

    def gt_scalar(self, rhs: float) -> Tensor:
        return Tensor(self.data > self._scalar(rhs))

    def lt_scalar(self, rhs: float) -> Tensor:
        return Tensor(self.data < self._scalar(rhs))

    def logical_and(self, rhs: Tensor) -> Tensor:
        return Tensor(self._truth("logical_and") & rhs._truth("logical_and"))

    def logical_or(self, rhs: Tensor) -> Tensor:
        return Tensor(self._truth("logical_or") | rhs._truth("logical_or"))

    def logical_not(self) -> Tensor:
        return Tensor(~self._truth("logical_not"))

    def is_finite(self) -> Tensor:
        return Tensor(np.isfinite(self.data))

    # Reductions

    def sum(self, dims: list[int], keep_dims: bool) -> Tensor:
        return Tensor(self._number("sum").sum(_axes(dims), dtype=self._total(), keepdims=keep_dims))

    def mean(self, dims: list[int], keep_dims: bool) -> Tensor:
        return Tensor(self._fraction("mean").mean(_axes(dims), keepdims=keep_dims))

    def max(self, dims: list[int], keep_dims: bool) -> Tensor:
        return Tensor(self._number("max").max(_axes(dims), keepdims=keep_dims))

    def min(self, dims: list[int], keep_dims: bool) -> Tensor:
        return Tensor(self._number("min").min(_axes(dims), keepdims=keep_dims))

    def variance(self, dims: list[int], keep_dims: bool) -> Tensor:
        return Tensor(self._fraction("variance").var(_axes(dims), keepdims=keep_dims))

    def log_sum_exp(self, dims: list[int], keep_dims: bool) -> Tensor:
        data = self._fraction("log_sum_exp")
        top = data.max(_axes(dims), keepdims=True)
        top = np.where(np.isfinite(top), top, 0).astype(data.dtype)
        total = _quiet(np.log, _quiet(np.exp, data - top).sum(_axes(dims), keepdims=True)) + top
        return Tensor(total if keep_dims else total.squeeze(_axes(dims)))

    def l2_norm(self, dims: list[int], keep_dims: bool) -> Tensor:
        return Tensor(np.sqrt((self._fraction("l2_norm") ** 2).sum(_axes(dims), keepdims=keep_dims)))

    def arg_max(self, dim: int, keep_dims: bool) -> Tensor:
        return Tensor(self._number("arg_max").argmax(dim, keepdims=keep_dims).astype(np.int64))

    def arg_min(self, dim: int, keep_dims: bool) -> Tensor:
        return Tensor(self._number("arg_min").argmin(dim, keepdims=keep_dims).astype(np.int64))

    def any(self, dims: list[int], keep_dims: bool) -> Tensor:
        return Tensor(self._truth("any").any(_axes(dims), keepdims=keep_dims))

    def all(self, dims: list[int], keep_dims: bool) -> Tensor:
        return Tensor(self._truth("all").all(_axes(dims), keepdims=keep_dims))

    def cum_sum(self, dim: int) -> Tensor:
        return Tensor(self._number("cum_sum").cumsum(dim, dtype=self._total()))

    def histogram(self, bins: int, low: float, high: float, weights: Tensor | None) -> Tensor:
        data = self._number("histogram").astype(np.float64).ravel()
        if np.isnan(data).any():
            raise ValueError("histogram: a NaN belongs to no bin")
        at = np.clip(np.floor((data - low) * (bins / (high - low))), 0, bins - 1).astype(np.int64)
        if weights is None:
            return Tensor(np.bincount(at, minlength=bins).astype(np.int64))
        return Tensor(np.bincount(at, weights.data.ravel(), bins).astype(weights.data.dtype))

    def softmax(self, dim: int) -> Tensor:
        return Tensor(np.exp(self._normal("softmax", dim)))

    def log_softmax(self, dim: int) -> Tensor:
        return Tensor(self._normal("log_softmax", dim))

    def detach(self) -> Tensor:
        return Tensor(self.data)

    # Rules

    def _normal(self, name: str, dim: int) -> Any:
        data = self._fraction(name)
        return data - Tensor(data).log_sum_exp([dim], True).data

    def _float(self) -> bool:
        return self.data.dtype.kind == "f"

    def _total(self) -> Any:
        return self.data.dtype if self._float() else np.int64

    def _scalar(self, value: float) -> Any:
        self._number("a number")
        return self.data.dtype.type(value)

    def _number(self, name: str) -> Any:
        if self.data.dtype == np.bool_:
            raise ValueError(f"{name}: booleans take part in logic, where and casts only; cast first")
        return self.data

    def _fraction(self, name: str) -> Any:
        if not self._float():
            raise ValueError(f"{name} is for floats, this is {self.told()}; cast first")
        return self.data

    def _truth(self, name: str) -> Any:
        if self.data.dtype != np.bool_:
            raise ValueError(f"{name} is for booleans, this is {self.told()}")
        return self.data

    def _dim(self, dim: int) -> int:
        if not -self.data.ndim <= dim < self.data.ndim:
            raise ValueError(f"dimension {dim} is not there in {self.told()}")
        return dim % self.data.ndim

    def _inside(self, dim: int, index: Tensor) -> None:
        size = self.data.shape[self._dim(dim)]
        if index.data.dtype.kind not in "iu":
            raise ValueError(f"an index is of integers, this is {index.told()}")
        if index.data.size and not (0 <= index.data.min() and index.data.max() < size):
            raise ValueError(f"indices {index.data.min()}..{index.data.max()} are outside of the {size} entries")

    @staticmethod
    def _meet(a: Tensor, b: Tensor, name: str, broadcast: bool = True) -> tuple[Any, Any]:
        """Both in the type in which they meet."""
        left, right = a.data.dtype, b.data.dtype
        if (left == np.bool_) != (right == np.bool_):
            raise ValueError(f"{name}: {a.told()} and {b.told()} do not meet; cast the boolean first")
        if left.kind == right.kind:
            common = left if left.itemsize >= right.itemsize else right
        else:
            common = left if left.kind == "f" else right if right.kind == "f" else np.promote_types(left, right)
        if broadcast:
            try:
                np.broadcast_shapes(a.data.shape, b.data.shape)
            except ValueError:
                raise ValueError(f"{name}: {a.told()} and {b.told()} do not broadcast") from None
        return a.data.astype(common), b.data.astype(common)


def _quiet(function: Callable[..., Any], *arguments: Any) -> Any:
    with np.errstate(all="ignore"):
        return function(*arguments)


def _axes(dims: list[int]) -> tuple[int, ...] | None:
    return tuple(dims) or None


def _binary(name: str, function: Callable[..., Any], logic: bool) -> Callable[[Tensor, Tensor], Tensor]:
    def operation(self: Tensor, rhs: Tensor) -> Tensor:
        if not logic:
            self._number(name)
        return Tensor(_quiet(function, *self._meet(self, rhs, name)))

    return operation


def _unary(name: str, function: Callable[..., Any], fraction: bool) -> Callable[[Tensor], Tensor]:
    def operation(self: Tensor) -> Tensor:
        data = self._fraction(name) if fraction else self._number(name)
        return Tensor(np.asarray(_quiet(function, data)).astype(data.dtype))

    return operation


_BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "pow": np.power, "maximum": np.maximum,
    "minimum": np.minimum, "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip
for _name, _function in _BINARY.items():
    setattr(Tensor, _name, _binary(_name, _function, _name in ("eq", "ne")))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


_ALIKE = {
    "neg": np.negative, "abs": np.abs, "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "round": np.round,
    "relu": lambda x: np.maximum(x, 0),
}  # fmt: skip
_FRACTIONS = {
    "recip": np.reciprocal, "exp": np.exp, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x), "erf": _erf, "tanh": np.tanh, "sigmoid": _sigmoid,
    "log_sigmoid": lambda x: -np.logaddexp(0, -x), "softplus": lambda x: np.logaddexp(0, x),
    "gelu": lambda x: x * (1 + _erf(x / math.sqrt(2))) / 2, "silu": lambda x: x * _sigmoid(x),
}  # fmt: skip
for _name, _function in _ALIKE.items():
    setattr(Tensor, _name, _unary(_name, _function, False))
for _name, _function in _FRACTIONS.items():
    setattr(Tensor, _name, _unary(_name, _function, True))


def from_float32(data: list[float], shape: list[int]) -> Tensor:
    """A float32 tensor, row by row."""
    return Tensor(np.array(data, np.float32).reshape(shape))


def from_int64(data: list[int], shape: list[int]) -> Tensor:
    """An int64 tensor, row by row."""
    return Tensor(np.array(data, np.int64).reshape(shape))


def full(shape: list[int], value: float, dtype: Dtype) -> Tensor:
    """One value everywhere."""
    return Tensor(np.full(shape, value).astype(_numpy(dtype)))


def arange(start: int, end: int, step: int) -> Tensor:
    """int64 numbers in equal steps."""
    return Tensor(np.arange(start, end, step, np.int64))


def eye(n: int, dtype: Dtype) -> Tensor:
    """The identity matrix."""
    return Tensor(np.eye(n).astype(_numpy(dtype)))


def cat(tensors: list[Tensor], dim: int) -> Tensor:
    """Joins along a dimension; types meet as in arithmetic."""
    return Tensor(np.concatenate(_common(tensors), dim))


def stack(tensors: list[Tensor], dim: int) -> Tensor:
    """Joins along a new dimension."""
    return Tensor(np.stack(_common(tensors), dim))


def _common(tensors: list[Tensor]) -> list[Any]:
    first = tensors[0]
    for each in tensors[1:]:
        first = Tensor(Tensor._meet(first, each, "cat", broadcast=False)[0])
    return [each.data.astype(first.data.dtype) for each in tensors]


def uniform(shape: list[int], low: float, high: float, seed: int) -> Tensor:
    """Uniform, float32."""
    return Tensor(np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32))


def normal(shape: list[int], mean: float, std: float, seed: int) -> Tensor:
    """Normal, float32."""
    return Tensor(np.random.default_rng(seed).normal(mean, std, shape).astype(np.float32))
