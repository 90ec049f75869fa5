//! Three ways to the same numbers: fused, composed, and the textbook's formulas.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Int, Tensor, TensorData};
use retune_tensor::Device;

use super::operations::Kernels;
use super::projection::Parts;
use super::*;

/// The textbook's formulas, differentiated by burn.
mod formula {
    use super::*;

    pub fn gelu(x: Tensor<2>) -> Tensor<2> {
        burn::tensor::activation::gelu(x)
    }

    pub fn layer_norm(x: Tensor<2>, scale: Tensor<1>, shift: Tensor<1>, epsilon: f32) -> Tensor<2> {
        let centred = x.clone() - x.mean_dim(1);
        let deviation = (centred.clone().powf_scalar(2.0).mean_dim(1) + epsilon).sqrt();
        centred / deviation * scale.unsqueeze() + shift.unsqueeze()
    }

    pub fn rms_norm(x: Tensor<2>, scale: Tensor<1>, epsilon: f32) -> Tensor<2> {
        let root = (x.clone().powf_scalar(2.0).mean_dim(1) + epsilon).sqrt();
        x / root * scale.unsqueeze()
    }

    pub fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
        burn::tensor::activation::silu(gate) * up
    }

    pub fn rope(x: Tensor<4>, cos: Tensor<2>, sin: Tensor<2>) -> Tensor<4> {
        let [_, seq, _, width] = x.dims();
        let (low, high) = (x.clone().narrow(3, 0, width / 2), x.narrow(3, width / 2, width / 2));
        let (cos, sin) = (cos.reshape([1, seq, 1, width / 2]), sin.reshape([1, seq, 1, width / 2]));
        Tensor::cat(vec![low.clone() * cos.clone() - high.clone() * sin.clone(), high * cos + low * sin], 3)
    }
}

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next() * 2.5).collect()
}

fn leaf<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let device = Device::flex().autodiff();
    Tensor::from_data(TensorData::new(numbers(shape.iter().product(), seed), shape), &device).require_grad()
}

fn list<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// Values of `out`, and gradients of a weighted sum of it for each leaf.
fn with_gradients<const D: usize>(
    out: Tensor<D>,
    matrices: &[Tensor<2>],
    vectors: &[Tensor<1>],
    wide: &[Tensor<4>],
) -> Vec<Vec<f32>> {
    let shape = out.dims();
    let coefficients =
        Tensor::<D>::from_data(TensorData::new(numbers(shape.iter().product(), 99), shape), &out.device());
    let values = list(out.clone().inner());
    let gradients = (out * coefficients).sum().backward();
    let mut all = vec![values];
    all.extend(matrices.iter().map(|t| list(t.grad(&gradients).unwrap())));
    all.extend(vectors.iter().map(|t| list(t.grad(&gradients).unwrap())));
    all.extend(wide.iter().map(|t| list(t.grad(&gradients).unwrap())));
    all
}

fn assert_close(fused: &[Vec<f32>], composed: &[Vec<f32>], tolerance: f32) {
    assert_eq!(fused.len(), composed.len());
    for (part, (a, b)) in fused.iter().zip(composed).enumerate() {
        assert_eq!(a.len(), b.len());
        let scale = b.iter().fold(1.0f32, |m, x| m.max(x.abs()));
        for (i, (x, y)) in a.iter().zip(b).enumerate() {
            assert!((x - y).abs() <= tolerance * scale, "part {part}, element {i}: {x} and {y}");
        }
    }
}

#[test]
fn projection_and_bias_agree_with_matmul() {
    let run = |fused: bool| {
        let (x, w, b) = (leaf([150, 20], 1), leaf([33, 20], 2), leaf([33], 3));
        let out = if fused {
            project_bias(x.clone(), w.clone(), b.clone())
        } else {
            x.clone().matmul(w.clone().transpose()) + b.clone().unsqueeze()
        };
        with_gradients(out, &[x, w], &[b], &[])
    };
    assert_close(&run(true), &run(false), 1e-6);
}

