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
pub(super) mod formula {
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

    pub fn rope(x: Tensor<2>, cos: Tensor<2>, sin: Tensor<2>) -> Tensor<2> {
        let ([tokens, all], half) = (x.dims(), cos.dims()[1]);
        let x = x.reshape([tokens, all / (2 * half), 2 * half]);
        let (low, high) = (x.clone().narrow(2, 0, half), x.narrow(2, half, half));
        let (cos, sin) = (cos.reshape([tokens, 1, half]), sin.reshape([tokens, 1, half]));
        let turned = [low.clone() * cos.clone() - high.clone() * sin.clone(), high * cos + low * sin];
        Tensor::cat(turned.into(), 2).reshape([tokens, all])
    }
}

pub(super) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next() * 2.5).collect()
}

pub(super) fn leaf<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let device = Device::flex().autodiff();
    Tensor::from_data(TensorData::new(numbers(shape.iter().product(), seed), shape), &device).require_grad()
}

/// On the CPU, without a tape.
pub(super) fn flat<const D: usize>(values: &[f32], shape: [usize; D]) -> FloatTensor<Flex> {
    Flex::float_from_data(TensorData::new(values.to_vec(), shape), &Default::default())
}

pub(super) fn list<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// Values of `out`, and gradients of a weighted sum of it for each leaf.
pub(super) fn with_gradients<const D: usize>(
    out: Tensor<D>,
    matrices: &[Tensor<2>],
    vectors: &[Tensor<1>],
) -> Vec<Vec<f32>> {
    let shape = out.dims();
    let coefficients =
        Tensor::<D>::from_data(TensorData::new(numbers(shape.iter().product(), 99), shape), &out.device());
    let values = list(out.clone().inner());
    let gradients = (out * coefficients).sum().backward();
    let mut all = vec![values];
    all.extend(matrices.iter().map(|t| list(t.grad(&gradients).unwrap())));
    all.extend(vectors.iter().map(|t| list(t.grad(&gradients).unwrap())));
    all
}

