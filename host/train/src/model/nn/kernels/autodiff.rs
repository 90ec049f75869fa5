//! The backward passes: what each kernel keeps, and whom it tells.
//!
//! Projections have theirs in [`super::projection_autodiff`].

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend, TensorMetadata};

use super::operations::Kernels;
use super::spans::{DroppedLines, Spans};

type Kept<B> = FloatTensor<B>;

#[derive(Debug)]
struct Lookup;

impl<B: Kernels> Backward<B, 1> for Lookup {
    type State = (IntTensor<B>, usize);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ([table], (ids, rows)) = (ops.parents, ops.state);
        if let Some(node) = table {
            grads.register::<B>(node.id, B::lookup_backward(ids, grad, rows));
        }
    }
}

#[derive(Debug)]
struct Gelu;

impl<B: Kernels> Backward<B, 1> for Gelu {
    type State = Kept<B>;

    fn backward(self, ops: Ops<Kept<B>, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [x] = ops.parents;
        if let Some(node) = x {
            grads.register::<B>(node.id, B::exact_gelu_backward(ops.state, grad));
        }
    }
}

#[derive(Debug)]
struct AffineNorm;

impl<B: Kernels> Backward<B, 3> for AffineNorm {
    type State = (Kept<B>, Kept<B>, f32);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (x, scale, epsilon) = ops.state;
        let (x, scale, shift) = B::affine_norm_backward(x, scale, grad, epsilon);
        for (node, grad) in ops.parents.into_iter().zip([x, scale, shift]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct DropLines;

impl<B: Kernels> Backward<B, 1> for DropLines {
    type State = Arc<DroppedLines>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [x] = ops.parents;
        if let Some(node) = x {
            grads.register::<B>(node.id, B::drop_lines(grad, ops.state));
        }
    }
}

#[derive(Debug)]
struct SumOf;

impl<B: Kernels> Backward<B, 2> for SumOf {
    type State = ();

