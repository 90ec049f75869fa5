//! Dropout, residual sum and norm in one: against the three apart, the formula, and differences in float64.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use burn::backend::Flex;
use burn::tensor::{Tensor, TensorData};
use retune_tensor::Device;

use super::operations::Kernels;
use super::tests::{assert_close, flat, formula, leaf, list, numbers, some_dropout, with_gradients, with_threads};
use super::*;

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
        with_gradients(out, &[x], &[])
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
            with_gradients(out, &[x, residual], &[scale, shift])
        };
        assert_close(&run(true), &run(false), 2e-6);
    }
}

/// A weighted sum of both results, so that a gradient comes through each, as in a block.
fn both([norm, sum]: [Tensor<2>; 2]) -> Tensor<2> {
    let factor = |seed| Tensor::<2>::from_inner(leaf([150, 37], seed).inner());
    norm * factor(5) + sum * factor(6)
}

/// Sum and norm of its own each.
fn apart(x: Tensor<2>, residual: Tensor<2>, scale: Tensor<1>, dropout: Option<DroppedLines>) -> [Tensor<2>; 2] {
    let sum = match dropout {
        Some(dropout) => add(drop_lines(x, dropout), residual),
        None => add(x, residual),
    };
    [rms_norm(sum.clone(), scale, 1e-5), sum]
}

fn together(x: Tensor<2>, residual: Tensor<2>, scale: Tensor<1>, dropout: Option<DroppedLines>) -> [Tensor<2>; 2] {
    residual_rms_norm(x, residual, scale, 1e-5, dropout)
}

#[test]
fn a_sum_and_its_rms_norm_in_one_are_those_of_two_passes_to_the_bit() {
    type Op = fn(Tensor<2>, Tensor<2>, Tensor<1>, Option<DroppedLines>) -> [Tensor<2>; 2];
    for dropout in [None, Some(some_dropout(150))] {
        let run = |op: Op, read: fn([Tensor<2>; 2]) -> Tensor<2>| {
            let (x, residual, scale) = (leaf([150, 37], 1), leaf([150, 37], 2), leaf([37], 3));
            let out = read(op(x.clone(), residual.clone(), scale.clone(), dropout.clone()));
            with_gradients(out, &[x, residual], &[scale])
        };
        assert_eq!(run(together, both), run(apart, both));
        // As after the last block, where nobody reads the sum.
        assert_eq!(run(together, |[norm, _]| norm), run(apart, |[norm, _]| norm));
    }
}

#[test]
fn a_chain_of_sums_and_norms_has_the_gradients_of_two_passes_each() {
    type Op = fn(Tensor<2>, Tensor<2>, Tensor<1>, Option<DroppedLines>) -> [Tensor<2>; 2];
    let run = |op: Op| {
        let (x, residual, scale) = (leaf([150, 37], 1), leaf([150, 37], 2), leaf([37], 3));
        let mut sum = residual.clone();
        let mut added = x.clone();
        for _ in 0..3 {
            let [norm, next] = op(added, sum, scale.clone(), None);
            (added, sum) = (gelu(norm), next);
        }
        with_gradients(add(added, sum), &[x, residual], &[scale])
    };
    assert_close(&run(together), &run(apart), 1e-6);
}

/// The weighted sum of norm and sum in float64, of rows of `width`.
fn in_float64(x: &[f64], residual: &[f64], scale: &[f64], factors: &[Vec<f32>; 2]) -> f64 {
    let width = scale.len();
    let sum: Vec<f64> = x.iter().zip(residual).map(|(a, b)| a + b).collect();
    let mut total = 0.0;
    for (row, sum) in sum.chunks(width).enumerate() {
        let root = (sum.iter().map(|s| s * s).sum::<f64>() / width as f64 + f64::from(1e-5f32)).sqrt();
        for (i, s) in sum.iter().enumerate() {
            let [of_norm, of_sum] = [0, 1].map(|k: usize| f64::from(factors[k][row * width + i]));
            total += of_norm * s / root * scale[i] + of_sum * s;
        }
    }
    total
}

