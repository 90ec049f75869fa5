//! A tensor whose rank and element type are known only at run time.
//!
//! burn's `Tensor<D, K>` is a typed view of a rank-free value, the
//! `DispatchTensor`, and its `Dispatch` backend has every operation on that
//! value, gradients included. [`AnyTensor`] holds it, checks shapes, types and
//! indices itself, and then calls `Dispatch`.
//!
//! Invariants: a clone is a handle, never a copy; no operation panics; a tensor
//! of shape `[]` is held by burn as `[1]`, because not every backend knows rank
//! zero. Tensors with and without a gradient may meet: the one without is a
//! constant. A tensor may be [`Deferred`]: its facts are known, and the
//! first operation that is not one of `fused` makes its elements, once. Integers that came from the host
//! are known to it still, when they live elsewhere: reading them does not ask the device.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{AutodiffBackend, Dispatch, DispatchAutodiffContext, DispatchTensor, TensorMetadata};
use burn::tensor::kind::{Basic, Kind as BurnKind};
use burn::tensor::{Bool, BoolDType, Device, Float, Int, Shape, Tensor, TensorData};

use crate::dtype::{Dtype, Kind};
use crate::error::{Result, TensorError, ensure, guard, thrown};
use crate::geometry::admit;
use crate::transfer;

/// A tensor of any rank and element type, on any device.
#[derive(Clone, Debug)]
pub struct AnyTensor {
    inner: Inner,
    /// Shown as `[]` while burn holds `[1]`.
    scalar: bool,
    /// The elements of an int64 tensor on another device, where the host knows them.
    known: Option<Arc<[i64]>>,
}

#[derive(Clone, Debug)]
enum Inner {
    /// Boxed: with CUDA compiled in, burn's value takes over 500 bytes.
    Whole(Box<DispatchTensor>),
    Deferred(Arc<dyn Deferred>),
}

/// Elements that are made when they are first asked for, of a tensor whose facts are known.
pub(crate) trait Deferred: Debug + Send + Sync {
    fn shape(&self) -> Vec<usize>;
    fn dtype(&self) -> Dtype;
    fn device(&self) -> Device;
    fn is_tracked(&self) -> bool;
    fn untracked(&self) -> AnyTensor;
    /// The tensor itself, the same at every call.
    fn whole(&self) -> Result<AnyTensor>;
    /// For those who know what it is made of.
    fn as_any(&self) -> &dyn Any;
}

/// Calls burn's operation for the tensor's family of types.
macro_rules! by_kind {
    ($kind:expr; $float:ident, $int:ident, $bool:ident; $($arg:expr),*) => {
        match $kind {
            $crate::dtype::Kind::Float => burn::backend::Dispatch::$float($($arg),*),
            $crate::dtype::Kind::Int => burn::backend::Dispatch::$int($($arg),*),
            $crate::dtype::Kind::Bool => burn::backend::Dispatch::$bool($($arg),*),
        }
    };
}
pub(crate) use by_kind;

impl<const D: usize, K: Basic> From<Tensor<D, K>> for AnyTensor {
    fn from(tensor: Tensor<D, K>) -> Self {
        let inner = tensor.into_dispatch();
        let scalar = inner.shape().rank() == 0;
        Self::of(inner, scalar)
    }
}

/// Facts.
impl AnyTensor {
    /// Sizes of the dimensions; `[]` for a scalar.
    pub fn shape(&self) -> Vec<usize> {
        match &self.inner {
            Inner::Whole(_) if self.scalar => Vec::new(),
            Inner::Whole(inner) => inner.shape().to_vec(),
            Inner::Deferred(lazy) => lazy.shape(),
        }
    }

    /// Number of dimensions; zero for a scalar.
    pub fn rank(&self) -> usize {
        self.shape().len()
    }

