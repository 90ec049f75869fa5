"""Tensors the host owns, with Python's operators and PyTorch's names.

An operation is a call into the host that gives a new tensor; only `item`, `tolist` and `to_int64`/`to_float32` bring numbers
back. Shapes broadcast as in NumPy; a float and an integer meet in the float. Shapes or types that do not fit end the run in
the sandbox, and raise `ValueError` under pytest. The handle goes back to the host when the object is collected.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from retune_sdk import backend

Dims = int | Sequence[int] | None


class Dtype(Enum):
    """The type of a tensor's elements."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT64 = "float64"
    INT64 = "int64"
    INT32 = "int32"
    UINT8 = "uint8"
    BOOLEAN = "boolean"


def _ops() -> Any:
    return backend.lent(backend.tensor, "tensors", "a loss or a metric of tensors")


def _raw_dtype(dtype: Dtype) -> Any:
    return getattr(backend.types.Dtype, dtype.name)


def _dims(dim: Dims) -> list[int]:
    return [] if dim is None else [dim] if isinstance(dim, int) else list(dim)


def _sizes(sizes: tuple[Any, ...]) -> list[int]:
    return list(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else list(sizes)


class Tensor:
    """A tensor on the host's device."""

    __slots__ = ("raw",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    # Facts

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions; `()` for a single number."""
        return tuple(self.raw.shape())

    @property
    def dtype(self) -> Dtype:
        return Dtype[self.raw.dtype().name]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def numel(self) -> int:
        """Number of elements."""
        return self.raw.numel()

    def size(self, dim: int) -> int:
        return self.shape[dim]

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Tensor(shape={list(self.shape)}, dtype={self.dtype.value})"

    def __bool__(self) -> bool:
        return bool(self.item())

    # Copies to the plugin

    def to_float32(self) -> list[float]:
        """The elements row by row."""
        return list(self.raw.to_float32())

    def to_int64(self) -> list[int]:
        """The elements row by row; floats are truncated, booleans are 0 and 1."""
        return list(self.raw.to_int64())

    def item(self) -> float:
        """The only element. Waits for the device."""
        return self.raw.item()

    def tolist(self) -> Any:
        """The elements as nested lists, or one number."""
        whole = self.dtype in (Dtype.INT64, Dtype.INT32, Dtype.UINT8, Dtype.BOOLEAN)
        flat: list[Any] = self.to_int64() if whole else self.to_float32()
        if self.dtype is Dtype.BOOLEAN:
            flat = [bool(each) for each in flat]
        for size in reversed(self.shape[1:]):
            flat = [flat[i * size : (i + 1) * size] for i in range(len(flat) // max(size, 1))]
        return flat if self.shape else flat[0]

    # Shape

    def reshape(self, *shape: Any) -> Tensor:
        """The elements in another shape; one size may be -1."""
        return Tensor(self.raw.reshape(_sizes(shape)))

    view = reshape

    def flatten(self) -> Tensor:
        return Tensor(self.raw.reshape([-1]))

    def permute(self, *dims: Any) -> Tensor:
        return Tensor(self.raw.permute(_sizes(dims)))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        return Tensor(self.raw.transpose(dim0, dim1))

    def expand(self, *shape: Any) -> Tensor:
        """Repeats dimensions of size one; -1 keeps a size."""
        return Tensor(self.raw.expand(_sizes(shape)))

    def squeeze(self, dim: int) -> Tensor:
        return Tensor(self.raw.squeeze(dim))

    def unsqueeze(self, dim: int) -> Tensor:
        return Tensor(self.raw.unsqueeze(dim))

    def slice(self, dim: int, start: int, end: int, step: int = 1) -> Tensor:
        """Elements `start..end` of a dimension, every `step`th."""
        return Tensor(self.raw.slice(dim, start, end, step))

    def flip(self, dim: Dims) -> Tensor:
        return Tensor(self.raw.flip(_dims(dim)))

    def repeat(self, dim: int, times: int) -> Tensor:
        """`times` copies one after the other along `dim`."""
        return Tensor(self.raw.repeat(dim, times))

    def to(self, dtype: Dtype) -> Tensor:
        """The values in another type; to integers truncated, to boolean "is not zero"."""
        return Tensor(self.raw.cast(_raw_dtype(dtype)))

    def float(self) -> Tensor:
        return self.to(Dtype.FLOAT32)

    def long(self) -> Tensor:
        return self.to(Dtype.INT64)

    def bool(self) -> Tensor:
        return self.to(Dtype.BOOLEAN)

    def __getitem__(self, key: Any) -> Tensor:
        """Integers, slices with a positive step, `...`, `None`, and a one-dimensional index tensor."""
        keys = key if isinstance(key, tuple) else (key,)
        real = sum(each is not None and each is not Ellipsis for each in keys)
        if real > self.ndim:
            raise IndexError(f"{real} indices for the shape {list(self.shape)}")
        found, dim = self, 0
        for each in keys:
            if each is None:
                found, dim = found.unsqueeze(dim), dim + 1
            elif each is Ellipsis:
                dim += self.ndim - real
            elif isinstance(each, int):
                size = found.shape[dim]
                if not -size <= each < size:
                    raise IndexError(f"index {each} is outside of dimension {dim}, which has {size}")
                at = each % size
                found = found.slice(dim, at, at + 1).squeeze(dim)
            elif isinstance(each, slice):
                start, stop, step = each.indices(found.shape[dim])
                if step < 1:
                    raise IndexError("a slice's step is at least 1; use flip(dim) for the reverse order")
                found, dim = (
                    (found if (start, stop, step) == (0, found.shape[dim], 1) else found.slice(dim, start, stop, step)),
                    dim + 1,
                )
            elif isinstance(each, Tensor):
                if each.dtype is Dtype.BOOLEAN:
                    raise IndexError("a mask would give a shape that depends on numbers; use where or masked_fill")
                found, dim = found.index_select(dim, each), dim + 1
            else:
                raise IndexError(
                    f"{type(each).__name__} is not an index; use int, slice, ..., None or an integer tensor"
                )
        return found

    # Selection

    def gather(self, dim: int, index: Tensor) -> Tensor:
        """`out[i][j] = self[i][index[i][j]]` for the last dimension, and so for any. -100 is no index: mask it first."""
        return Tensor(self.raw.gather(dim, index.raw))

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        return Tensor(self.raw.index_select(dim, index.raw))

    def scatter_add(self, dim: int, index: Tensor, src: Tensor) -> Tensor:
        return Tensor(self.raw.scatter_add(dim, index.raw, src.raw))

    def where(self, then: Tensor, otherwise: Tensor) -> Tensor:
        """`then` where this, a boolean, holds; `otherwise` elsewhere."""
        return Tensor(self.raw.where(then.raw, otherwise.raw))

    def masked_fill(self, mask: Tensor, value: float) -> Tensor:
        return Tensor(self.raw.masked_fill(mask.raw, value * 1.0))

    def one_hot(self, num_classes: int) -> Tensor:
        """Integers `[..]` to int64 zeros and ones `[.., num_classes]`."""
        return Tensor(self.raw.one_hot(num_classes))

    def topk(self, k: int, dim: int = -1) -> tuple[Tensor, Tensor]:
        """The `k` largest along `dim`, largest first, and where they were."""
        values, places = self.raw.top_k(k, dim)
        return Tensor(values), Tensor(places)

    def sort(self, dim: int = -1, descending: bool = False) -> tuple[Tensor, Tensor]:
        """The elements along `dim` in order, and where they were."""
        values, places = self.raw.sort(dim, descending)
        return Tensor(values), Tensor(places)

    # Arithmetic

    def _with(self, other: Any, name: str) -> Any:
        if isinstance(other, Tensor):
            return Tensor(getattr(self.raw, name)(other.raw))
        if isinstance(other, (int, float_)):
            return Tensor(getattr(self.raw, name)(self._same(other)))
        return NotImplemented

    def _same(self, value: Any) -> Any:
        return _ops().full([], value * 1.0, self.raw.dtype())

    def __add__(self, other: Any) -> Tensor:
        return (
            Tensor(self.raw.add_scalar(other * 1.0)) if isinstance(other, (int, float_)) else self._with(other, "add")
        )

    __radd__ = __add__

    def __sub__(self, other: Any) -> Tensor:
        return (
            Tensor(self.raw.add_scalar(other * -1.0)) if isinstance(other, (int, float_)) else self._with(other, "sub")
        )

    def __rsub__(self, other: Any) -> Tensor:
        return (-self) + other

    def __mul__(self, other: Any) -> Tensor:
        return (
            Tensor(self.raw.mul_scalar(other * 1.0)) if isinstance(other, (int, float_)) else self._with(other, "mul")
        )

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Tensor:
        return self._with(other, "div")

    def __rtruediv__(self, other: Any) -> Tensor:
        return Tensor(self.raw.recip()) * other if isinstance(other, (int, float_)) else NotImplemented

    def __pow__(self, other: Any) -> Tensor:
        return (
            Tensor(self.raw.pow_scalar(other * 1.0)) if isinstance(other, (int, float_)) else self._with(other, "pow")
        )

    def __matmul__(self, other: Tensor) -> Tensor:
        """`[.., n, k] x [.., k, m] -> [.., n, m]`; the leading dimensions broadcast."""
        return Tensor(self.raw.matmul(other.raw))

    def __neg__(self) -> Tensor:
        return Tensor(self.raw.neg())

    def __abs__(self) -> Tensor:
        return Tensor(self.raw.abs())

    def maximum(self, other: Tensor | float) -> Tensor:
        return self._with(other, "maximum")

    def minimum(self, other: Tensor | float) -> Tensor:
        return self._with(other, "minimum")

    def clamp(self, min: float | None = None, max: float | None = None) -> Tensor:
        """Beyond a limit the gradient is zero."""
        return Tensor(self.raw.clamp(None if min is None else min * 1.0, None if max is None else max * 1.0))

    # Comparison and logic: all give booleans

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return Tensor(self.raw.eq_scalar(other * 1.0)) if isinstance(other, (int, float_)) else self._with(other, "eq")

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return ~(self == other) if isinstance(other, (int, float_)) else self._with(other, "ne")

    def __gt__(self, other: Any) -> Tensor:
        return Tensor(self.raw.gt_scalar(other * 1.0)) if isinstance(other, (int, float_)) else self._with(other, "gt")

    def __lt__(self, other: Any) -> Tensor:
        return Tensor(self.raw.lt_scalar(other * 1.0)) if isinstance(other, (int, float_)) else self._with(other, "lt")

    def __ge__(self, other: Any) -> Tensor:
        return self._with(other, "ge")

    def __le__(self, other: Any) -> Tensor:
        return self._with(other, "le")

    def __and__(self, other: Tensor) -> Tensor:
        return Tensor(self.raw.logical_and(other.raw))

    def __or__(self, other: Tensor) -> Tensor:
        return Tensor(self.raw.logical_or(other.raw))

    def __invert__(self) -> Tensor:
        return Tensor(self.raw.logical_not())

    # Reductions: `dim` is a dimension, several, or None for all; keepdim leaves a size of one

    def amax(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return Tensor(self.raw.max(_dims(dim), keepdim))

    def amin(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return Tensor(self.raw.min(_dims(dim), keepdim))

    def var(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """Divides by `n`, not by `n - 1`."""
        return Tensor(self.raw.variance(_dims(dim), keepdim))

    def logsumexp(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return Tensor(self.raw.log_sum_exp(_dims(dim), keepdim))

    def norm(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The Euclidean norm."""
        return Tensor(self.raw.l2_norm(_dims(dim), keepdim))

    def argmax(self, dim: int = -1, keepdim: bool = False) -> Tensor:
        return Tensor(self.raw.arg_max(dim, keepdim))

    def argmin(self, dim: int = -1, keepdim: bool = False) -> Tensor:
        return Tensor(self.raw.arg_min(dim, keepdim))

    def cumsum(self, dim: int) -> Tensor:
        return Tensor(self.raw.cum_sum(dim))

    def histogram(self, bins: int, low: float, high: float, weights: Tensor | None = None) -> Tensor:
        """Counts per bin over `[low, high)`, int64; what lies outside goes to the end bins. With weights their sums."""
        return Tensor(self.raw.histogram(bins, low * 1.0, high * 1.0, None if weights is None else weights.raw))

    def softmax(self, dim: int = -1) -> Tensor:
        return Tensor(self.raw.softmax(dim))

    def log_softmax(self, dim: int = -1) -> Tensor:
        return Tensor(self.raw.log_softmax(dim))

    # Of each element (isnan and the like: `isfinite`)

    def isfinite(self) -> Tensor:
        return Tensor(self.raw.is_finite())

    def logsigmoid(self) -> Tensor:
        return Tensor(self.raw.log_sigmoid())

    def reciprocal(self) -> Tensor:
        return Tensor(self.raw.recip())

    def detach(self) -> Tensor:
        """The same values, with no gradient flowing back."""
        return Tensor(self.raw.detach())

    def abs(self) -> Tensor:
        return Tensor(self.raw.abs())

    def sign(self) -> Tensor:
        return Tensor(self.raw.sign())

    def exp(self) -> Tensor:
        return Tensor(self.raw.exp())

    def log(self) -> Tensor:
        """Natural logarithm."""
        return Tensor(self.raw.log())

    def log1p(self) -> Tensor:
        return Tensor(self.raw.log1p())

    def sqrt(self) -> Tensor:
        return Tensor(self.raw.sqrt())

    def rsqrt(self) -> Tensor:
        return Tensor(self.raw.rsqrt())

    def erf(self) -> Tensor:
        return Tensor(self.raw.erf())

    def floor(self) -> Tensor:
        return Tensor(self.raw.floor())

    def ceil(self) -> Tensor:
        return Tensor(self.raw.ceil())

    def round(self) -> Tensor:
        """Halves go to the even neighbour."""
        return Tensor(self.raw.round())

    def tanh(self) -> Tensor:
        return Tensor(self.raw.tanh())

    def sigmoid(self) -> Tensor:
        return Tensor(self.raw.sigmoid())

    def softplus(self) -> Tensor:
        return Tensor(self.raw.softplus())

    def relu(self) -> Tensor:
        return Tensor(self.raw.relu())

    def gelu(self) -> Tensor:
        return Tensor(self.raw.gelu())

    def silu(self) -> Tensor:
        return Tensor(self.raw.silu())

    def sum(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """Accumulates in float32 or wider; of integers in int64."""
        return Tensor(self.raw.sum(_dims(dim), keepdim))

    def mean(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return Tensor(self.raw.mean(_dims(dim), keepdim))

    def any(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return Tensor(self.raw.any(_dims(dim), keepdim))

    def all(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return Tensor(self.raw.all(_dims(dim), keepdim))


float_ = float
"""Python's own, because a method of `Tensor` has its name."""
