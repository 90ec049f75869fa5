//! Projections as burn's own operations: what a GPU runs, see [`super::projection`].

use burn::backend::tensor::FloatTensor;

use super::composed::{activate, activate_backward, add_bias, project};
use super::operations::Kernels;
use crate::model::shape::Activation;

pub(super) fn biased<B: Kernels>(x: FloatTensor<B>, weight: FloatTensor<B>, bias: FloatTensor<B>) -> FloatTensor<B> {
    add_bias::<B>(project::<B>(x, weight), bias)
}

pub(super) fn activated<B: Kernels>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    activation: Activation,
) -> [FloatTensor<B>; 2] {
    let before = biased::<B>(x, weight, bias);
    [activate::<B>(before.clone(), activation), before]
}

pub(super) fn gated<B: Kernels>(x: FloatTensor<B>, gate: FloatTensor<B>, up: FloatTensor<B>) -> [FloatTensor<B>; 3] {
    let [gate, up] = [gate, up].map(|weight| project::<B>(x.clone(), weight));
    [B::gated_silu(gate.clone(), up.clone()), gate, up]
}

pub(super) fn project_gradients<B: Kernels>(
    x: Option<FloatTensor<B>>,
    weight: Option<FloatTensor<B>>,
    grad: FloatTensor<B>,
) -> [Option<FloatTensor<B>>; 2] {
    let x_grad = weight.map(|weight| B::product(grad.clone(), weight));
    [x_grad, x.map(|x| B::product(B::float_swap_dims(grad, 0, 1), x))]
}

pub(super) fn activation_gradients<B: Kernels>(
    before: FloatTensor<B>,
    grad: FloatTensor<B>,
    activation: Activation,
) -> [FloatTensor<B>; 2] {
    let grad = activate_backward::<B>(before, grad, activation);
    [grad.clone(), B::column_sum(grad)]
}

pub(super) fn gated_gradients<B: Kernels>(
    x: Option<FloatTensor<B>>,
    weights: Option<[FloatTensor<B>; 2]>,
    [gate, up]: [FloatTensor<B>; 2],
    grad: FloatTensor<B>,
) -> [Option<FloatTensor<B>>; 3] {
    let (gate, up) = B::gated_silu_backward(gate, up, grad);
    let [gate_weight, up_weight] = weights.map_or([None, None], |weights| weights.map(Some));
    let [by_gate, gate_weight] = project_gradients::<B>(x.clone(), gate_weight, gate);
    let [by_up, up_weight] = project_gradients::<B>(x, up_weight, up);
    let x_grad = by_gate.zip(by_up).map(|(by_gate, by_up)| B::float_add(by_gate, by_up));
    [x_grad, gate_weight, up_weight]
}
