//! Tensors of the host, and how to make them.
//!
//! In a component a [`Tensor`] is a handle: the numbers stay on the host's
//! device, an operation is one call of well under a microsecond, and gradients
//! flow through everything but [`Tensor::detach`] and what gives integers or
//! booleans. Anywhere else it is a small array of `f64` in this process, so that
//! a plugin's logic can be tested with plain `cargo test`.
//!
//! Dimensions count from zero, negative ones from the end. Binary operations
//! broadcast as NumPy does. Two float types meet in the wider one (`bfloat16`
//! with `float16` in `float32`), a float and an integer in the float; booleans
//! take part in logic and [`Tensor::where_`] only. An empty `dims` means all
//! dimensions; a full reduction has the shape `[]`. A shape that does not fit
//! panics: in a component that is a trap with your line in it.
//!
//! ```
//! use retune_sdk::tensor::{from_float32, from_int64};
//!
//! let logits = from_float32(&[2.0, 0.0, 0.0, 1.0], &[2, 2]);
//! let labels = from_int64(&[0, 0], &[2]);
//! let log_p = logits.log_softmax(-1).gather(-1, &labels.unsqueeze(-1)).squeeze(-1);
//! let loss = (1.0 - &log_p.exp()) * -&log_p; // [2]
//! assert_eq!(loss.shape(), [2]);
//! ```

use crate::{Dtype, Result};

#[cfg(target_arch = "wasm32")]
use crate::bindings::host::retune::plugin::tensor as backend;
#[cfg(not(target_arch = "wasm32"))]
use crate::mock as backend;

/// A tensor that the host owns. Dropping it gives the handle back.
pub struct Tensor(pub(crate) backend::Tensor);

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tensor").field("dtype", &self.dtype()).field("shape", &self.shape()).finish_non_exhaustive()
    }
}

/// Facts, copies and operations whose arguments are unlike any other's.
impl Tensor {
    /// Sizes of the dimensions; `[]` for a single number.
    pub fn shape(&self) -> Vec<u32> {
        self.0.shape()
    }

    /// The type of the elements.
    pub fn dtype(&self) -> Dtype {
        self.0.dtype().into()
    }

    /// The number of elements.
    pub fn numel(&self) -> u64 {
        self.0.numel()
    }

    /// Copies the elements out, row by row. Waits for the device, and counts
    /// towards the plugin's `readback_mib`: more than that in one call traps.
    ///
    /// # Errors
    /// When the host says so; this version never does.
    pub fn to_float32(&self) -> Result<Vec<f32>> {
        Ok(self.0.to_float32()?)
    }

    /// As [`Tensor::to_float32`], as integers: booleans are 0 and 1, floats are truncated.
    ///
    /// # Errors
    /// As [`Tensor::to_float32`].
    pub fn to_int64(&self) -> Result<Vec<i64>> {
        Ok(self.0.to_int64()?)
    }

    /// The only element. Waits for the device.
    ///
    /// # Errors
    /// When there is not exactly one element.
    pub fn item(&self) -> Result<f64> {
        Ok(self.0.item()?)
    }

    /// The same elements under another shape; one entry may be -1.
    #[track_caller]
    #[must_use]
    pub fn reshape(&self, shape: &[i32]) -> Self {
        Self(self.0.reshape(shape))
    }

    /// Reorders all dimensions.
    #[track_caller]
    #[must_use]
    pub fn permute(&self, dims: &[i32]) -> Self {
        Self(self.0.permute(dims))
    }

    /// Swaps two dimensions.
    #[track_caller]
    #[must_use]
    pub fn transpose(&self, dim0: i32, dim1: i32) -> Self {
        Self(self.0.transpose(dim0, dim1))
    }

    /// Repeats dimensions of size one without copying; -1 keeps a size.
    #[track_caller]
    #[must_use]
    pub fn expand(&self, shape: &[i32]) -> Self {
        Self(self.0.expand(shape))
    }

