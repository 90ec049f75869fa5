//! The backward passes: what each kernel keeps, and whom it tells.
//!
//! Projections have theirs in [`super::projection_autodiff`].

use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend, TensorMetadata};

use super::operations::Kernels;
use super::spans::{DroppedLines, Spans};
use super::tape::{pass_back, record};

type Kept<B> = FloatTensor<B>;

/// Declares the backward pass of a kernel: `what is kept => the gradients of its inputs`.
macro_rules! backward {
    ($name:ident, $inputs:literal, $state:ty, |$grad:ident, $kept:pat_param| $parts:expr) => {
        #[derive(Debug)]
        struct $name;

        impl<B: Kernels> Backward<B, $inputs> for $name {
            type State = $state;

            fn backward(self, ops: Ops<Self::State, $inputs>, grads: &mut Gradients, _: &mut Checkpointer) {
                pass_back::<B, _, $inputs>(ops, grads, |$grad, $kept| $parts.map(Some));
            }
        }
    };
}

backward!(Lookup, 1, (IntTensor<B>, usize), |grad, (ids, rows)| [B::lookup_backward(ids, grad, rows)]);

backward!(Gelu, 1, Kept<B>, |grad, x| [B::exact_gelu_backward(x, grad)]);

backward!(AffineNorm, 3, (Kept<B>, Kept<B>, f32), |grad, (x, scale, epsilon)| {
    let (x, scale, shift) = B::affine_norm_backward(x, scale, grad, epsilon);
    [x, scale, shift]
});

backward!(DropLines, 1, Arc<DroppedLines>, |grad, dropout| [B::drop_lines(grad, dropout)]);

backward!(SumOf, 2, (), |grad, ()| [grad.clone(), grad]);

type DropAddState<B> = (Kept<B>, Kept<B>, f32, Option<Arc<DroppedLines>>);

backward!(DropAddNorm, 4, DropAddState<B>, |grad, (sum, scale, epsilon, dropout)| {
    let (x, residual, scale, shift) = B::drop_add_norm_backward(sum, scale, grad, epsilon, dropout);
    [x, residual, scale, shift]
});

/// Where the gradient of a sum waits for that of its norm.
type Slot<B> = Arc<Mutex<Option<Kept<B>>>>;

backward!(DropAddRootNorm, 3, (DropAddState<B>, Slot<B>), |grad, ((sum, scale, epsilon, dropout), slot)| {
    let (x, residual, scale) = match slot.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(sum_grad) => B::drop_add_root_norm_backward(sum, scale, grad, sum_grad, epsilon, dropout),
        None => {
            // Nobody read the sum: after the last block.
            let (residual, scale) = B::root_norm_backward(sum, scale, grad, epsilon);
            let x = match dropout {
                Some(dropout) => B::drop_lines(residual.clone(), dropout),
                None => residual.clone(),
            };
            (x, residual, scale)
        }
    };
    [x, residual, scale]
});

/// The sum of [`Kernels::drop_add_root_norm`], on the tape as if it came from its norm: so its backward pass runs before that of
/// the norm, which can then add both gradients in the pass that makes one.
#[derive(Debug)]
struct SumOfNorm;

impl<B: Kernels> Backward<B, 1> for SumOfNorm {
    type State = Slot<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        pass_back::<B, _, 1>(ops, grads, |grad, slot| {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(grad);
            [None]
        });
    }
}

backward!(RootNorm, 2, (Kept<B>, Kept<B>, f32), |grad, (x, scale, epsilon)| {
    let (x, scale) = B::root_norm_backward(x, scale, grad, epsilon);
    [x, scale]
});

backward!(GatedSilu, 2, (Kept<B>, Kept<B>), |grad, (gate, up)| {
    let (gate, up) = B::gated_silu_backward(gate, up, grad);
    [gate, up]
});

backward!(Attend, 3, ([Kept<B>; 3], Arc<Spans>), |grad, ([q, k, v], spans)| {
    let (q, k, v) = B::attend_backward(q, k, v, grad, spans);
    [q, k, v]
});

// A turn's gradient is the turn back.
backward!(TurnPairs, 1, (Kept<B>, Kept<B>, bool), |grad, (cos, sin, back)| [B::turn_pairs(grad, cos, sin, !back)]);