#[test]
fn an_activated_projection_agrees_with_the_formula_for_every_activation() {
    use crate::model::shape::Activation;
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
            with_gradients(out, &[x, w], &[b], &[])
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
        with_gradients(out, &[x, gate, up], &[], &[])
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

#[test]
fn a_lookup_agrees_with_burns_in_value_and_gradient_where_rows_repeat() {
    let ids = || Tensor::<1, Int>::from_data(TensorData::new(vec![3i64, 0, 3, 6, 3, 5], [6]), &Device::flex());
    let run = |fused: bool| {
        let table = leaf([7, 5], 1);
        let out = if fused { lookup(table.clone(), ids()) } else { table.clone().select(0, ids()) };
        with_gradients(out, &[table], &[], &[])
    };
    assert_close(&run(true), &run(false), 1e-7);
}

#[test]
fn a_product_reads_any_layout_and_may_be_empty() {
    let flat = |shape: [usize; 2], seed| {
        let data = TensorData::new(numbers(shape.iter().product(), seed), shape);
        Flex::float_from_data(data, &Default::default())
    };
    let list = |tensor: FloatTensor<Flex>| tensor.into_data().try_into_vec::<f32>().unwrap();
    let turned = |tensor| Flex::float_swap_dims(tensor, 0, 1);
    let part = |tensor| Flex::float_slice(tensor, &[(2..9).into(), (1..6).into()]);
    // Large enough for several threads, small, turned on either side, and a part of something larger.
    for (a, b) in [
        (flat([200, 210], 1), flat([210, 190], 2)),
        (flat([3, 5], 1), flat([5, 4], 2)),
        (turned(flat([5, 3], 1)), turned(flat([4, 5], 2))),
        (part(flat([12, 8], 1)), turned(part(flat([12, 8], 2)))),
    ] {
        let plain = list(Flex::float_matmul(a.clone(), b.clone()));
        assert_close(&[list(Flex::product(a, b))], &[plain], 1e-6);
    }
    assert_eq!(list(Flex::product(flat([2, 0], 1), flat([0, 3], 2))), [0.0; 6]);
    assert!(list(Flex::product(flat([0, 4], 1), flat([4, 3], 2))).is_empty());
}

#[test]
fn a_gradient_is_taken_out_of_its_tensor_without_a_copy() {
    let (x, grad) = (numbers(6, 1), numbers(9, 2));
    let flat = |values: &[f32], shape: [usize; 2]| {
        Flex::float_from_data(TensorData::new(values.to_vec(), shape), &Default::default())
    };
    let ids = Flex::int_from_data(TensorData::new(vec![1i64, 0, 1], [3]), &Default::default());
    let made = [
        Flex::product(Flex::float_swap_dims(flat(&grad, [3, 3]), 0, 1), flat(&x, [3, 2])),
        Flex::lookup_backward(ids, flat(&grad, [3, 3]), 4),
        Flex::column_sum(flat(&x, [3, 2])),
    ];
    for tensor in made {
        let before = tensor.as_slice::<f32>().unwrap().as_ptr();
        let taken = tensor.into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(taken.as_ptr(), before);
    }
}

#[test]
fn gelu_agrees_with_burns_in_value_and_gradient() {
    let run = |op: fn(Tensor<2>) -> Tensor<2>| {
        let x = leaf([120, 37], 1) * 2.0;
        let leaf = x.clone().inner().autodiff().require_grad();
        with_gradients(op(leaf.clone()), &[leaf], &[], &[])
    };
    assert_close(&run(gelu), &run(formula::gelu), 5e-7);
}

#[test]
fn layer_norm_agrees_with_its_formula_in_value_and_gradient() {
    type Op = fn(Tensor<2>, Tensor<1>, Tensor<1>, f32) -> Tensor<2>;
    let run = |op: Op| {
        let (x, scale, shift) = (leaf([150, 37], 1), leaf([37], 2), leaf([37], 3));
        with_gradients(op(x.clone(), scale.clone(), shift.clone(), 1e-5), &[x], &[scale, shift], &[])
    };
    assert_close(&run(layer_norm), &run(formula::layer_norm), 2e-6);
}

fn some_dropout(lines: usize) -> DroppedLines {
    let places = (0..lines as u64).map(|line| (line / 50, line % 50)).collect();
    DroppedLines { rate: crate::model::mask::Rate::new(0.2).unwrap(), site: 3, places }
}

/// The factors as a mask, line by line.
fn mask(dropout: &DroppedLines, width: usize) -> Tensor<2> {
    let lines = dropout.places.len();
    let mut factors = vec![0.0; lines * width];
    factors.chunks_mut(width).enumerate().for_each(|(line, factors)| dropout.fill(line, factors));
    Tensor::from_data(TensorData::new(factors, [lines, width]), &Device::flex())
}

#[test]
fn dropout_is_a_product_with_its_mask_in_value_and_gradient() {
    let run = |fused: bool| {
        let (x, dropout) = (leaf([150, 37], 1), some_dropout(150));
        let out =
            if fused { drop_lines(x.clone(), dropout) } else { x.clone() * Tensor::from_inner(mask(&dropout, 37)) };
        with_gradients(out, &[x], &[], &[])
    };
    assert_close(&run(true), &run(false), 0.0);
}

#[test]
fn other_devices_draw_the_same_factors_to_the_bit() {
    // Widths that four divides and does not, seeds and positions with bits everywhere, and rates at both ends.
    for (width, probability) in [(1, 0.5), (37, 0.2), (64, 0.9), (130, 1.0), (7, 2f64.powi(-16))] {
        let places = (0..50u64).map(|line| (line.wrapping_mul(0xD134_2543_DE82_EF95), u64::MAX >> line)).collect();
        let rate = crate::model::mask::Rate::new(probability).unwrap();
        let dropout = DroppedLines { rate, site: u64::MAX - 2, places };
        let found = factors::of_lines::<Flex>(&dropout, width, &Default::default());
        let found = found.into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(found, list(mask(&dropout, width)), "width {width}, probability {probability}");
    }
}

#[test]
fn dropout_residual_and_norm_in_one_agree_with_the_three_in_value_and_gradient() {
    for dropout in [None, Some(some_dropout(150))] {
        let run = |fused: bool| {
            let (x, residual) = (leaf([150, 37], 1), leaf([150, 37], 2));
            let (scale, shift) = (leaf([37], 3), leaf([37], 4));
            // The residual has a second use, as in a block.
            let out = if fused {
                let parameters = [scale.clone(), shift.clone()];
                add(
                    residual_layer_norm(x.clone(), residual.clone(), parameters, 1e-5, dropout.clone()),
                    residual.clone(),
                )
            } else {
                let dropped = match &dropout {
                    Some(dropout) => x.clone() * Tensor::from_inner(mask(dropout, 37)),
                    None => x.clone(),
                };
                formula::layer_norm(dropped + residual.clone(), scale.clone(), shift.clone(), 1e-5) + residual.clone()
            };
            with_gradients(out, &[x, residual], &[scale, shift], &[])
        };
        assert_close(&run(true), &run(false), 2e-6);
    }
}

#[test]
fn rms_norm_agrees_with_its_formula_in_value_and_gradient() {
    let run = |op: fn(Tensor<2>, Tensor<1>, f32) -> Tensor<2>| {
        let (x, scale) = (leaf([150, 37], 1), leaf([37], 2));
        with_gradients(op(x.clone(), scale.clone(), 1e-5), &[x], &[scale], &[])
    };
    assert_close(&run(rms_norm), &run(formula::rms_norm), 2e-6);
}

#[test]
fn swiglu_agrees_with_its_formula_in_value_and_gradient() {
    let run = |op: fn(Tensor<2>, Tensor<2>) -> Tensor<2>| {
        let (gate, up) = (leaf([150, 37], 1), leaf([150, 37], 2));
        with_gradients(op(gate.clone(), up.clone()), &[gate, up], &[], &[])
    };
    assert_close(&run(swiglu), &run(formula::swiglu), 1e-6);
}

#[test]
fn rope_agrees_with_its_formula_and_turns_back() {
    let angles = |f: fn(f32) -> f32| {
        let values: Vec<f32> = (0..5 * 4).map(|i| f(i as f32 * 0.37)).collect();
        Tensor::<2>::from_data(TensorData::new(values, [5, 4]), &Device::flex())
    };
    let run = |op: fn(Tensor<4>, Tensor<2>, Tensor<2>) -> Tensor<4>| {
        let x = leaf([3, 5, 2, 8], 1);
        with_gradients(op(x.clone(), angles(f32::cos), angles(f32::sin)), &[], &[], &[x])
    };
    assert_close(&run(rope), &run(formula::rope), 1e-6);
    let x = leaf([3, 5, 2, 8], 1);
    let there = rope(x.clone(), angles(f32::cos), angles(f32::sin));
    let back = rope(there, angles(f32::cos), -angles(f32::sin));
    assert_close(&[list(back.inner())], &[list(x.inner())], 1e-6);
}

#[test]
fn results_are_the_same_bits_for_any_number_of_threads() {
    let run = || {
        let (x, scale, shift) = (leaf([700, 48], 1), leaf([48], 2), leaf([48], 3));
        with_gradients(layer_norm(gelu(x.clone()), scale.clone(), shift.clone(), 1e-5), &[x], &[scale, shift], &[])
    };
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    assert_eq!(pool(1).install(run), pool(3).install(run));
}

/// The composed bodies are what a GPU runs; here they run on the CPU.
#[test]
fn composed_bodies_agree_with_the_fused_ones() {
    let flat = |shape: &[usize], seed| {
        let data = TensorData::new(numbers(shape.iter().product(), seed), shape.to_vec());
        Flex::float_from_data(data, &Default::default())
    };
    let list = |tensor: FloatTensor<Flex>| tensor.into_data().try_into_vec::<f32>().unwrap();
    let (x, y, z) = (flat(&[150, 37], 1), flat(&[150, 37], 2), flat(&[150, 37], 3));
    let (scale, shift) = (flat(&[37], 4), flat(&[37], 5));
    let (turned, cos, sin) = (flat(&[3, 5, 2, 8], 9), flat(&[5, 4], 10), flat(&[5, 4], 11));

    let mut pairs = vec![
        (Flex::biased(x.clone(), y.clone(), flat(&[150], 6)), {
            let product = composed::project::<Flex>(x.clone(), y.clone());
            composed::add_bias::<Flex>(product, flat(&[150], 6))
        }),
        (Flex::column_sum(x.clone()), composed::column_sum::<Flex>(x.clone())),
        (Flex::exact_gelu(x.clone()), composed::exact_gelu::<Flex>(x.clone())),
        (Flex::exact_gelu_backward(x.clone(), y.clone()), composed::exact_gelu_backward::<Flex>(x.clone(), y.clone())),
        (
            Flex::affine_norm(x.clone(), scale.clone(), shift.clone(), 1e-5),
            composed::affine_norm::<Flex>(x.clone(), scale.clone(), shift, 1e-5),
        ),
        (Flex::root_norm(x.clone(), scale.clone(), 1e-5), composed::root_norm::<Flex>(x.clone(), scale.clone(), 1e-5)),
        (Flex::gated_silu(x.clone(), y.clone()), composed::gated_silu::<Flex>(x.clone(), y.clone())),
        (Flex::turn_pairs(turned.clone(), cos.clone(), sin.clone()), composed::turn_pairs::<Flex>(turned, cos, sin)),
    ];
    let fused = Flex::affine_norm_backward(x.clone(), scale.clone(), y.clone(), 1e-5);
    let plain = composed::affine_norm_backward::<Flex>(x.clone(), scale.clone(), y.clone(), 1e-5);
    pairs.extend([(fused.0, plain.0), (fused.1, plain.1), (fused.2, plain.2)]);
    let dropout = || Arc::new(some_dropout(150));
    pairs.push((Flex::drop_lines(x.clone(), dropout()), composed::drop_lines::<Flex>(x.clone(), Some(&dropout()))));
    let fused = Flex::drop_add_norm_backward(x.clone(), scale.clone(), y.clone(), 1e-5, Some(dropout()));
    let plain = composed::affine_norm_backward::<Flex>(x.clone(), scale.clone(), y.clone(), 1e-5);
    let dropped = composed::drop_lines::<Flex>(plain.0.clone(), Some(&dropout()));
    pairs.extend([(fused.0, dropped), (fused.1, plain.0), (fused.2, plain.1), (fused.3, plain.2)]);
    let fused = Flex::root_norm_backward(x.clone(), scale.clone(), y.clone(), 1e-5);
    let plain = composed::root_norm_backward::<Flex>(x.clone(), scale, y.clone(), 1e-5);
    pairs.extend([(fused.0, plain.0), (fused.1, plain.1)]);
    let fused = Flex::gated_silu_backward(x.clone(), y.clone(), z.clone());
    let plain = composed::gated_silu_backward::<Flex>(x, y, z);
    pairs.extend([(fused.0, plain.0), (fused.1, plain.1)]);

    for (fused, plain) in pairs {
        assert_close(&[list(fused)], &[list(plain)], 3e-6);
    }
}