    fn backward(self, ops: Ops<(), 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        for node in ops.parents.into_iter().flatten() {
            grads.register::<B>(node.id, grad.clone());
        }
    }
}

#[derive(Debug)]
struct DropAddNorm;

impl<B: Kernels> Backward<B, 4> for DropAddNorm {
    type State = (Kept<B>, Kept<B>, f32, Option<Arc<DroppedLines>>);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (sum, scale, epsilon, dropout) = ops.state;
        let (x, residual, scale, shift) = B::drop_add_norm_backward(sum, scale, grad, epsilon, dropout);
        for (node, grad) in ops.parents.into_iter().zip([x, residual, scale, shift]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct RootNorm;

impl<B: Kernels> Backward<B, 2> for RootNorm {
    type State = (Kept<B>, Kept<B>, f32);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (x, scale, epsilon) = ops.state;
        let (x, scale) = B::root_norm_backward(x, scale, grad, epsilon);
        for (node, grad) in ops.parents.into_iter().zip([x, scale]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct GatedSilu;

impl<B: Kernels> Backward<B, 2> for GatedSilu {
    type State = (Kept<B>, Kept<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (gate, up) = ops.state;
        let (gate, up) = B::gated_silu_backward(gate, up, grad);
        for (node, grad) in ops.parents.into_iter().zip([gate, up]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct Attend;

impl<B: Kernels> Backward<B, 3> for Attend {
    type State = ([Kept<B>; 3], Arc<Spans>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ([q, k, v], spans) = ops.state;
        let (q, k, v) = B::attend_backward(q, k, v, grad, spans);
        for (node, grad) in ops.parents.into_iter().zip([q, k, v]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct TurnPairs;

impl<B: Kernels> Backward<B, 1> for TurnPairs {
    type State = (Kept<B>, Kept<B>);

    /// A turn's gradient is the turn back.
    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ([x], (cos, sin)) = (ops.parents, ops.state);
        if let Some(node) = x {
            grads.register::<B>(node.id, B::turn_pairs(grad, cos, B::float_neg(sin)));
        }
    }
}

impl<B: Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn lookup(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        let rows = table.primitive().shape()[0];
        match Lookup.prepare::<C>([table.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((ids.clone(), rows), B::lookup(table.into_primitive(), ids)),
            OpsKind::UnTracked(prepared) => prepared.finish(B::lookup(table.into_primitive(), ids)),
        }
    }

    fn exact_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        match Gelu.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(x.primitive().clone(), B::exact_gelu(x.into_primitive())),
            OpsKind::UnTracked(prepared) => prepared.finish(B::exact_gelu(x.into_primitive())),
        }
    }

    fn affine_norm(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let prepared = AffineNorm.prepare::<C>([x.node(), scale.node(), shift.node()]).compute_bound().stateful();
        let (x, scale, shift) = (x.into_primitive(), scale.into_primitive(), shift.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => {
                let kept = (x.clone(), scale.clone(), epsilon);
                prepared.finish(kept, B::affine_norm(x, scale, shift, epsilon))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::affine_norm(x, scale, shift, epsilon)),
        }
    }

    fn drop_lines(x: FloatTensor<Self>, dropout: Arc<DroppedLines>) -> FloatTensor<Self> {
        match DropLines.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(dropout.clone(), B::drop_lines(x.into_primitive(), dropout)),
            OpsKind::UnTracked(prepared) => prepared.finish(B::drop_lines(x.into_primitive(), dropout)),
        }
    }

    fn sum_of(x: FloatTensor<Self>, y: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = SumOf.prepare::<C>([x.node(), y.node()]).compute_bound();
        prepared.stateless(B::sum_of(x.into_primitive(), y.into_primitive()))
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
        let prepared = DropAddNorm.prepare::<C>(nodes).compute_bound().stateful();
        let (x, residual) = (x.into_primitive(), residual.into_primitive());
        let (scale, shift) = (scale.into_primitive(), shift.into_primitive());
        let (norm, sum) = B::drop_add_norm(x, residual, scale.clone(), shift, epsilon, dropout.clone());
        let constant = Self::from_inner(sum.clone());
        let norm = match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((sum, scale, epsilon, dropout), norm),
            OpsKind::UnTracked(prepared) => prepared.finish(norm),
        };
        (norm, constant)
    }

    fn root_norm(x: FloatTensor<Self>, scale: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self> {
        let prepared = RootNorm.prepare::<C>([x.node(), scale.node()]).compute_bound().stateful();
        let (x, scale) = (x.into_primitive(), scale.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => {
                let kept = (x.clone(), scale.clone(), epsilon);
                prepared.finish(kept, B::root_norm(x, scale, epsilon))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::root_norm(x, scale, epsilon)),
        }
    }

    fn gated_silu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = GatedSilu.prepare::<C>([gate.node(), up.node()]).compute_bound().stateful();
        let (gate, up) = (gate.into_primitive(), up.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((gate.clone(), up.clone()), B::gated_silu(gate, up)),
            OpsKind::UnTracked(prepared) => prepared.finish(B::gated_silu(gate, up)),
        }
    }

    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        spans: Arc<Spans>,
    ) -> FloatTensor<Self> {
        let prepared = Attend.prepare::<C>([q.node(), k.node(), v.node()]).compute_bound().stateful();
        let (q, k, v) = (q.into_primitive(), k.into_primitive(), v.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => {
                let kept = ([q.clone(), k.clone(), v.clone()], spans.clone());
                prepared.finish(kept, B::attend(q, k, v, spans))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::attend(q, k, v, spans)),
        }
    }

    fn turn_pairs(x: FloatTensor<Self>, cos: FloatTensor<Self>, sin: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = TurnPairs.prepare::<C>([x.node()]).compute_bound().stateful();
        let (cos, sin) = (cos.into_primitive(), sin.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => {
                let out = B::turn_pairs(x.into_primitive(), cos.clone(), sin.clone());
                prepared.finish((cos, sin), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::turn_pairs(x.into_primitive(), cos, sin)),
        }
    }
}
