//! The backward passes of projections. A kernel keeps only what a tracked parent needs: one with a frozen weight does not
//! keep its input.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::tensor::FloatTensor;

use super::projection::{Parts, Projections};
use super::tape::{pass_back, record};
use crate::model::shape::Activation;

type Kept<B> = FloatTensor<B>;

#[derive(Debug)]
struct Project;

impl<B: Parts> Backward<B, 2> for Project {
    type State = (Option<Kept<B>>, Option<Kept<B>>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        pass_back::<B, _, 2>(ops, grads, |grad, (x, weight)| B::project_gradients(x, weight.map(B::wide), grad));
    }
}

#[derive(Debug)]
struct ProjectBias;

impl<B: Parts> Backward<B, 3> for ProjectBias {
    type State = (Option<Kept<B>>, Option<Kept<B>>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let learns = ops.parents[2].is_some();
        pass_back::<B, _, 3>(ops, grads, |grad, (x, weight)| {
            let bias = learns.then(|| B::column_sum(grad.clone()));
            let [x, weight] = B::project_gradients(x, weight.map(B::wide), grad);
            [x, weight, bias]
        });
    }
}

#[derive(Debug)]
struct ProjectActivate;

impl<B: Parts> Backward<B, 3> for ProjectActivate {
    type State = (Option<Kept<B>>, Option<Kept<B>>, Kept<B>, Activation);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        pass_back::<B, _, 3>(ops, grads, |grad, (x, weight, before, activation)| {
            let [grad, bias] = B::activation_gradients(before, grad, activation);
            let [x, weight] = B::project_gradients(x, weight.map(B::wide), grad);
            [x, weight, Some(bias)]
        });
    }
}

#[derive(Debug)]
struct ProjectGated;

impl<B: Parts> Backward<B, 3> for ProjectGated {
    type State = (Option<Kept<B>>, Option<[Kept<B>; 2]>, [Kept<B>; 2]);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        pass_back::<B, _, 3>(ops, grads, |grad, (x, weights, parts)| {
            B::gated_gradients(x, weights.map(|weights| weights.map(B::wide)), parts, grad)
        });
    }
}

impl<B: Parts + Projections, C: CheckpointStrategy> Projections for Autodiff<B, C> {
    fn project(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let (nodes, kept) = ([x.node(), weight.node()], needed::<B, C>(&x, &weight));
        let out = B::project(x.into_primitive(), weight.into_primitive());
        record::<B, C, _, 2>(Project, nodes, kept, out)
    }

    fn project_bias(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let (nodes, kept) = ([x.node(), weight.node(), bias.node()], needed::<B, C>(&x, &weight));
        let out = B::biased(x.into_primitive(), B::wide(weight.into_primitive()), bias.into_primitive());
        record::<B, C, _, 3>(ProjectBias, nodes, kept, out)
    }

    fn project_activate(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let (nodes, (kept_x, kept_weight)) = ([x.node(), weight.node(), bias.node()], needed::<B, C>(&x, &weight));
        let (x, weight, bias) = (x.into_primitive(), weight.into_primitive(), bias.into_primitive());
        let [out, before] = B::activated(x, B::wide(weight), bias, activation);
        record::<B, C, _, 3>(ProjectActivate, nodes, (kept_x, kept_weight, before, activation), out)
    }

    fn project_gated(x: FloatTensor<Self>, gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node(), gate.node(), up.node()];
        let kept_x = (gate.is_tracked() || up.is_tracked()).then(|| x.primitive().clone());
        let kept_weights = x.is_tracked().then(|| [gate.primitive().clone(), up.primitive().clone()]);
        let [by_gate, by_up] = [gate, up].map(|weight| B::wide(weight.into_primitive()));
        let [out, gate, up] = B::gated(x.into_primitive(), by_gate, by_up);
        record::<B, C, _, 3>(ProjectGated, nodes, (kept_x, kept_weights, [gate, up]), out)
    }
}

/// What the gradients of `x Wᵀ` need: `x` for that of the weight, the weight for that of `x`.
fn needed<B: Parts, C: CheckpointStrategy>(
    x: &FloatTensor<Autodiff<B, C>>,
    weight: &FloatTensor<Autodiff<B, C>>,
) -> (Option<Kept<B>>, Option<Kept<B>>) {
    (weight.is_tracked().then(|| x.primitive().clone()), x.is_tracked().then(|| weight.primitive().clone()))
}