    /// Type of the elements.
    pub fn dtype(&self) -> Dtype {
        match &self.inner {
            Inner::Whole(inner) => Dtype::of(inner.dtype()),
            Inner::Deferred(lazy) => lazy.dtype(),
        }
    }

    /// Number of elements.
    pub fn numel(&self) -> u64 {
        let shape = self.shape();
        // An empty tensor may have other sizes whose product no integer holds.
        if shape.contains(&0) { 0 } else { shape.iter().fold(1, |n, d| n.saturating_mul(*d as u64)) }
    }

    /// Bytes the elements take when stored densely, whether they are there or not.
    pub fn byte_len(&self) -> u64 {
        let size = match &self.inner {
            Inner::Whole(inner) => inner.dtype().size() as u64,
            Inner::Deferred(lazy) => lazy.dtype().size(),
        };
        self.numel().saturating_mul(size)
    }

    /// Where it lives. The device of a tensor that can be tracked is an autodiff device.
    pub fn device(&self) -> Device {
        match &self.inner {
            Inner::Whole(inner) => Device::new(inner.device()),
            Inner::Deferred(lazy) => lazy.device(),
        }
    }

    /// True when a gradient can flow through it.
    pub fn is_tracked(&self) -> bool {
        match &self.inner {
            Inner::Whole(inner) => self.dtype().is_float() && Dispatch::is_tracked(inner),
            Inner::Deferred(lazy) => lazy.is_tracked(),
        }
    }

    /// The same values off the autodiff device: what is computed from it alone records nothing.
    pub fn untracked(&self) -> Self {
        match &self.inner {
            Inner::Whole(inner) if inner.autodiff == DispatchAutodiffContext::Disabled => self.clone(),
            Inner::Whole(_) => {
                let inner = by_kind!(self.kind(); inner, int_inner, bool_inner; self.raw());
                Self::of(inner, self.scalar).with_known(self.known.clone())
            }
            Inner::Deferred(lazy) => lazy.untracked(),
        }
    }

    /// True of logits that the operations of `fused` compute chunk by chunk, whether or not something else has made
    /// the whole by now; see [`lazy_logits`](crate::lazy_logits).
    pub fn is_lazy(&self) -> bool {
        self.deferred().is_some()
    }

    /// The same values, there: a lazy tensor is made, once for all its clones.
    ///
    /// # Errors
    /// When it would be too large.
    pub fn whole(&self) -> Result<Self> {
        self.deferred().map_or_else(|| Ok(self.clone()), Deferred::whole)
    }

    /// The same values with no gradient flowing back; what [`AnyTensor::untracked`]
    /// gives. (burn's own `detach` makes a leaf that wants a gradient into another
    /// such leaf.)
    ///
    /// # Errors
    /// None; the signature is that of every operation.
    pub fn detach(&self) -> Result<Self> {
        guard("detach", || self.untracked())
    }
}

/// To burn's typed API and to host memory.
impl AnyTensor {
    /// The typed view of this tensor; a scalar is seen as `[1]`.
    ///
    /// # Errors
    /// When `D` is not the rank or `K` not the family of the element type.
    pub fn typed<const D: usize, K: Basic>(&self) -> Result<Tensor<D, K>> {
        let rank = self.rank().max(1);
        ensure!(rank == D, "typed", "asked for rank {D}, the tensor has shape {:?}", self.shape());
        let (fits, asked) = match K::KIND {
            BurnKind::Float => (self.kind() == Kind::Float, "float"),
            BurnKind::Int => (self.kind() == Kind::Int, "integer"),
            BurnKind::Bool => (self.kind() == Kind::Bool, "boolean"),
        };
        ensure!(fits, "typed", "asked for {asked} elements, the tensor has {}", self.dtype());
        guard("typed", || Tensor::from_dispatch(self.raw()))
    }