pub(super) fn assert_close(fused: &[Vec<f32>], composed: &[Vec<f32>], tolerance: f32) {
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
fn a_lookup_agrees_with_burns_in_value_and_gradient_where_rows_repeat() {
    let ids = || Tensor::<1, Int>::from_data(TensorData::new(vec![3i64, 0, 3, 6, 3, 5], [6]), &Device::flex());
    let run = |fused: bool| {
        let table = leaf([7, 5], 1);
        let out = if fused { lookup(table.clone(), ids()) } else { table.clone().select(0, ids()) };
        with_gradients(out, &[table], &[])
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
        with_gradients(op(leaf.clone()), &[leaf], &[])
    };
    assert_close(&run(gelu), &run(formula::gelu), 5e-7);
}

#[test]
fn layer_norm_agrees_with_its_formula_in_value_and_gradient() {
    type Op = fn(Tensor<2>, Tensor<1>, Tensor<1>, f32) -> Tensor<2>;
    let run = |op: Op| {
        let (x, scale, shift) = (leaf([150, 37], 1), leaf([37], 2), leaf([37], 3));
        with_gradients(op(x.clone(), scale.clone(), shift.clone(), 1e-5), &[x], &[scale, shift])
    };
    assert_close(&run(layer_norm), &run(formula::layer_norm), 2e-6);
}

#[test]
fn rms_norm_agrees_with_its_formula_in_value_and_gradient() {
    let run = |op: fn(Tensor<2>, Tensor<1>, f32) -> Tensor<2>| {
        let (x, scale) = (leaf([150, 37], 1), leaf([37], 2));
        with_gradients(op(x.clone(), scale.clone(), 1e-5), &[x], &[scale])
    };
    assert_close(&run(rms_norm), &run(formula::rms_norm), 2e-6);
}

#[test]
fn swiglu_agrees_with_its_formula_in_value_and_gradient() {
    let run = |op: fn(Tensor<2>, Tensor<2>) -> Tensor<2>| {
        let (gate, up) = (leaf([150, 37], 1), leaf([150, 37], 2));
        with_gradients(op(gate.clone(), up.clone()), &[gate, up], &[])
    };
    assert_close(&run(swiglu), &run(formula::swiglu), 1e-6);
}

/// `[15, 4]`: an angle for each token and pair.
fn angles(f: fn(f32) -> f32) -> Tensor<2> {
    let values: Vec<f32> = (0..15 * 4).map(|i| f(i as f32 * 0.37)).collect();
    Tensor::from_data(TensorData::new(values, [15, 4]), &Device::flex())
}

#[test]
fn rope_agrees_with_its_formula_and_turns_back() {
    let run = |op: fn(Tensor<2>, Tensor<2>, Tensor<2>) -> Tensor<2>| {
        let x = leaf([15, 16], 1);
        with_gradients(op(x.clone(), angles(f32::cos), angles(f32::sin)), &[x], &[])
    };
    assert_close(&run(rope), &run(formula::rope), 1e-6);
    let x = leaf([15, 16], 1);
    let there = rope(x.clone(), angles(f32::cos), angles(f32::sin));
    let back = rope(there, angles(f32::cos), -angles(f32::sin));
    assert_close(&[list(back.inner())], &[list(x.inner())], 1e-6);
}

#[test]
fn rope_turns_in_place_what_nobody_else_holds_and_leaves_alone_what_somebody_does() {
    let [cos, sin] = [angles(f32::cos), angles(f32::sin)].map(|t| flat(&list(t), [15, 4]));
    let x = flat(&numbers(240, 1), [15, 16]);
    let (place, before) = (x.as_slice::<f32>().unwrap().as_ptr(), x.clone());
    let turned = Flex::turn_pairs(x, cos.clone(), sin.clone(), false);
    assert_ne!(turned.as_slice::<f32>().unwrap().as_ptr(), place, "the old values are still in use");
    assert_eq!(before.as_slice::<f32>().unwrap(), numbers(240, 1));
    let place = turned.as_slice::<f32>().unwrap().as_ptr();
    let back = Flex::turn_pairs(turned, cos, sin, true);
    assert_eq!(back.as_slice::<f32>().unwrap().as_ptr(), place);
    assert_close(&[back.as_slice::<f32>().unwrap().to_vec()], &[numbers(240, 1)], 1e-6);
}

#[test]
fn results_are_the_same_bits_for_any_number_of_threads() {
    let run = || {
        let (x, scale, shift) = (leaf([700, 48], 1), leaf([48], 2), leaf([48], 3));
        with_gradients(layer_norm(gelu(x.clone()), scale.clone(), shift.clone(), 1e-5), &[x], &[scale, shift])
    };
    assert_eq!(with_threads(1, run), with_threads(3, run));
}

pub(super) fn some_dropout(lines: usize) -> DroppedLines {
    let places = (0..lines as u64).map(|line| (line / 50, line % 50)).collect();
    DroppedLines { rate: crate::model::mask::Rate::new(0.2).unwrap(), site: 3, places }
}

/// What `work` gives on a pool of so many threads.
pub(super) fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

#[test]
fn a_tables_gradient_is_the_sum_over_tokens_in_their_order_for_any_number_of_threads() {
    // Rows in several bands, read never, once and often.
    let ids: Vec<i64> = (0..900).map(|i| i * i % 211 % 190).collect();
    let grad = numbers(900 * 20, 3);
    let mut expected = vec![0.0f32; 200 * 20];
    for (id, row) in ids.iter().zip(grad.chunks(20)) {
        expected[*id as usize * 20..].iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    for threads in [1, 3] {
        let ids = Flex::int_from_data(TensorData::new(ids.clone(), [900]), &Default::default());
        let found = with_threads(threads, || Flex::lookup_backward(ids, flat(&grad, [900, 20]), 200));
        assert_eq!(found.as_slice::<f32>().unwrap(), expected, "{threads} threads");
    }
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
    let (turned, cos, sin) = (flat(&[15, 16], 9), flat(&[15, 4], 10), flat(&[15, 4], 11));

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
    ];
    for back in [false, true] {
        let fused = Flex::turn_pairs(turned.clone(), cos.clone(), sin.clone(), back);
        pairs.push((fused, composed::turn_pairs::<Flex>(turned.clone(), cos.clone(), sin.clone(), back)));
    }
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
