//! Leaves and the backward pass, free of rank.
//!
//! ```
//! use retune_tensor::{Device, from_float32};
//!
//! let x = from_float32(vec![1.0, 2.0], &[2], &Device::flex())?.leaf()?;
//! let y = x.mul(&x)?.sum(&[], false)?;
//! let mut gradients = y.backward()?;
//! assert_eq!(gradients.take(&x).unwrap().to_float32()?, [2.0, 4.0]);
//! # Ok::<(), retune_tensor::TensorError>(())
//! ```

use burn::backend::ops::FloatTensorOps;
use burn::backend::{AutodiffBackend, Dispatch, DispatchAutodiffContext};

use crate::AnyTensor;
use crate::error::{Result, ensure, guard};

/// What a backward pass found. A gradient lies off the autodiff device.
pub struct Gradients(<Dispatch as AutodiffBackend>::Gradients);

impl AnyTensor {
    /// The same values as the start of a new graph: what is computed from it is
    /// tracked, and [`Gradients::take`] knows it (and its clones).
    ///
    /// # Errors
    /// When the elements are not floats.
    pub fn leaf(&self) -> Result<Self> {
        let op = "leaf";
        self.need_float(op)?;
        let plain = self.untracked();
        Self::make(op, &self.shape(), || Dispatch::float_set_require_grad(Dispatch::from_inner(plain.raw()), true))
    }

    /// Derivatives of this scalar with respect to every leaf it was computed from.
    ///
    /// Consumes the recorded operations: a second call on the same graph finds
    /// nothing.
    ///
    /// # Errors
    /// When this tensor is not a scalar, or no leaf led to it.
    pub fn backward(&self) -> Result<Gradients> {
        let op = "backward";
        ensure!(self.numel() == 1, op, "needs one number to differentiate, got shape {:?}", self.shape());
        ensure!(self.is_tracked(), op, "no gradient flows to this tensor; every input was untracked or detached");
        guard(op, || Gradients(Dispatch::backward(self.raw())))
    }
}

impl Gradients {
    /// The gradient of `leaf`, in its shape; `None` when it did not take part.
    pub fn get(&self, leaf: &AnyTensor) -> Option<AnyTensor> {
        let raw = known(leaf)?;
        shown(leaf, guard("grad", || Dispatch::grad(&raw, &self.0)).ok()??)
    }

    /// As [`Gradients::get`], and forgets it, which frees its memory early.
    pub fn take(&mut self, leaf: &AnyTensor) -> Option<AnyTensor> {
        let raw = known(leaf)?;
        shown(leaf, guard("grad", || Dispatch::grad_remove(&raw, &mut self.0)).ok()??)
    }
}

/// burn's value, when it is a leaf.
fn known(leaf: &AnyTensor) -> Option<burn::backend::DispatchTensor> {
    if leaf.is_lazy() {
        return None;
    }
    let raw = leaf.raw();
    let tracked = leaf.dtype().is_float() && raw.autodiff != DispatchAutodiffContext::Disabled;
    (tracked && Dispatch::float_is_require_grad(&raw)).then_some(raw)
}

fn shown(leaf: &AnyTensor, gradient: burn::backend::DispatchTensor) -> Option<AnyTensor> {
    AnyTensor::make("grad", &leaf.shape(), || gradient).ok()
}