    /// Elements `start..end` of one dimension, every `step`th; negative
    /// positions count from the end, and all are cut to the dimension.
    #[track_caller]
    #[must_use]
    pub fn slice(&self, dim: i32, start: i64, end: i64, step: u32) -> Self {
        Self(self.0.slice(dim, start, end, step))
    }

    /// Reverses the order along `dims`.
    #[track_caller]
    #[must_use]
    pub fn flip(&self, dims: &[i32]) -> Self {
        Self(self.0.flip(dims))
    }

    /// Lays `times` copies one after the other along `dim`.
    #[track_caller]
    #[must_use]
    pub fn repeat(&self, dim: i32, times: u32) -> Self {
        Self(self.0.repeat(dim, times))
    }

    /// The values in another element type.
    #[track_caller]
    #[must_use]
    pub fn cast(&self, to: Dtype) -> Self {
        Self(self.0.cast(to.into()))
    }

    /// `out[i][j] = self[i][index[i][j]]` along `dim`; `index` is of integers
    /// and has the rank of `self`.
    #[track_caller]
    #[must_use]
    pub fn gather(&self, dim: i32, index: &Self) -> Self {
        Self(self.0.gather(dim, &index.0))
    }

    /// Rows of `dim` in the order of `index`, `[n]`.
    #[track_caller]
    #[must_use]
    pub fn index_select(&self, dim: i32, index: &Self) -> Self {
        Self(self.0.index_select(dim, &index.0))
    }

    /// Adds `src` at the places `index` names along `dim`: the reverse of [`Tensor::gather`].
    #[track_caller]
    #[must_use]
    pub fn scatter_add(&self, dim: i32, index: &Self, src: &Self) -> Self {
        Self(self.0.scatter_add(dim, &index.0, &src.0))
    }

    /// `then` where this condition holds, `otherwise` elsewhere.
    #[track_caller]
    #[must_use]
    pub fn where_(&self, then: &Self, otherwise: &Self) -> Self {
        Self(self.0.where_(&then.0, &otherwise.0))
    }

    /// `value` where `mask` holds.
    #[track_caller]
    #[must_use]
    pub fn masked_fill(&self, mask: &Self, value: f64) -> Self {
        Self(self.0.masked_fill(&mask.0, value))
    }

    /// Integers `[..]` to `int64` zeros and ones `[.., classes]`.
    #[track_caller]
    #[must_use]
    pub fn one_hot(&self, classes: u32) -> Self {
        Self(self.0.one_hot(classes))
    }

    /// The `k` largest elements along `dim`, largest first, and where they were.
    #[track_caller]
    #[must_use]
    pub fn top_k(&self, k: u32, dim: i32) -> (Self, Self) {
        let (values, indices) = self.0.top_k(k, dim);
        (Self(values), Self(indices))
    }

    /// The elements along `dim` in order, and where they were.
    #[track_caller]
    #[must_use]
    pub fn sort(&self, dim: i32, descending: bool) -> (Self, Self) {
        let (values, indices) = self.0.sort(dim, descending);
        (Self(values), Self(indices))
    }

    /// Limits to `[min, max]`. Beyond a limit the gradient is zero.
    #[track_caller]
    #[must_use]
    pub fn clamp(&self, min: Option<f64>, max: Option<f64>) -> Self {
        Self(self.0.clamp(min, max))
    }

    /// Counts per bin over `[low, high)`, `int64 [bins]`; outliers go to the end
    /// bins. With `weights`, floats of the shape of `self`, their sums, `float32`.
    #[track_caller]
    #[must_use]
    pub fn histogram(&self, bins: u32, low: f64, high: f64, weights: Option<&Self>) -> Self {
        Self(self.0.histogram(bins, low, high, weights.map(|w| &w.0)))
    }
}

