//! The backward passes of projections. A kernel keeps only what a tracked parent needs: one with a frozen weight does not
//! keep its input.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::projection::{Parts, Projections};
use crate::model::shape::Activation;

type Kept<B> = FloatTensor<B>;

#[derive(Debug)]
struct Project;

impl<B: Parts> Backward<B, 2> for Project {
    type State = (Option<Kept<B>>, Option<Kept<B>>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (x, weight) = ops.state;
        let parts = B::project_gradients(x, weight, grad);
        for (node, part) in ops.parents.into_iter().zip(parts) {
            if let (Some(node), Some(part)) = (node, part) {
                grads.register::<B>(node.id, part);
            }
        }
    }
}

#[derive(Debug)]
struct ProjectBias;

impl<B: Parts> Backward<B, 3> for ProjectBias {
    type State = (Option<Kept<B>>, Option<Kept<B>>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ((x, weight), [x_node, weight_node, bias_node]) = (ops.state, ops.parents);
        if let Some(node) = bias_node {
            grads.register::<B>(node.id, B::column_sum(grad.clone()));
        }
        for (node, part) in [x_node, weight_node].into_iter().zip(B::project_gradients(x, weight, grad)) {
            if let (Some(node), Some(part)) = (node, part) {
                grads.register::<B>(node.id, part);
            }
        }
    }
}

#[derive(Debug)]
struct ProjectActivate;

impl<B: Parts> Backward<B, 3> for ProjectActivate {
    type State = (Option<Kept<B>>, Option<Kept<B>>, Kept<B>, Activation);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ((x, weight, before, activation), [x_node, weight_node, bias_node]) = (ops.state, ops.parents);
        let [grad, bias] = B::activation_gradients(before, grad, activation);
        if let Some(node) = bias_node {
            grads.register::<B>(node.id, bias);
        }
        for (node, part) in [x_node, weight_node].into_iter().zip(B::project_gradients(x, weight, grad)) {
            if let (Some(node), Some(part)) = (node, part) {
                grads.register::<B>(node.id, part);
            }
        }
    }
}

#[derive(Debug)]
struct ProjectGated;

impl<B: Parts> Backward<B, 3> for ProjectGated {
    type State = (Option<Kept<B>>, Option<[Kept<B>; 2]>, [Kept<B>; 2]);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (x, weights, parts) = ops.state;
        for (node, part) in ops.parents.into_iter().zip(B::gated_gradients(x, weights, parts, grad)) {
            if let (Some(node), Some(part)) = (node, part) {
                grads.register::<B>(node.id, part);
            }
        }
    }
}

impl<B: Parts + Projections, C: CheckpointStrategy> Projections for Autodiff<B, C> {
    fn project(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let kept_x = weight.is_tracked().then(|| x.primitive().clone());
        let kept_weight = x.is_tracked().then(|| weight.primitive().clone());
        let prepared = Project.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful();
        let out = B::project(x.into_primitive(), weight.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((kept_x, kept_weight), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn project_bias(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let kept_x = weight.is_tracked().then(|| x.primitive().clone());
        let kept_weight = x.is_tracked().then(|| weight.primitive().clone());
        let prepared = ProjectBias.prepare::<C>([x.node(), weight.node(), bias.node()]).compute_bound().stateful();
        let out = B::biased(x.into_primitive(), weight.into_primitive(), bias.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((kept_x, kept_weight), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn project_activate(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let kept_x = weight.is_tracked().then(|| x.primitive().clone());
        let kept_weight = x.is_tracked().then(|| weight.primitive().clone());
        let prepared = ProjectActivate.prepare::<C>([x.node(), weight.node(), bias.node()]).compute_bound().stateful();
        let (x, weight, bias) = (x.into_primitive(), weight.into_primitive(), bias.into_primitive());
        let [out, before] = B::activated(x, weight, bias, activation);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((kept_x, kept_weight, before, activation), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn project_gated(x: FloatTensor<Self>, gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let kept_x = (gate.is_tracked() || up.is_tracked()).then(|| x.primitive().clone());
        let kept_weights = x.is_tracked().then(|| [gate.primitive().clone(), up.primitive().clone()]);
        let prepared = ProjectGated.prepare::<C>([x.node(), gate.node(), up.node()]).compute_bound().stateful();
        let [out, gate, up] = B::gated(x.into_primitive(), gate.into_primitive(), up.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((kept_x, kept_weights, [gate, up]), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