    /// The elements in row-major order, whatever their type; waits for the device, unless they are integers
    /// that came from the host.
    ///
    /// # Errors
    /// When the device fails.
    pub fn data(&self) -> Result<TensorData> {
        if let Some(known) = &self.known {
            return Ok(TensorData::new(known.to_vec(), [known.len()]));
        }
        transfer::read(self.byte_len());
        let tensor = self.untracked().whole()?.raw();
        let read = guard("read", || match self.kind() {
            Kind::Float => Tensor::<1, Float>::from_dispatch(tensor).try_into_data(),
            Kind::Int => Tensor::<1, Int>::from_dispatch(tensor).try_into_data(),
            Kind::Bool => Tensor::<1, Bool>::from_dispatch(tensor).try_into_data(),
        })?;
        read.map_err(|error| TensorError::new("read", format!("the device failed: {error:?}")))
    }

    /// The elements as float32, in row-major order: booleans as 0 and 1, float64 rounded.
    ///
    /// # Errors
    /// When the copy would be too large or the device fails.
    pub fn to_float32(&self) -> Result<Vec<f32>> {
        self.elements("to-float32", Dtype::Float32)
    }

    /// The elements as float64, in row-major order.
    ///
    /// # Errors
    /// When the copy would be too large or the device fails.
    pub fn to_float64(&self) -> Result<Vec<f64>> {
        self.elements("to-float64", Dtype::Float64)
    }

    /// The elements as int64, in row-major order: booleans as 0 and 1, floats
    /// truncated towards zero.
    ///
    /// # Errors
    /// When the copy would be too large or the device fails.
    pub fn to_int64(&self) -> Result<Vec<i64>> {
        let whole = if self.dtype().is_float() { self.untracked().cast(Dtype::Int64)? } else { self.clone() };
        whole.elements("to-int64", Dtype::Int64)
    }

    /// The first of these integers that is `sought`, and where it stands in row-major order. The host sees a part of
    /// them at a time, and nothing is copied that it knows.
    pub(crate) fn find_int64(&self, sought: impl Fn(i64) -> bool) -> Result<Option<(usize, i64)>> {
        const PART: usize = 1 << 20;
        let first = |values: &[i64]| values.iter().copied().enumerate().find(|(_, value)| sought(*value));
        let count = self.numel() as usize;
        match &self.known {
            Some(known) => return Ok(first(known)),
            None if count <= PART => return Ok(first(&self.to_int64()?)),
            None => {}
        }
        let flat = self.untracked().view("to-int64", &[count])?;
        for start in (0..count).step_by(PART) {
            let part = flat.slice(0, start as i64, start.saturating_add(PART) as i64, 1)?.to_int64()?;
            if let Some((place, value)) = first(&part) {
                return Ok(Some((start + place, value)));
            }
        }
        Ok(None)
    }

    /// The only element.
    ///
    /// # Errors
    /// When there is not exactly one, or the device fails.
    pub fn item(&self) -> Result<f64> {
        ensure!(
            self.numel() == 1,
            "item",
            "a tensor of shape {:?} has {} elements, not one",
            self.shape(),
            self.numel()
        );
        Ok(self.elements::<f64>("item", Dtype::Float64)?[0])
    }

    /// `dtype` is that of `E`: indices are checked on a copy, which may be wider than they are.
    fn elements<E: burn::tensor::Element>(&self, op: &'static str, dtype: Dtype) -> Result<Vec<E>> {
        admit(op, &self.shape(), dtype)?;
        let data = self.data()?;
        guard(op, || data.try_into_vec_as::<E>())?.map_err(|error| TensorError::new(op, format!("{error:?}")))
    }
}

/// For the operations in the other files.
impl AnyTensor {
    pub(crate) fn kind(&self) -> Kind {
        self.dtype().kind()
    }

    fn of(inner: DispatchTensor, scalar: bool) -> Self {
        Self { inner: Inner::Whole(Box::new(inner)), scalar, known: None }
    }

