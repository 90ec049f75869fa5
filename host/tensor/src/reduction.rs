//! Operations that fold dimensions, and the normalised ones built on them.
//!
//! `dims` empty means all dimensions; without `keep_dims` a full reduction has
//! the shape `[]`. 16-bit floats are accumulated in float32 and given back in
//! their own type; integers are summed in int64.

use burn::backend::Dispatch;
use burn::backend::ops::{ActivationOps, BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::tensor::FloatTensor;
use burn::tensor::{IndexingUpdateOp, Shape, Slice};

use crate::dtype::{Dtype, Kind};
use crate::error::{Result, ensure};
use crate::geometry::{admit, dimension, dimensions, reduced};
use crate::{AnyTensor, creation};

/// Which of burn's axes go, and what shape is left.
struct Plan {
    axes: Vec<usize>,
    shape: Vec<usize>,
    /// No dimension is left out.
    full: bool,
}

impl Plan {
    fn new(op: &'static str, tensor: &AnyTensor, dims: &[i32], keep_dims: bool) -> Result<Self> {
        let shape = tensor.shape();
        let axes = dimensions(op, dims, shape.len())?;
        let full = axes.len() == shape.len();
        let left = reduced(&shape, &axes, keep_dims);
        // A scalar is held as [1], whose one axis goes.
        let axes = if shape.is_empty() { vec![0] } else { axes };
        Ok(Self { axes, shape: left, full })
    }
}

/// Sums of so many elements burn cuts, on the CPU, at places that depend on which threads are free: their last
/// bits then differ from run to run.
const LARGE: usize = 1 << 22;

/// The sum of all `count` elements, in rows of a fixed length.
fn large_sum(x: FloatTensor<Dispatch>, count: usize) -> FloatTensor<Dispatch> {
    const WIDTH: usize = 1 << 16;
    let flat = Dispatch::float_reshape(x, Shape::new([count]));
    let whole = count / WIDTH * WIDTH;
    let part = |from: usize, to: usize| match to - from == count {
        true => flat.clone(),
        false => Dispatch::float_slice(flat.clone(), &[Slice::from(from..to)]),
    };
    let rows = Dispatch::float_reshape(part(0, whole), Shape::new([whole / WIDTH, WIDTH]));
    let sum = Dispatch::float_sum(Dispatch::float_sum_dim(rows, 1));
    if whole == count { sum } else { Dispatch::float_add(sum, Dispatch::float_sum(part(whole, count))) }
}

impl AnyTensor {
    fn need_elements(&self, op: &'static str) -> Result<()> {
        ensure!(self.numel() > 0, op, "a tensor of shape {:?} has no elements", self.shape());
        Ok(())
    }

    /// As a single dimension.
    fn flat(&self, op: &'static str) -> Result<Self> {
        self.view(op, &[self.numel() as usize])
    }

    /// The sum. Integers give int64; an empty sum is zero.
    ///
    /// # Errors
    /// When a dimension is not there; for booleans (cast them first).
    pub fn sum(&self, dims: &[i32], keep_dims: bool) -> Result<Self> {
        let op = "sum";
        self.need_number(op)?;
        let plan = Plan::new(op, self, dims, keep_dims)?;
        let wide = self.cast(self.dtype().accumulator())?;
        if self.numel() == 0 {
            return creation::full(&plan.shape, 0.0, wide.dtype(), &self.device());
        }
        let total = Self::make(op, &plan.shape, || match (self.kind(), plan.full) {
            (Kind::Float, true) if wide.numel() as usize >= LARGE => large_sum(wide.raw(), wide.numel() as usize),
            (Kind::Float, true) => Dispatch::float_sum(wide.raw()),
            (_, true) => Dispatch::int_sum(wide.raw()),
            (Kind::Float, false) => plan.axes.iter().fold(wide.raw(), |t, a| Dispatch::float_sum_dim(t, *a)),
            (_, false) => plan.axes.iter().fold(wide.raw(), |t, a| Dispatch::int_sum_dim(t, *a)),
        })?;
        if self.dtype().is_float() { total.cast(self.dtype()) } else { Ok(total) }
    }

    /// The arithmetic mean.
    ///
    /// # Errors
    /// When the elements are not floats or there are none.
    pub fn mean(&self, dims: &[i32], keep_dims: bool) -> Result<Self> {
        let op = "mean";
        self.need_float(op)?;
        self.need_elements(op)?;
        let wide = self.cast(self.dtype().accumulator())?;
        let total = wide.sum(dims, keep_dims)?;
        let count = self.numel() as f64 / total.numel() as f64;
        total.mul_scalar(1.0 / count)?.cast(self.dtype())
    }

    /// The largest element; its gradient goes to one of equal ones.
    ///
    /// # Errors
    /// When there is no element; for booleans.
    pub fn max(&self, dims: &[i32], keep_dims: bool) -> Result<Self> {
        self.extreme("max", dims, keep_dims, Dispatch::float_max_dim, Dispatch::int_max_dim)
    }

    /// The smallest element; its gradient goes to one of equal ones.
    ///
    /// # Errors
    /// When there is no element; for booleans.
    pub fn min(&self, dims: &[i32], keep_dims: bool) -> Result<Self> {
        self.extreme("min", dims, keep_dims, Dispatch::float_min_dim, Dispatch::int_min_dim)
    }

    fn extreme(&self, op: &'static str, dims: &[i32], keep_dims: bool, float: ByAxis, int: ByAxis) -> Result<Self> {
        self.need_number(op)?;
        self.need_elements(op)?;
        let plan = Plan::new(op, self, dims, keep_dims)?;
        let fold = if self.kind() == Kind::Float { float } else { int };
        let (source, axes) = if plan.full { (self.flat(op)?, vec![0]) } else { (self.clone(), plan.axes) };
        Self::make(op, &plan.shape, || axes.iter().fold(source.raw(), |t, a| fold(t, *a)))
    }

    /// The mean squared distance from the mean: divides by the number of
    /// elements, not by one less.
    ///
    /// # Errors
    /// When the elements are not floats or there are none.
    pub fn variance(&self, dims: &[i32], keep_dims: bool) -> Result<Self> {
        self.need_float("variance")?;
        self.need_elements("variance")?;
        let wide = self.cast(self.dtype().accumulator())?;
        let centred = wide.sub(&wide.mean(dims, true)?)?;
        centred.mul(&centred)?.mean(dims, keep_dims)?.cast(self.dtype())
    }

    /// `log(sum(exp(x)))` without overflow.
    ///
    /// # Errors
    /// When the elements are not floats or there are none.
    pub fn log_sum_exp(&self, dims: &[i32], keep_dims: bool) -> Result<Self> {
        let op = "log-sum-exp";
        self.need_float(op)?;
        let wide = self.cast(self.dtype().accumulator())?;
        let top = wide.untracked().max(dims, true)?;
        let top = top.masked_fill(&top.is_finite()?.logical_not()?, 0.0)?;
        let total = wide.sub(&top)?.exp()?.sum(dims, true)?.log()?.add(&top)?;
        let left = Plan::new(op, self, dims, keep_dims)?.shape;
        total.view(op, &left)?.cast(self.dtype())
    }

    /// The square root of the sum of squares; its gradient at zero is zero.
    ///
    /// # Errors
    /// When the elements are not floats.
    pub fn l2_norm(&self, dims: &[i32], keep_dims: bool) -> Result<Self> {
        self.need_float("l2-norm")?;
        let wide = self.cast(self.dtype().accumulator())?;
        let squares = wide.mul(&wide)?.sum(dims, keep_dims)?;
        let zero = squares.eq_scalar(0.0)?;
        squares.masked_fill(&zero, 1.0)?.sqrt()?.masked_fill(&zero, 0.0)?.cast(self.dtype())
    }

    /// The int64 place of the largest element along `dim`.
    ///
    /// # Errors
    /// When there is no element or no such dimension; for booleans.
    pub fn arg_max(&self, dim: i32, keep_dims: bool) -> Result<Self> {
        self.place("arg-max", dim, keep_dims, true)
    }

    /// The int64 place of the smallest element along `dim`.
    ///
    /// # Errors
    /// When there is no element or no such dimension; for booleans.
    pub fn arg_min(&self, dim: i32, keep_dims: bool) -> Result<Self> {
        self.place("arg-min", dim, keep_dims, false)
    }

    fn place(&self, op: &'static str, dim: i32, keep_dims: bool, largest: bool) -> Result<Self> {
        self.need_number(op)?;
        self.need_elements(op)?;
        let axis = dimension(op, dim, self.rank())?;
        let (tensor, to) = (self.untracked(), Dtype::Int64.int());
        let left = reduced(&self.shape(), &[axis], keep_dims);
        let places = Self::make(op, &left, || match (self.kind(), largest) {
            (Kind::Float, true) => Dispatch::float_argmax(tensor.raw(), axis, to),
            (Kind::Float, false) => Dispatch::float_argmin(tensor.raw(), axis, to),
            (_, true) => Dispatch::int_argmax(tensor.raw(), axis),
            (_, false) => Dispatch::int_argmin(tensor.raw(), axis),
        })?;
        places.cast(Dtype::Int64)
    }

    /// Whether any element is true.
    ///
    /// # Errors
    /// When the elements are not boolean.
    pub fn any(&self, dims: &[i32], keep_dims: bool) -> Result<Self> {
        self.quantify("any", dims, keep_dims, 0.0, Dispatch::bool_any_dim)
    }

    /// Whether all elements are true.
    ///
    /// # Errors
    /// When the elements are not boolean.
    pub fn all(&self, dims: &[i32], keep_dims: bool) -> Result<Self> {
        self.quantify("all", dims, keep_dims, 1.0, Dispatch::bool_all_dim)
    }

    fn quantify(&self, op: &'static str, dims: &[i32], keep_dims: bool, empty: f64, fold: ByAxis) -> Result<Self> {
        self.need_bool(op, "the tensor")?;
        let plan = Plan::new(op, self, dims, keep_dims)?;
        if self.numel() == 0 {
            return creation::full(&plan.shape, empty, Dtype::Boolean, &self.device());
        }
        Self::make(op, &plan.shape, || plan.axes.iter().fold(self.raw(), |t, a| fold(t, *a)))
    }

    /// Running sums along `dim`. Integers give int64.
    ///
    /// # Errors
    /// When there is no such dimension; for booleans.
    pub fn cum_sum(&self, dim: i32) -> Result<Self> {
        let op = "cum-sum";
        self.need_number(op)?;
        let axis = dimension(op, dim, self.rank())?;
        let wide = self.cast(self.dtype().accumulator())?;
        let sums = Self::make(op, &self.shape(), || match self.kind() {
            Kind::Float => Dispatch::float_cumsum(wide.raw(), axis),
            _ => Dispatch::int_cumsum(wide.raw(), axis),
        })?;
        if self.dtype().is_float() { sums.cast(self.dtype()) } else { Ok(sums) }
    }

    /// Counts per bin over `[low, high)`, shape `[bins]`, int64; outliers go to
    /// the end bins. With `weights`, of this tensor's shape, their sums instead,
    /// in float32 or wider; gradients reach the weights.
    ///
    /// The host looks for the bins, a part of the elements at a time: nothing of this tensor's size is made, but
    /// with `weights` 8 bytes an element.
    ///
    /// # Errors
    /// When `bins` is zero, the range is empty or not finite, the shapes differ,
    /// or an element is NaN.
    pub fn histogram(&self, bins: u32, low: f64, high: f64, weights: Option<&Self>) -> Result<Self> {
        let op = "histogram";
        self.need_number(op)?;
        ensure!(bins > 0, op, "needs at least one bin");
        ensure!(
            low.is_finite() && high.is_finite() && low < high,
            op,
            "the range [{low}, {high}) is empty or not finite"
        );
        let size = bins as usize;
        admit(op, &[size], Dtype::Int64)?;
        let (values, count, device) = (self.untracked().flat(op)?, self.numel() as usize, self.device());
        let range = BinRange { bins, low, high };
        let Some(weights) = weights else {
            let mut counts = vec![0_i64; size];
            range.each_bin(&values, |bin| counts[bin] += 1)?;
            return creation::from_int64(counts, &[size], &device);
        };
        let (own, theirs) = (self.shape(), weights.shape());
        ensure!(own == theirs, op, "weights of shape {theirs:?} for values of shape {own:?}");
        weights.need_float(op)?;
        admit(op, &[count], Dtype::Int64)?;
        let mut index = Vec::with_capacity(count);
        range.each_bin(&values, |bin| index.push(bin as i64))?;
        let amounts = weights.cast(weights.dtype().accumulator())?.flat(op)?;
        let empty = creation::full(&[size], 0.0, amounts.dtype(), &device)?;
        if count == 0 {
            return Ok(empty);
        }
        let index = creation::from_int64(index, &[count], &device)?;
        Self::make(op, &[size], || {
            Dispatch::float_scatter(0, empty.raw(), index.raw(), amounts.raw(), IndexingUpdateOp::Add)
        })
    }

    /// `exp(x) / sum(exp(x))` along `dim`.
    ///
    /// # Errors
    /// When the elements are not floats or there is no such dimension.
    pub fn softmax(&self, dim: i32) -> Result<Self> {
        self.normalised("softmax", dim, Dispatch::softmax)
    }

    /// `log(softmax(x))` along `dim`, without overflow.
    ///
    /// # Errors
    /// When the elements are not floats or there is no such dimension.
    pub fn log_softmax(&self, dim: i32) -> Result<Self> {
        self.normalised("log-softmax", dim, Dispatch::log_softmax)
    }

    fn normalised(&self, op: &'static str, dim: i32, body: ByAxis) -> Result<Self> {
        self.need_float(op)?;
        self.need_elements(op)?;
        let axis = dimension(op, dim, self.rank())?;
        let wide = self.cast(self.dtype().accumulator())?;
        Self::make(op, &self.shape(), || body(wide.raw(), axis))?.cast(self.dtype())
    }
}

type ByAxis = fn(burn::backend::DispatchTensor, usize) -> burn::backend::DispatchTensor;

/// Which bin a number belongs to.
struct BinRange {
    bins: u32,
    low: f64,
    high: f64,
}

impl BinRange {
    /// Elements that are looked at together.
    const PART: usize = 1 << 16;

    /// The bin of each of `values`, a vector, in order: computed in their own type, 16-bit floats in float32 and
    /// integers in float64.
    fn each_bin(&self, values: &AnyTensor, mut each: impl FnMut(usize)) -> Result<()> {
        let (op, last) = ("histogram", self.bins as usize - 1);
        let scale = f64::from(self.bins) / (self.high - self.low);
        let narrow = values.dtype().is_float() && values.dtype() != Dtype::Float64;
        let count = values.numel() as usize;
        let mut whole = true;
        for start in (0..count).step_by(Self::PART) {
            let part = values.slice(0, start as i64, start.saturating_add(Self::PART) as i64, 1)?;
            if narrow {
                let (low, high, scale) = (self.low as f32, self.high as f32, scale as f32);
                for value in part.to_float32()? {
                    whole &= !value.is_nan();
                    each((((value.clamp(low, high) - low) * scale).floor() as usize).min(last));
                }
            } else {
                for value in part.to_float64()? {
                    whole &= !value.is_nan();
                    each((((value.clamp(self.low, self.high) - self.low) * scale).floor() as usize).min(last));
                }
            }
            ensure!(whole, op, "an element is NaN and belongs to no bin");
        }
        Ok(())
    }
}
