//! Operations that move elements and compute nothing.

use burn::backend::Dispatch;
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::tensor::{Scalar, Slice};

use crate::any::by_kind;
use crate::dtype::{Dtype, Kind};
use crate::error::{Result, ensure, fail};
use crate::geometry::{Shown, admit, dimension, dimensions, reshaped};
use crate::{AnyTensor, creation};

impl AnyTensor {
    /// The same elements in `shape`; one size may be -1, which stands for what is left.
    ///
    /// # Errors
    /// When the number of elements differs.
    pub fn reshape(&self, shape: &[i32]) -> Result<Self> {
        let (op, shape) = ("reshape", reshaped("reshape", &self.shape(), shape)?);
        // The number of elements is the same, but those of an empty tensor may be in any sizes.
        admit(op, &shape, self.dtype())?;
        self.view(op, &shape)
    }

    /// Dimension `i` of the result is dimension `dims[i]` of this tensor.
    ///
    /// # Errors
    /// When `dims` does not name each dimension once.
    pub fn permute(&self, dims: &[i32]) -> Result<Self> {
        let (op, rank, shape) = ("permute", self.rank(), self.shape());
        ensure!(dims.len() == rank, op, "{} names {} dimensions, the tensor has {rank}", Shown(dims), dims.len());
        if rank == 0 {
            return Ok(self.clone());
        }
        dimensions(op, dims, rank)?;
        let axes = dims.iter().map(|d| dimension(op, *d, rank)).collect::<Result<Vec<_>>>()?;
        let to: Vec<_> = axes.iter().map(|a| shape[*a]).collect();
        Self::make(op, &to, || by_kind!(self.kind(); float_permute, int_permute, bool_permute; self.raw(), &axes))
    }