#[test]
fn gradients_of_a_sum_and_its_rms_norm_are_differences_of_float64_values() {
    let (rows, width) = (3, 7);
    let inputs = [numbers(rows * width, 1), numbers(rows * width, 2), numbers(width, 3)];
    let factors = [numbers(rows * width, 4), numbers(rows * width, 5)];
    let all = [rows, width];
    let found = {
        let ([x, residual], scale) = ([1, 2].map(|seed| leaf(all, seed)), leaf([width], 3));
        let constants =
            [0, 1].map(|k: usize| Tensor::<2>::from_data(TensorData::new(factors[k].clone(), all), &Device::flex()));
        let [of_norm, of_sum] = constants.map(Tensor::from_inner);
        let [norm, sum] = residual_rms_norm(x.clone(), residual.clone(), scale.clone(), 1e-5, None);
        let gradients = (norm * of_norm + sum * of_sum).sum().backward();
        let [x, residual] = [x, residual].map(|t| list(t.grad(&gradients).unwrap()));
        [x, residual, list(scale.grad(&gradients).unwrap())]
    };
    let wide: [Vec<f64>; 3] = inputs.map(|values| values.into_iter().map(f64::from).collect());
    for (part, found) in found.iter().enumerate() {
        for (i, found) in found.iter().enumerate() {
            let at = |step: f64| {
                let mut moved = wide.clone();
                moved[part][i] += step;
                in_float64(&moved[0], &moved[1], &moved[2], &factors)
            };
            let expected = (at(1e-5) - at(-1e-5)) / 2e-5;
            let off = (f64::from(*found) - expected).abs();
            assert!(off <= 2e-5 * expected.abs().max(1.0), "input {part}, element {i}: {found} and {expected}");
        }
    }
}

#[test]
fn sums_and_norms_are_the_same_bits_for_any_number_of_threads() {
    let run = || {
        let (x, residual, scale) = (leaf([150, 37], 1), leaf([150, 37], 2), leaf([37], 3));
        let out = both(together(x.clone(), residual.clone(), scale.clone(), Some(some_dropout(150))));
        with_gradients(out, &[x, residual], &[scale])
    };
    assert_eq!(with_threads(1, run), with_threads(3, run));
}

#[test]
fn above_frozen_states_the_scale_learns_and_the_sum_is_a_constant() {
    // Not `detach`, which makes of a leaf another leaf.
    let frozen = |seed| Tensor::<2>::from_inner(leaf([150, 37], seed).inner());
    let run = |op: fn(Tensor<2>, Tensor<2>, Tensor<1>, Option<DroppedLines>) -> [Tensor<2>; 2]| {
        let scale = leaf([37], 3);
        let [norm, sum] = op(frozen(1), frozen(2), scale.clone(), None);
        assert!(!retune_tensor::AnyTensor::from(sum.clone()).is_tracked());
        with_gradients(norm + sum, &[], &[scale])
    };
    assert_eq!(run(together), run(apart));
}

/// The composed bodies are what a GPU runs; here they run on the CPU.
#[test]
fn the_composed_rms_norm_of_a_sum_agrees_with_the_fused_one() {
    let (x, residual, grad, sum_grad) = (numbers(5550, 1), numbers(5550, 2), numbers(5550, 3), numbers(5550, 4));
    let matrix = |values: &[f32]| flat(values, [150, 37]);
    let scale = || flat(&numbers(37, 5), [37]);
    let values = |tensor: burn::backend::tensor::FloatTensor<Flex>| tensor.as_slice::<f32>().unwrap().to_vec();
    for dropout in [None, Some(Arc::new(some_dropout(150)))] {
        let (norm, sum) = Flex::drop_add_root_norm(matrix(&x), matrix(&residual), scale(), 1e-5, dropout.clone());
        let dropped = composed::drop_lines::<Flex>(matrix(&x), dropout.as_deref());
        let plain = Flex::sum_of(dropped, matrix(&residual));
        let normed = composed::root_norm::<Flex>(plain.clone(), scale(), 1e-5);
        assert_close(&[values(norm), values(sum.clone())], &[values(normed), values(plain)], 2e-6);
        let further = matrix(&sum_grad);
        let fused =
            Flex::drop_add_root_norm_backward(sum.clone(), scale(), matrix(&grad), further, 1e-5, dropout.clone());
        let (of_norm, of_scale) = composed::root_norm_backward::<Flex>(sum, scale(), matrix(&grad), 1e-5);
        let of_residual = Flex::sum_of(of_norm, matrix(&sum_grad));
        let of_x = composed::drop_lines::<Flex>(of_residual.clone(), dropout.as_deref());
        let fused = [fused.0, fused.1, fused.2].map(values);
        assert_close(&fused, &[of_x, of_residual, of_scale].map(values), 3e-6);
    }
}
