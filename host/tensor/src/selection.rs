//! Operations that choose elements: by index, by mask, by order.
//!
//! Price: `gather`, `index_select`, `scatter_add` and `one_hot` check that every
//! index lies inside its dimension, which copies the index (not the values) to
//! the host, a part at a time. On the CPU that is a fraction of the operation; on a GPU it waits
//! for the device once per call, because a kernel would read out of bounds
//! silently.
//!
//! Booleans are chosen as bytes: flex's operations would give bytes back.

use burn::backend::Dispatch;
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::tensor::{IndexingUpdateOp, Scalar};

use crate::any::by_kind;
use crate::dtype::{Dtype, Kind, scalar_of};
use crate::error::{Result, ensure, fail};
use crate::geometry::{admit, broadcast, dimension};
use crate::{AnyTensor, creation, order};

/// An error naming the first index outside `0..size`.
pub(crate) fn check_indices(op: &'static str, index: &AnyTensor, size: usize) -> Result<()> {
    let outside = index.find_int64(|i| !(0..size as i64).contains(&i))?;
    if let Some((position, value)) = outside {
        fail!(op, "index {value} at position {position} lies outside the dimension of size {size}");
    }
    Ok(())
}

impl AnyTensor {
    /// Integers as burn's kernels take them.
    fn as_index(&self, op: &'static str) -> Result<Self> {
        self.need_int(op, "indices")?;
        if self.dtype() == Dtype::Uint8 { self.cast(Dtype::Int64) } else { Ok(self.clone()) }
    }

    /// `result[.., j, ..] = self[.., index[.., j, ..], ..]` along `dim`; the result
    /// has the shape of `index`.
    ///
    /// # Errors
    /// When ranks differ, `index` is larger than this tensor in another
    /// dimension, is not of integers, or points outside `dim`.
    pub fn gather(&self, dim: i32, index: &Self) -> Result<Self> {
        let op = "gather";
        let axis = self.check_gather(op, dim, index)?;
        check_indices(op, index, self.shape()[axis])?;
        self.gather_unchecked(op, axis, index)
    }

    fn check_gather(&self, op: &'static str, dim: i32, index: &Self) -> Result<usize> {
        let (shape, taken) = (self.shape(), index.shape());
        let axis = dimension(op, dim, shape.len())?;
        let fits = shape.len() == taken.len() && (0..shape.len()).all(|k| k == axis || taken[k] <= shape[k]);
        ensure!(fits, op, "an index of shape {taken:?} does not fit a tensor of shape {shape:?} along dimension {dim}");
        index.need_int(op, "indices")?;
        Ok(axis)
    }

    /// Without reading the indices back: they are known to be inside.
    pub(crate) fn gather_unchecked(&self, op: &'static str, axis: usize, index: &Self) -> Result<Self> {
        if self.dtype() == Dtype::Boolean {
            return self.cast(Dtype::Uint8)?.gather_unchecked(op, axis, index)?.cast(Dtype::Boolean);
        }
        let (shape, at) = (index.shape(), index.as_index(op)?);
        admit(op, &shape, self.dtype())?;
        // burn wants equal sizes in the other dimensions.
        let mut source = self.clone();
        for (k, size) in shape.iter().enumerate().filter(|(k, _)| *k != axis) {
            source = source.slice(k as i32, 0, *size as i64, 1)?;
        }
        Self::make(op, &shape, || match self.kind() {
            Kind::Float => Dispatch::float_gather(axis, source.raw(), at.raw()),
            _ => Dispatch::int_gather(axis, source.raw(), at.raw()),
        })
    }

    /// The slices `index` names along `dim`; `index` has one dimension.
    ///
    /// # Errors
    /// When `index` is not a vector of integers or points outside `dim`.
    pub fn index_select(&self, dim: i32, index: &Self) -> Result<Self> {
        let (op, mut shape) = ("index-select", self.shape());
        let axis = dimension(op, dim, shape.len())?;
        ensure!(index.rank() == 1, op, "the index must have one dimension, its shape is {:?}", index.shape());
        let at = index.as_index(op)?;
        check_indices(op, index, shape[axis])?;
        shape[axis] = index.shape()[0];
        admit(op, &shape, self.dtype())?;
        if self.dtype() == Dtype::Boolean {
            return self.cast(Dtype::Uint8)?.index_select(dim, index)?.cast(Dtype::Boolean);
        }
        Self::make(op, &shape, || match self.kind() {
            Kind::Float => Dispatch::float_select(self.raw(), axis, at.raw()),
            _ => Dispatch::int_select(self.raw(), axis, at.raw()),
        })
    }

    /// This tensor with `src` added at the places `index` names along `dim`; an
    /// index that occurs twice adds twice.
    ///
    /// # Errors
    /// When `index` and `src` differ in shape, their sizes outside `dim` are not
    /// this tensor's, or an index points outside `dim`; for booleans.
    pub fn scatter_add(&self, dim: i32, index: &Self, src: &Self) -> Result<Self> {
        let op = "scatter-add";
        self.need_number(op)?;
        let axis = self.check_gather(op, dim, index)?;
        let (at, from) = (index.shape(), src.shape());
        ensure!(at == from, op, "index and src must have one shape, they have {at:?} and {from:?}");
        let mut fitting = self.shape();
        fitting[axis] = at[axis];
        ensure!(
            at == fitting,
            op,
            "an index of shape {at:?} does not fit a tensor of shape {:?}; expected {fitting:?}",
            self.shape()
        );
        let dtype = self.dtype().promote(src.dtype(), op)?;
        check_indices(op, index, self.shape()[axis])?;
        let (to, src, at) = (self.cast(dtype)?, src.cast(dtype)?, index.as_index(op)?);
        Self::make(op, &self.shape(), || match dtype.kind() {
            Kind::Float => Dispatch::float_scatter(axis, to.raw(), at.raw(), src.raw(), IndexingUpdateOp::Add),
            _ => Dispatch::int_scatter(axis, to.raw(), at.raw(), src.raw(), IndexingUpdateOp::Add),
        })
    }