/// Methods of one shape: one line each, with the sentence that documents it.
macro_rules! methods {
    (unary: $($(#[doc = $doc:literal])+ $name:ident;)+) => {
        impl Tensor { $($(#[doc = $doc])+
            #[track_caller]
            #[must_use]
            pub fn $name(&self) -> Self { Self(self.0.$name()) }
        )+ }
    };
    (binary: $($(#[doc = $doc:literal])+ $name:ident;)+) => {
        impl Tensor { $($(#[doc = $doc])+
            #[track_caller]
            #[must_use]
            #[allow(clippy::should_implement_trait, reason = "the operators of std exist as well")]
            pub fn $name(&self, rhs: &Self) -> Self { Self(self.0.$name(&rhs.0)) }
        )+ }
    };
    (scalar: $($(#[doc = $doc:literal])+ $name:ident;)+) => {
        impl Tensor { $($(#[doc = $doc])+
            #[track_caller]
            #[must_use]
            pub fn $name(&self, rhs: f64) -> Self { Self(self.0.$name(rhs)) }
        )+ }
    };
    (along: $($(#[doc = $doc:literal])+ $name:ident;)+) => {
        impl Tensor { $($(#[doc = $doc])+
            #[track_caller]
            #[must_use]
            pub fn $name(&self, dim: i32) -> Self { Self(self.0.$name(dim)) }
        )+ }
    };
    (reduce: $($(#[doc = $doc:literal])+ $name:ident;)+) => {
        impl Tensor { $($(#[doc = $doc])+
            #[track_caller]
            #[must_use]
            pub fn $name(&self, dims: &[i32], keep_dims: bool) -> Self { Self(self.0.$name(dims, keep_dims)) }
        )+ }
    };
    (argument: $($(#[doc = $doc:literal])+ $name:ident;)+) => {
        impl Tensor { $($(#[doc = $doc])+
            #[track_caller]
            #[must_use]
            pub fn $name(&self, dim: i32, keep_dims: bool) -> Self { Self(self.0.$name(dim, keep_dims)) }
        )+ }
    };
}

methods! { unary:
    /// `-x`.
    neg;
    /// `|x|`.
    abs;
    /// -1, 0 or 1.
    sign;
    /// `1 / x`.
    recip;
    /// `e^x`.
    exp;
    /// Natural logarithm.
    log;
    /// `log(1 + x)`, exact near zero.
    log1p;
    /// Square root.
    sqrt;
    /// `1 / sqrt(x)`.
    rsqrt;
    /// The error function.
    erf;
    /// The next whole number below.
    floor;
    /// The next whole number above.
    ceil;
    /// The nearest whole number, ties to even.
    round;
    /// Hyperbolic tangent.
    tanh;
    /// `1 / (1 + e^-x)`.
    sigmoid;
    /// `log(sigmoid(x))`, without overflow.
    log_sigmoid;
    /// `log(1 + e^x)`, without overflow.
    softplus;
    /// `max(x, 0)`.
    relu;
    /// `x Φ(x)`, with the exact error function.
    gelu;
    /// `x sigmoid(x)`.
    silu;
    /// Not, of booleans.
    logical_not;
    /// True unless infinite or NaN.
    is_finite;
    /// The same values, with no gradient flowing back.
    detach;
}

methods! { binary:
    /// `self + rhs`.
    add;
    /// `self - rhs`.
    sub;
    /// `self * rhs`.
    mul;
    /// `self / rhs`; of two integers, truncated.
    div;
    /// `self` to the power `rhs`.
    pow;
    /// The larger of each pair.
    maximum;
    /// The smaller of each pair.
    minimum;
    /// Matrix product of the last two dimensions; the others broadcast.
    matmul;
    /// `self == rhs`, of booleans.
    eq;
    /// `self != rhs`, of booleans.
    ne;
    /// `self < rhs`, of booleans.
    lt;
    /// `self <= rhs`, of booleans.
    le;
    /// `self > rhs`, of booleans.
    gt;
    /// `self >= rhs`, of booleans.
    ge;
    /// Both.
    logical_and;
    /// Either.
    logical_or;
}

methods! { scalar:
    /// `self + rhs`.
    add_scalar;
    /// `self * rhs`.
    mul_scalar;
    /// `self` to the power `rhs`. The gradient at 0 is infinite when `rhs` is below 1.
    pow_scalar;
    /// `self == rhs`, of booleans.
    eq_scalar;
    /// `self > rhs`, of booleans.
    gt_scalar;
    /// `self < rhs`, of booleans.
    lt_scalar;
}

methods! { along:
    /// Drops a dimension of size one.
    squeeze;
    /// Inserts a dimension of size one before `dim`; -1 appends it.
    unsqueeze;
    /// Running sums along `dim`.
    cum_sum;
    /// `e^x / sum(e^x)` along `dim`.
    softmax;
    /// The logarithm of [`Tensor::softmax`], without overflow.
    log_softmax;
}

methods! { reduce:
    /// Sum over `dims`; accumulates in `float32` or wider, and gives `int64` for integers.
    sum;
    /// Mean over `dims`.
    mean;
    /// Largest over `dims`.
    max;
    /// Smallest over `dims`.
    min;
    /// Variance over `dims`, dividing by `n`.
    variance;
    /// `log(sum(e^x))` over `dims`, without overflow.
    log_sum_exp;
    /// Euclidean norm over `dims`.
    l2_norm;
    /// Whether any of these booleans holds.
    any;
    /// Whether all of these booleans hold.
    all;
}

methods! { argument:
    /// Where the largest element along `dim` is; `int64`.
    arg_max;
    /// Where the smallest element along `dim` is; `int64`.
    arg_min;
}

/// A `float32` tensor of `data`, row by row.
#[track_caller]
pub fn from_float32(data: &[f32], shape: &[u32]) -> Tensor {
    Tensor(backend::from_float32(data, shape))
}

/// An `int64` tensor of `data`, row by row.
#[track_caller]
pub fn from_int64(data: &[i64], shape: &[u32]) -> Tensor {
    Tensor(backend::from_int64(data, shape))
}

/// A tensor of one value.
#[track_caller]
pub fn full(shape: &[u32], value: f64, dtype: Dtype) -> Tensor {
    Tensor(backend::full(shape, value, dtype.into()))
}

/// `start, start + step, ..` below `end`, as `int64`.
#[track_caller]
pub fn arange(start: i64, end: i64, step: i64) -> Tensor {
    Tensor(backend::arange(start, end, step))
}

/// The identity matrix `[n, n]`.
#[track_caller]
pub fn eye(n: u32, dtype: Dtype) -> Tensor {
    Tensor(backend::eye(n, dtype.into()))
}

/// Joins tensors along a dimension they have.
#[track_caller]
pub fn cat(tensors: &[&Tensor], dim: i32) -> Tensor {
    let inner: Vec<_> = tensors.iter().map(|t| &t.0).collect();
    Tensor(backend::cat(&inner, dim))
}

/// Joins tensors of one shape along a new dimension.
#[track_caller]
pub fn stack(tensors: &[&Tensor], dim: i32) -> Tensor {
    let inner: Vec<_> = tensors.iter().map(|t| &t.0).collect();
    Tensor(backend::stack(&inner, dim))
}

/// Uniform on `[low, high)`, `float32`: a function of `seed` and shape alone.
#[track_caller]
pub fn uniform(shape: &[u32], low: f64, high: f64, seed: u64) -> Tensor {
    Tensor(backend::uniform(shape, low, high, seed))
}

/// Normal, `float32`: a function of `seed` and shape alone, as [`uniform`].
#[track_caller]
pub fn normal(shape: &[u32], mean: f64, std: f64, seed: u64) -> Tensor {
    Tensor(backend::normal(shape, mean, std, seed))
}