    /// With two dimensions exchanged.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn transpose(&self, dim0: i32, dim1: i32) -> Result<Self> {
        let (op, mut shape) = ("transpose", self.shape());
        let (a, b) = (dimension(op, dim0, shape.len())?, dimension(op, dim1, shape.len())?);
        shape.swap(a, b);
        Self::make(
            op,
            &shape,
            || by_kind!(self.kind(); float_swap_dims, int_swap_dims, bool_swap_dims; self.raw(), a, b),
        )
    }

    /// Repeated along dimensions of size one; -1 keeps a size, new dimensions go in front.
    ///
    /// # Errors
    /// When a size other than one would change.
    pub fn expand(&self, shape: &[i32]) -> Result<Self> {
        let (op, from) = ("expand", self.shape());
        ensure!(
            shape.len() >= from.len(),
            op,
            "a tensor of shape {from:?} does not fit {}, which has fewer dimensions",
            Shown(shape)
        );
        let new = shape.len() - from.len();
        let mut to = Vec::with_capacity(shape.len());
        for (axis, size) in shape.iter().enumerate() {
            let old = axis.checked_sub(new).map(|i| from[i]);
            to.push(match (old, *size) {
                (Some(old), -1) => old,
                (None, -1) => {
                    fail!(op, "{} has -1 for a dimension that the tensor of shape {from:?} lacks", Shown(shape))
                }
                (_, size) if size < 0 => fail!(op, "{} has a negative size other than -1", Shown(shape)),
                (Some(old), size) if old != 1 && old != size as usize => {
                    fail!(op, "a tensor of shape {from:?} does not expand to {}", Shown(shape))
                }
                (_, size) => size as usize,
            });
        }
        self.spread(op, &to)
    }

    /// Without dimension `dim`, whose size is one.
    ///
    /// # Errors
    /// When its size is not one.
    pub fn squeeze(&self, dim: i32) -> Result<Self> {
        let (op, mut shape) = ("squeeze", self.shape());
        let axis = dimension(op, dim, shape.len())?;
        ensure!(shape[axis] == 1, op, "dimension {dim} of shape {shape:?} has size {}, not one", shape[axis]);
        shape.remove(axis);
        self.view(op, &shape)
    }

    /// With a new dimension of size one at `dim`.
    ///
    /// # Errors
    /// When there is no such place.
    pub fn unsqueeze(&self, dim: i32) -> Result<Self> {
        let (op, mut shape) = ("unsqueeze", self.shape());
        let axis = dimension(op, dim, shape.len() + 1)?;
        shape.insert(axis, 1);
        admit(op, &shape, self.dtype())?;
        self.view(op, &shape)
    }

    /// Every `step`-th element of `start..end` along `dim`. Negative bounds count
    /// from the end; bounds outside the dimension are moved to its edge.
    ///
    /// # Errors
    /// When `step` is zero.
    pub fn slice(&self, dim: i32, start: i64, end: i64, step: u32) -> Result<Self> {
        let (op, mut shape) = ("slice", self.shape());
        let axis = dimension(op, dim, shape.len())?;
        ensure!(step > 0, op, "the step must be at least 1");
        let size = shape[axis] as i64;
        let bound = |at: i64| if at < 0 { at.saturating_add(size).max(0) } else { at.min(size) };
        let (start, end) = (bound(start), bound(end));
        shape[axis] = (end - start).max(0).unsigned_abs().div_ceil(u64::from(step)) as usize;
        if shape[axis] == 0 {
            return creation::full(&shape, 0.0, self.dtype(), &self.device());
        }
        if shape == self.shape() {
            return Ok(self.clone());
        }
        let mut slices = vec![Slice::new(0, None, 1); shape.len()];
        slices[axis] = Slice::new(start as isize, Some(end as isize), step as isize);
        Self::make(op, &shape, || by_kind!(self.kind(); float_slice, int_slice, bool_slice; self.raw(), &slices))
    }

    /// In reverse order along `dims`; empty means all.
    ///
    /// # Errors
    /// When a dimension is not there or named twice.
    pub fn flip(&self, dims: &[i32]) -> Result<Self> {
        let (op, shape) = ("flip", self.shape());
        let axes = dimensions(op, dims, shape.len())?;
        if axes.is_empty() {
            return Ok(self.clone());
        }
        Self::make(op, &shape, || by_kind!(self.kind(); float_flip, int_flip, bool_flip; self.raw(), &axes))
    }

    /// `times` copies one after another along `dim`.
    ///
    /// # Errors
    /// When `times` is zero or the result too large.
    pub fn repeat(&self, dim: i32, times: u32) -> Result<Self> {
        let (op, mut shape) = ("repeat", self.shape());
        let axis = dimension(op, dim, shape.len())?;
        ensure!(times > 0, op, "needs at least one copy");
        let times = times as usize;
        shape[axis] = shape[axis].saturating_mul(times);
        admit(op, &shape, self.dtype())?;
        Self::make(
            op,
            &shape,
            || by_kind!(self.kind(); float_repeat_dim, int_repeat_dim, bool_repeat_dim; self.raw(), axis, times),
        )
    }

    /// The elements as another type. Floats are truncated towards zero for
    /// integers; anything but zero is true; true is one.
    ///
    /// # Errors
    /// When the device lacks the type or the result is too large.
    pub fn cast(&self, to: Dtype) -> Result<Self> {
        if self.dtype() == to {
            return Ok(self.clone());
        }
        admit("cast", &self.shape(), to)?;
        let zero = Scalar::Int(0);
        let store = self.bool_dtype();
        Self::make("cast", &self.shape(), || match (self.kind(), to.kind()) {
            (Kind::Float, Kind::Float) => Dispatch::float_cast(self.raw(), to.float()),
            (Kind::Float, Kind::Int) => Dispatch::float_into_int(self.raw(), to.int()),
            (Kind::Float, Kind::Bool) => Dispatch::float_not_equal_elem(self.raw(), Scalar::Float(0.0), store),
            (Kind::Int, Kind::Float) => Dispatch::int_into_float(self.raw(), to.float()),
            (Kind::Int, Kind::Int) => Dispatch::int_cast(self.raw(), to.int()),
            (Kind::Int, Kind::Bool) => Dispatch::int_not_equal_elem(self.raw(), zero, store),
            (Kind::Bool, Kind::Float) => Dispatch::bool_into_float(self.raw(), to.float()),
            (Kind::Bool, Kind::Int) => Dispatch::bool_into_int(self.raw(), to.int()),
            (Kind::Bool, Kind::Bool) => self.raw(),
        })
    }
}
