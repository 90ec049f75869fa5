//! What every operation with a backward pass of its own does: record what it keeps, and hand gradients on.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend};

/// Puts an operation on the tape: `nodes` are its inputs, `out` what it gave and `kept` what its backward pass
/// needs, which is dropped when no input has a gradient.
pub(super) fn record<B, C, O, const N: usize>(
    operation: O,
    nodes: [NodeGuard; N],
    kept: O::State,
    out: FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>>
where
    B: Backend,
    C: CheckpointStrategy,
    O: Backward<B, N>,
{
    match operation.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(kept, out),
        OpsKind::UnTracked(prepared) => prepared.finish(out),
    }
}

/// Makes the gradients of the inputs from that of the output and what was kept, and adds each to those of an input
/// that has one.
pub(super) fn pass_back<B: Backend, S, const N: usize>(
    operation: Ops<S, N>,
    grads: &mut Gradients,
    parts: impl FnOnce(FloatTensor<B>, S) -> [Option<FloatTensor<B>>; N],
) {
    let grad = grads.consume::<B>(&operation.node);
    let parts = parts(grad, operation.state);
    for (node, part) in operation.parents.into_iter().zip(parts) {
        if let (Some(node), Some(part)) = (node, part) {
            grads.register::<B>(node.id, part);
        }
    }
}
