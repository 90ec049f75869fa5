//! Projections and what follows them: against burn's product and the textbook's formulas.
#![allow(clippy::unwrap_used)]

use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{Tensor, TensorData};

use super::projection::Parts;
use super::tests::{assert_close, formula, leaf, list, numbers, with_gradients};
use super::*;
use crate::model::shape::Activation;

#[test]
fn projection_and_bias_agree_with_matmul() {
    let run = |fused: bool| {
        let (x, w, b) = (leaf([150, 20], 1), leaf([33, 20], 2), leaf([33], 3));
        let out = if fused {
            project_bias(x.clone(), w.clone(), b.clone())
        } else {
            x.clone().matmul(w.clone().transpose()) + b.clone().unsqueeze()
        };
        with_gradients(out, &[x, w], &[b])
    };
    assert_close(&run(true), &run(false), 1e-6);
}

#[test]
fn an_activated_projection_agrees_with_the_formula_for_every_activation() {
    for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu] {
        let formula = |x: Tensor<2>| match activation {
            Activation::Gelu => formula::gelu(x),
            Activation::GeluTanh => burn::tensor::activation::gelu_approximate(x),
            Activation::Relu => burn::tensor::activation::relu(x),
            Activation::Silu => burn::tensor::activation::silu(x),
        };
        let run = |fused: bool| {
            let (x, w, b) = (leaf([150, 20], 1), leaf([133, 20], 2), leaf([133], 3));
            let out = if fused {
                project_activate(x.clone(), w.clone(), b.clone(), activation)
            } else {
                formula(x.clone().matmul(w.clone().transpose()) + b.clone().unsqueeze())
            };
            with_gradients(out, &[x, w], &[b])
        };
        assert_close(&run(true), &run(false), 3e-6);
        let plain = || Flex::float_from_data(TensorData::new(numbers(600, 7), [10, 60]), &Default::default());
        let grad = || Flex::float_from_data(TensorData::new(numbers(600, 8), [10, 60]), &Default::default());
        let [fused, _] = Flex::activation_gradients(plain(), grad(), activation);
        let composed = composed::activate_backward::<Flex>(plain(), grad(), activation);
        let values = [composed::activate::<Flex>(plain(), activation), fused, composed].map(|t| t.into_data());
        let [values, fused, composed] = values.map(|t| t.try_into_vec::<f32>().unwrap());
        let mut out = vec![0.0; 600];
        wide::activate(activation, &numbers(600, 7), &mut out);
        assert_close(&[out, fused], &[values, composed], 2e-6);
    }
}

#[test]
fn a_gated_projection_agrees_with_the_formula() {
    let run = |fused: bool| {
        let (x, gate, up) = (leaf([150, 20], 1), leaf([133, 20], 2), leaf([133, 20], 3));
        let out = if fused {
            project_gated(x.clone(), gate.clone(), up.clone())
        } else {
            let by = |w: &Tensor<2>| x.clone().matmul(w.clone().transpose());
            formula::swiglu(by(&gate), by(&up))
        };
        with_gradients(out, &[x, gate, up], &[])
    };
    assert_close(&run(true), &run(false), 3e-6);
}

#[test]
fn what_is_frozen_gets_no_gradient_and_changes_none() {
    let constant = |shape: [usize; 2], seed| leaf(shape, seed).detach();
    let gradient = |out: Tensor<2>, of: &Tensor<2>| list(of.grad(&out.sum().backward()).unwrap());
    let all = |x: &Tensor<2>, gate: &Tensor<2>, up: &Tensor<2>| {
        project_gated(project(x.clone(), gate.clone()), constant([40, 33], 4), up.clone())
    };
    let (x, gate, up) = (leaf([150, 20], 1), leaf([33, 20], 2), leaf([40, 33], 3));
    let whole = all(&x, &gate, &up).sum().backward();
    let of_x = gradient(all(&x, &constant([33, 20], 2), &constant([40, 33], 3)), &x);
    assert_eq!(of_x, list(x.grad(&whole).unwrap()));
    let of_up = gradient(all(&constant([150, 20], 1), &constant([33, 20], 2), &up), &up);
    assert_eq!(of_up, list(up.grad(&whole).unwrap()));
}