    pub(crate) fn of_deferred(elements: impl Deferred + 'static) -> Self {
        Self { inner: Inner::Deferred(Arc::new(elements)), scalar: false, known: None }
    }

    /// The same tensor, of whose elements the host knows so much.
    pub(crate) fn with_known(self, known: Option<Arc<[i64]>>) -> Self {
        Self { known, ..self }
    }

    /// What makes its elements, when they may not be there.
    pub(crate) fn deferred(&self) -> Option<&dyn Deferred> {
        match &self.inner {
            Inner::Whole(_) => None,
            Inner::Deferred(elements) => Some(elements.as_ref()),
        }
    }

    /// burn's value; of rank one for a scalar. Makes the elements of a lazy tensor; inside of [`guard`] only,
    /// because an error leaves it.
    pub(crate) fn raw(&self) -> DispatchTensor {
        match &self.inner {
            Inner::Whole(inner) => (**inner).clone(),
            Inner::Deferred(lazy) => match lazy.whole() {
                Ok(whole) => whole.raw(),
                Err(error) => thrown(error),
            },
        }
    }

    /// The type this device stores booleans in.
    pub(crate) fn bool_dtype(&self) -> BoolDType {
        self.device().settings().bool_dtype
    }

    /// Runs `body` and shows its result as a tensor of `shape`.
    pub(crate) fn make(op: &'static str, shape: &[usize], body: impl FnOnce() -> DispatchTensor) -> Result<Self> {
        guard(op, || {
            let inner = body();
            let held: &[usize] = if shape.is_empty() { &[1] } else { shape };
            let inner = if inner.shape().to_vec() == held {
                inner
            } else {
                let kind = Dtype::of(inner.dtype()).kind();
                by_kind!(kind; float_reshape, int_reshape, bool_reshape; inner, Shape::from(held.to_vec()))
            };
            Self::of(inner, shape.is_empty())
        })
    }

    /// The same elements in another shape of as many.
    pub(crate) fn view(&self, op: &'static str, shape: &[usize]) -> Result<Self> {
        Ok(Self::make(op, shape, || self.raw())?.with_known(self.known.clone()))
    }

    /// With ones in front until it has `rank` dimensions.
    pub(crate) fn padded(&self, op: &'static str, rank: usize) -> Result<Self> {
        let mut shape = vec![1; rank.saturating_sub(self.rank())];
        shape.extend(self.shape());
        self.view(op, &shape)
    }

    /// Repeated along dimensions of size one until it has `shape`, which must fit.
    pub(crate) fn spread(&self, op: &'static str, shape: &[usize]) -> Result<Self> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        admit(op, shape, self.dtype())?;
        let source = self.padded(op, shape.len().max(1))?;
        let to = Shape::from(shape.to_vec());
        Self::make(op, shape, || by_kind!(self.kind(); float_expand, int_expand, bool_expand; source.raw(), to))
    }

    /// An error unless the element type is a float.
    pub(crate) fn need_float(&self, op: &'static str) -> Result<()> {
        ensure!(self.dtype().is_float(), op, "needs a float tensor, got {}; cast it first", self.dtype());
        Ok(())
    }

    /// An error unless the element type is an integer.
    pub(crate) fn need_int(&self, op: &'static str, what: &str) -> Result<()> {
        ensure!(self.dtype().is_int(), op, "{what} must be integers, got {}", self.dtype());
        Ok(())
    }

    /// An error unless the element type is boolean.
    pub(crate) fn need_bool(&self, op: &'static str, what: &str) -> Result<()> {
        ensure!(self.dtype() == Dtype::Boolean, op, "{what} must be boolean, got {}", self.dtype());
        Ok(())
    }

    /// An error for booleans.
    pub(crate) fn need_number(&self, op: &'static str) -> Result<()> {
        ensure!(self.dtype() != Dtype::Boolean, op, "needs numbers, got a boolean tensor; cast it first");
        Ok(())
    }
}
