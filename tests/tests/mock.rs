//! The SDK's tensors under `cargo test` are the host's: same shapes, same types,
//! same numbers, for every operation of the contract.

#![allow(clippy::unwrap_used)]

use retune_sdk::{Dtype, Tensor, fused, tensor};
use retune_tensor::{AnyTensor, Device, Dtype as HostDtype, fused as host_fused};

/// One tensor on both sides.
struct Pair(Tensor, AnyTensor);

fn floats(shape: &[u32], seed: u64) -> Pair {
    let sizes: Vec<usize> = shape.iter().map(|size| *size as usize).collect();
    let mock = tensor::normal(shape, 0.2, 1.5, seed);
    let host = retune_tensor::from_float32(mock.to_float32().unwrap(), &sizes, &Device::flex()).unwrap();
    Pair(mock, host)
}

fn ints(shape: &[u32], data: &[i64]) -> Pair {
    let sizes: Vec<usize> = shape.iter().map(|size| *size as usize).collect();
    let host = retune_tensor::from_int64(data.to_vec(), &sizes, &Device::flex()).unwrap();
    Pair(tensor::from_int64(data, shape), host)
}

#[track_caller]
fn agree(what: &str, mock: &Tensor, host: &AnyTensor) {
    assert_eq!(mock.shape(), host.shape().iter().map(|size| *size as u32).collect::<Vec<_>>(), "shape of `{what}`");
    assert_eq!(mock.dtype().to_string(), host.dtype().to_string(), "type of `{what}`");
    let (mock, host) = (mock.to_float32().unwrap(), host.cast(HostDtype::Float32).unwrap().to_float32().unwrap());
    for (i, (a, b)) in mock.iter().zip(&host).enumerate() {
        let close = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 2e-5 * (1.0 + a.abs());
        assert!(close, "element {i} of `{what}`: {a} here, {b} on the host");
    }
}

/// Operations whose arguments are the same on both sides.
macro_rules! same {
    ($pair:expr; $($op:ident($($arg:expr),*)),+ $(,)?) => {{
        let Pair(mock, host) = &$pair;
        $( agree(stringify!($op($($arg),*)), &mock.$op($($arg),*), &host.$op($($arg),*).unwrap()); )+
    }};
}

/// Operations with tensors for arguments.
macro_rules! between {
    ($pair:expr; $($op:ident($($before:literal,)* $(&$other:ident),+)),+ $(,)?) => {{
        let Pair(mock, host) = &$pair;
        $( agree(stringify!($op), &mock.$op($($before,)* $(&$other.0),+), &host.$op($($before,)* $(&$other.1),+).unwrap()); )+
    }};
}

#[test]
fn functions_of_each_element_agree() {
    let x = floats(&[3, 4], 1);
    same!(x; neg(), abs(), sign(), recip(), exp(), erf(), floor(), ceil(), round(), tanh(), sigmoid(), log_sigmoid());
    same!(x; softplus(), relu(), gelu(), silu(), is_finite(), log(), sqrt(), log1p(), rsqrt());
    same!(x; add_scalar(1.5), mul_scalar(-2.0), pow_scalar(2.0), eq_scalar(0.0), gt_scalar(0.1), lt_scalar(0.1));
    same!(x; clamp(Some(-0.5), None), clamp(None, Some(0.5)), clamp(Some(-0.5), Some(0.5)));
    same!(ints(&[4], &[-3, 0, 2, 9]); neg(), abs(), sign(), add_scalar(1.9), mul_scalar(-2.5), floor(), gt_scalar(0.0));
}

#[test]
fn arithmetic_and_comparison_agree() {
    let (row, column) = (floats(&[4], 2), floats(&[3, 1], 3));
    between!(floats(&[3, 4], 1); add(&row), sub(&column), mul(&row), div(&column), maximum(&row), minimum(&column));
    between!(floats(&[3, 4], 1); eq(&row), ne(&row), lt(&row), le(&column), gt(&row), ge(&column));
    let positive = Pair(floats(&[3, 4], 1).0.exp(), floats(&[3, 4], 1).1.exp().unwrap());
    between!(positive; pow(&row));
    let (whole, float) = (ints(&[2, 2], &[7, -7, 3, 2]), floats(&[2, 2], 4));
    let divisor = ints(&[2], &[2, -2]);
    between!(whole; add(&divisor), mul(&float), div(&divisor), maximum(&divisor), lt(&float));
    let (truth, other) = (
        Pair(float.0.gt_scalar(0.0), float.1.gt_scalar(0.0).unwrap()),
        Pair(whole.0.gt_scalar(0.0), whole.1.gt_scalar(0.0).unwrap()),
    );
    between!(truth; logical_and(&other), logical_or(&other), eq(&other));
    same!(truth; logical_not(), any(&[], false), all(&[], false), any(&[0], true), all(&[1], false));
    let (left, right) = (floats(&[5, 3, 4], 5), floats(&[4, 2], 6));
    between!(left; matmul(&right));
}