impl<B: Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn lookup(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        let (nodes, rows) = ([table.node()], table.primitive().shape()[0]);
        let out = B::lookup(table.into_primitive(), ids.clone());
        record::<B, C, _, 1>(Lookup, nodes, (ids, rows), out)
    }

    fn exact_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (nodes, x) = ([x.node()], x.into_primitive());
        record::<B, C, _, 1>(Gelu, nodes, x.clone(), B::exact_gelu(x))
    }

    fn affine_norm(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), scale.node(), shift.node()];
        let (x, scale, shift) = (x.into_primitive(), scale.into_primitive(), shift.into_primitive());
        let out = B::affine_norm(x.clone(), scale.clone(), shift, epsilon);
        record::<B, C, _, 3>(AffineNorm, nodes, (x, scale, epsilon), out)
    }

    fn drop_lines(x: FloatTensor<Self>, dropout: Arc<DroppedLines>) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let out = B::drop_lines(x.into_primitive(), dropout.clone());
        record::<B, C, _, 1>(DropLines, nodes, dropout, out)
    }

    fn sum_of(x: FloatTensor<Self>, y: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node(), y.node()];
        record::<B, C, _, 2>(SumOf, nodes, (), B::sum_of(x.into_primitive(), y.into_primitive()))
    }

    /// The sum comes back as a constant: nobody differentiates it.
    fn drop_add_norm(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f32,
        dropout: Option<Arc<DroppedLines>>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), residual.node(), scale.node(), shift.node()];
        let (x, residual) = (x.into_primitive(), residual.into_primitive());
        let (scale, shift) = (scale.into_primitive(), shift.into_primitive());
        let (norm, sum) = B::drop_add_norm(x, residual, scale.clone(), shift, epsilon, dropout.clone());
        let constant = Self::from_inner(sum.clone());
        (record::<B, C, _, 4>(DropAddNorm, nodes, (sum, scale, epsilon, dropout), norm), constant)
    }

    fn drop_add_root_norm(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        epsilon: f32,
        dropout: Option<Arc<DroppedLines>>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), residual.node(), scale.node()];
        let learns_below = x.is_tracked() || residual.is_tracked();
        let (x, residual, scale) = (x.into_primitive(), residual.into_primitive(), scale.into_primitive());
        let (norm, sum) = B::drop_add_root_norm(x, residual, scale.clone(), epsilon, dropout.clone());
        let slot = Slot::<B>::default();
        let kept = ((sum.clone(), scale, epsilon, dropout), slot.clone());
        let norm = record::<B, C, _, 3>(DropAddRootNorm, nodes, kept, norm);
        let sum = match learns_below {
            true => record::<B, C, _, 1>(SumOfNorm, [norm.node()], slot, sum),
            false => Self::from_inner(sum),
        };
        (norm, sum)
    }

    fn root_norm(x: FloatTensor<Self>, scale: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self> {
        let nodes = [x.node(), scale.node()];
        let (x, scale) = (x.into_primitive(), scale.into_primitive());
        let out = B::root_norm(x.clone(), scale.clone(), epsilon);
        record::<B, C, _, 2>(RootNorm, nodes, (x, scale, epsilon), out)
    }

    fn gated_silu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [gate.node(), up.node()];
        let (gate, up) = (gate.into_primitive(), up.into_primitive());
        let out = B::gated_silu(gate.clone(), up.clone());
        record::<B, C, _, 2>(GatedSilu, nodes, (gate, up), out)
    }

    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        spans: Arc<Spans>,
    ) -> FloatTensor<Self> {
        let nodes = [q.node(), k.node(), v.node()];
        let (q, k, v) = (q.into_primitive(), k.into_primitive(), v.into_primitive());
        let out = B::attend(q.clone(), k.clone(), v.clone(), spans.clone());
        record::<B, C, _, 3>(Attend, nodes, ([q, k, v], spans), out)
    }

    fn turn_pairs(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        back: bool,
    ) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let (cos, sin) = (cos.into_primitive(), sin.into_primitive());
        let out = B::turn_pairs(x.into_primitive(), cos.clone(), sin.clone(), back);
        record::<B, C, _, 1>(TurnPairs, nodes, (cos, sin, back), out)
    }
}