    /// `then` where this tensor is true, `otherwise` elsewhere; all three broadcast.
    ///
    /// # Errors
    /// When this tensor is not boolean or the shapes do not broadcast.
    pub fn where_(&self, then: &Self, otherwise: &Self) -> Result<Self> {
        let op = "where";
        self.need_bool(op, "the condition")?;
        let dtype = then.dtype().promote(otherwise.dtype(), op)?;
        let shape = broadcast(op, &self.shape(), &broadcast(op, &then.shape(), &otherwise.shape())?)?;
        if dtype == Dtype::Boolean {
            let (then, otherwise) = (then.cast(Dtype::Uint8)?, otherwise.cast(Dtype::Uint8)?);
            return self.where_(&then, &otherwise)?.cast(Dtype::Boolean);
        }
        let mask = self.spread(op, &shape)?;
        let then = then.cast(dtype)?.spread(op, &shape)?;
        let otherwise = otherwise.cast(dtype)?.spread(op, &shape)?;
        Self::make(op, &shape, || match dtype.kind() {
            Kind::Float => Dispatch::float_mask_where(otherwise.raw(), mask.raw(), then.raw()),
            _ => Dispatch::int_mask_where(otherwise.raw(), mask.raw(), then.raw()),
        })
    }

    /// `value` where `mask` is true, this tensor elsewhere.
    ///
    /// # Errors
    /// When `mask` is not boolean or does not broadcast with this tensor.
    pub fn masked_fill(&self, mask: &Self, value: f64) -> Result<Self> {
        let op = "masked-fill";
        mask.need_bool(op, "the mask")?;
        let shape = broadcast(op, &self.shape(), &mask.shape())?;
        let (tensor, mask) = (self.spread(op, &shape)?, mask.spread(op, &shape)?);
        let value = match self.kind() {
            Kind::Bool => Scalar::Bool(value != 0.0),
            _ => scalar_of(op, value, self.dtype())?,
        };
        Self::make(
            op,
            &shape,
            || by_kind!(self.kind(); float_mask_fill, int_mask_fill, bool_mask_fill; tensor.raw(), mask.raw(), value),
        )
    }

    /// Integers `[..]` as int64 `[.., classes]`: one at the index, zero elsewhere.
    ///
    /// # Errors
    /// When an index lies outside `0..classes`.
    pub fn one_hot(&self, classes: u32) -> Result<Self> {
        let op = "one-hot";
        self.need_int(op, "labels")?;
        let mut shape = self.shape();
        shape.push(classes as usize);
        admit(op, &shape, Dtype::Int64)?;
        check_indices(op, self, classes as usize)?;
        let range = creation::arange(0, i64::from(classes), 1, &self.device())?;
        self.cast(Dtype::Int64)?.unsqueeze(-1)?.eq(&range)?.cast(Dtype::Int64)
    }

    /// The `k` largest along `dim`, largest first, and their int64 places. Which
    /// of equal elements comes first is not defined.
    ///
    /// # Errors
    /// When `k` is zero or more than the dimension holds; for booleans.
    pub fn top_k(&self, k: u32, dim: i32) -> Result<(Self, Self)> {
        let (op, mut shape) = ("top-k", self.shape());
        self.need_number(op)?;
        let (axis, k) = (dimension(op, dim, shape.len())?, k as usize);
        ensure!((1..=shape[axis]).contains(&k), op, "k is {k}, the dimension holds {}", shape[axis]);
        shape[axis] = k;
        let (order, first) = (self.order(op, axis, true)?, creation::arange(0, k as i64, 1, &self.device())?);
        // Not a slice: that would hold on to the places of all elements.
        let places = Self::make(op, &shape, || Dispatch::int_select(order.raw(), axis, first.raw()))?;
        Ok((self.gather_unchecked(op, axis, &places)?, places))
    }

    /// The elements in order along `dim`, and the int64 place each came from.
    ///
    /// # Errors
    /// When there is no such dimension; for booleans.
    pub fn sort(&self, dim: i32, descending: bool) -> Result<(Self, Self)> {
        let op = "sort";
        self.need_number(op)?;
        let axis = dimension(op, dim, self.rank())?;
        let places = self.order(op, axis, descending)?;
        Ok((self.gather_unchecked(op, axis, &places)?, places))
    }

    /// Where each element of the sorted tensor stands in this one.
    fn order(&self, op: &'static str, axis: usize, descending: bool) -> Result<Self> {
        admit(op, &self.shape(), Dtype::Int64)?;
        if let Some(places) = order::places(self, axis, descending)? {
            return Ok(places);
        }
        let tensor = self.untracked();
        Self::make(op, &self.shape(), || match self.kind() {
            Kind::Float => Dispatch::float_argsort(tensor.raw(), axis, descending, Dtype::Int64.int()),
            _ => Dispatch::int_argsort(tensor.raw(), axis, descending),
        })?
        .cast(Dtype::Int64)
    }
}