#[test]
fn reductions_agree() {
    let x = floats(&[2, 3, 4], 7);
    same!(x; sum(&[], false), sum(&[1], true), sum(&[0, -1], false), mean(&[], false), mean(&[1, 2], true));
    same!(x; max(&[], false), max(&[2], false), min(&[0], true), variance(&[], false), variance(&[-1], true));
    same!(x; log_sum_exp(&[], false), log_sum_exp(&[1], true), l2_norm(&[], false), l2_norm(&[2], false));
    same!(x; arg_max(-1, false), arg_max(0, true), arg_min(1, false), cum_sum(1), softmax(1), log_softmax(-1));
    same!(x; histogram(4, -1.0, 1.0, None));
    let weights = floats(&[2, 3, 4], 8);
    agree(
        "histogram",
        &x.0.histogram(3, -1.0, 1.0, Some(&weights.0)),
        &x.1.histogram(3, -1.0, 1.0, Some(&weights.1)).unwrap(),
    );
    same!(ints(&[2, 2], &[1, 2, 3, 4]); sum(&[], false), max(&[0], false), cum_sum(0), arg_max(1, false), histogram(2, 0.0, 4.0, None));
}

#[test]
fn moving_and_picking_elements_agree() {
    let x = floats(&[2, 3, 4], 9);
    same!(x; reshape(&[4, -1]), permute(&[2, 0, 1]), transpose(0, -1), unsqueeze(-1), unsqueeze(0), flip(&[0, 2]));
    same!(x; slice(1, 1, 3, 1), slice(-1, -3, 100, 2), slice(0, 2, 1, 1), repeat(1, 2));
    same!(floats(&[3, 1], 1); expand(&[2, -1, 4]), squeeze(-1));
    same!(ints(&[2, 2], &[0, 2, 1, 1]); one_hot(3));
    let index = ints(&[2, 3, 2], &[0, 3, 1, 1, 2, 0, 3, 3, 0, 1, 2, 2]);
    between!(x; gather(-1, &index));
    let rows = ints(&[4], &[2, 0, 0, 1]);
    between!(x; index_select(1, &rows));
    let source = floats(&[2, 3, 2], 10);
    between!(x; scatter_add(2, &index, &source));
    let mask = Pair(x.0.gt_scalar(0.0), x.1.gt_scalar(0.0).unwrap());
    agree("masked_fill", &x.0.masked_fill(&mask.0, -1.0), &x.1.masked_fill(&mask.1, -1.0).unwrap());
    let other = floats(&[4], 11);
    between!(mask; where_(&x, &other));
    let ((top, at), (host_top, host_at)) = (x.0.top_k(2, 1), x.1.top_k(2, 1).unwrap());
    agree("values of top_k", &top, &host_top);
    agree("places of top_k", &at, &host_at);
    let ((sorted, at), (host_sorted, host_at)) = (x.0.sort(2, false), x.1.sort(2, false).unwrap());
    agree("values of sort", &sorted, &host_sorted);
    agree("places of sort", &at, &host_at);
    let whole = ints(&[2, 3, 4], &[1; 24]);
    agree("cat", &tensor::cat(&[&x.0, &whole.0], 1), &retune_tensor::cat(&[&x.1, &whole.1], 1).unwrap());
    agree("stack", &tensor::stack(&[&x.0, &x.0], -1), &retune_tensor::stack(&[&x.1, &x.1], -1).unwrap());
}

#[test]
fn making_and_casting_agree() {
    let device = Device::flex();
    agree("arange", &tensor::arange(5, -4, -2), &retune_tensor::arange(5, -4, -2, &device).unwrap());
    let types = [
        (Dtype::Float32, HostDtype::Float32),
        (Dtype::Float64, HostDtype::Float64),
        (Dtype::Int64, HostDtype::Int64),
        (Dtype::Int32, HostDtype::Int32),
        (Dtype::Boolean, HostDtype::Boolean),
    ];
    let x = floats(&[6], 12);
    for (mock, host) in types {
        agree("cast", &x.0.cast(mock), &x.1.cast(host).unwrap());
        agree("eye", &tensor::eye(3, mock), &retune_tensor::eye(3, host, &device).unwrap());
        agree("full", &tensor::full(&[2], 1.0, mock), &retune_tensor::full(&[2], 1.0, host, &device).unwrap());
    }
    let (shape, sizes) = ([3, 5], [3, 5]);
    agree(
        "uniform",
        &tensor::uniform(&shape, -1.0, 2.0, 7),
        &retune_tensor::uniform(&sizes, -1.0, 2.0, 7, &device).unwrap(),
    );
    agree(
        "normal",
        &tensor::normal(&shape, 1.0, 2.0, 7),
        &retune_tensor::normal(&sizes, 1.0, 2.0, 7, &device).unwrap(),
    );
}

/// Numbers at the edges of float32: what is infinite, zero or not a number on one side is so on the other.
#[test]
fn the_edges_of_float32_agree() {
    let values = [3e38, 2e38, 89.0, 88.0, -104.0, 1e-30, 1e20, 0.1, 16_777_216.0, 1.0, 0.0, -0.5];
    let host = retune_tensor::from_float32(values.to_vec(), &[3, 4], &Device::flex()).unwrap();
    let x = Pair(tensor::from_float32(&values, &[3, 4]), host);
    same!(x; exp(), mul_scalar(2.0), mul_scalar(1e39), mul_scalar(1e-39), add_scalar(1e38), eq_scalar(0.1), pow_scalar(2.0));
    same!(x; sum(&[], false), sum(&[1], false), mean(&[], false), l2_norm(&[], false), l2_norm(&[0], false), recip());
    same!(x; variance(&[1], false), log_softmax(-1), softmax(0), log_sum_exp(&[1], false), softplus(), sigmoid());
    between!(x; mul(&x), add(&x), div(&x), sub(&x));
    let turned = Pair(x.0.transpose(0, 1), x.1.transpose(0, 1).unwrap());
    between!(x; matmul(&turned));
    agree("entropy", &fused::entropy(&x.0), &host_fused::entropy(&x.1).unwrap());
    let labels = ints(&[3], &[1, 2, 0]);
    agree(
        "token_log_probs",
        &fused::token_log_probs(&x.0, &labels.0, -100),
        &host_fused::token_log_probs(&x.1, &labels.1, -100).unwrap(),
    );
    for (mock, host) in [(Dtype::Float16, HostDtype::Float16), (Dtype::Bfloat16, HostDtype::Bfloat16)] {
        let x = Pair(x.0.cast(mock), x.1.cast(host).unwrap());
        same!(x; neg(), mul_scalar(0.3), exp(), sum(&[1], false));
    }
}

#[test]
fn float64_stays_float64() {
    let x = Pair(floats(&[2, 3], 21).0.cast(Dtype::Float64), floats(&[2, 3], 21).1.cast(HostDtype::Float64).unwrap());
    let labels = ints(&[2], &[0, 2]);
    agree(
        "token_log_probs",
        &fused::token_log_probs(&x.0, &labels.0, -100),
        &host_fused::token_log_probs(&x.1, &labels.1, -100).unwrap(),
    );
    agree("kl_div", &fused::kl_div(&x.0, &x.0, 2.0, false), &host_fused::kl_div(&x.1, &x.1, 2.0, false).unwrap());
    same!(x; exp(), sum(&[], false), mul_scalar(0.1), histogram(3, -1.0, 1.0, None));
}

#[test]
fn copies_to_the_guest_agree() {
    let halves = Pair(floats(&[4], 15).0.mul_scalar(10.0), floats(&[4], 15).1.mul_scalar(10.0).unwrap());
    let truth = Pair(halves.0.gt_scalar(0.0), halves.1.gt_scalar(0.0).unwrap());
    let half = Pair(halves.0.cast(Dtype::Float64), halves.1.cast(HostDtype::Float64).unwrap());
    for Pair(mock, host) in [halves, half, truth, ints(&[3], &[-7, 0, 1 << 40])] {
        assert_eq!(mock.to_int64().unwrap(), host.to_int64().unwrap(), "int64 of {}", host.dtype());
        assert_eq!(mock.to_float32().unwrap(), host.to_float32().unwrap(), "float32 of {}", host.dtype());
    }
}

#[test]
fn fused_operations_agree() {
    let (x, y) = (floats(&[2, 3, 5], 13), floats(&[2, 3, 5], 14));
    let labels = ints(&[2, 3], &[0, 4, -100, 2, -100, 1]);
    agree(
        "token_log_probs",
        &fused::token_log_probs(&x.0, &labels.0, -100),
        &host_fused::token_log_probs(&x.1, &labels.1, -100).unwrap(),
    );
    agree("mean_log_probs", &fused::mean_log_probs(&x.0), &host_fused::mean_log_probs(&x.1).unwrap());
    agree("entropy", &fused::entropy(&x.0), &host_fused::entropy(&x.1).unwrap());
    for reverse in [false, true] {
        let mock = fused::kl_div(&x.0, &y.0, 2.0, reverse);
        agree("kl_div", &mock, &host_fused::kl_div(&x.1, &y.1, 2.0, reverse).unwrap());
    }
}
