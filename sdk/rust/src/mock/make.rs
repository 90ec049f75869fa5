//! Tensors out of nothing, and out of several.

use super::elementwise::promote;
use super::{Tensor, geometry, violation};
use crate::Dtype;

fn sizes(shape: &[u32]) -> Vec<usize> {
    shape.iter().map(|size| *size as usize).collect()
}

#[track_caller]
fn filled(operation: &str, data: Vec<f64>, shape: &[u32], dtype: Dtype) -> Tensor {
    let shape = sizes(shape);
    if shape.iter().product::<usize>() != data.len() {
        violation(operation, format_args!("{} values for the shape {shape:?}", data.len()));
    }
    Tensor::make(shape, data, dtype)
}

#[track_caller]
pub fn from_float32(data: &[f32], shape: &[u32]) -> Tensor {
    filled("from-float32", data.iter().map(|x| f64::from(*x)).collect(), shape, Dtype::Float32)
}

#[track_caller]
pub fn from_int64(data: &[i64], shape: &[u32]) -> Tensor {
    filled("from-int64", data.iter().map(|x| *x as f64).collect(), shape, Dtype::Int64)
}

#[track_caller]
pub fn full(shape: &[u32], value: f64, dtype: Dtype) -> Tensor {
    let shape = sizes(shape);
    let value = if dtype.is_float() { value } else { value.trunc() };
    let data = vec![value; shape.iter().product()];
    Tensor::make(shape, data, dtype)
}

#[track_caller]
pub fn arange(start: i64, end: i64, step: i64) -> Tensor {
    if step == 0 {
        violation("arange", "a step of zero never arrives");
    }
    let goes_on = |x: &i64| if step > 0 { *x < end } else { *x > end };
    let data: Vec<f64> =
        std::iter::successors(Some(start), |x| x.checked_add(step)).take_while(goes_on).map(|x| x as f64).collect();
    Tensor::make(vec![data.len()], data, Dtype::Int64)
}

pub fn eye(n: u32, dtype: Dtype) -> Tensor {
    let n = n as usize;
    let data = (0..n * n).map(|i| f64::from(u8::from(i / n == i % n))).collect();
    Tensor::make(vec![n, n], data, dtype)
}

#[track_caller]
pub fn cat(tensors: &[&Tensor], dim: i32) -> Tensor {
    let Some(first) = tensors.first() else { violation("cat", "there is nothing to join") };
    let dim = geometry::dim("cat", dim, first.shape.len());
    let mut dtype = first.dtype;
    for other in tensors {
        dtype = promote("cat", dtype, other.dtype);
        let fits = other.shape.len() == first.shape.len()
            && (0..first.shape.len()).all(|i| i == dim || other.shape[i] == first.shape[i]);
        if !fits {
            violation("cat", format_args!("{:?} does not join {:?}", other.shape, first.shape));
        }
    }
    let (before, _, after) = geometry::around(&first.shape, dim);
    let mut data = Vec::new();
    for i in 0..before {
        for tensor in tensors {
            let run = tensor.shape[dim] * after;
            data.extend_from_slice(&tensor.data[i * run..][..run]);
        }
    }
    let mut shape = first.shape.clone();
    shape[dim] = tensors.iter().map(|tensor| tensor.shape[dim]).sum();
    Tensor::make(shape, data, dtype)
}

#[track_caller]
pub fn stack(tensors: &[&Tensor], dim: i32) -> Tensor {
    let raised: Vec<Tensor> = tensors.iter().map(|tensor| tensor.unsqueeze(dim)).collect();
    cat(&raised.iter().collect::<Vec<_>>(), dim)
}

/// Numbers in [0, 1), one after the other (SplitMix64, Steele et al. 2014): the
/// host's own, so that a test sees what a run will.
fn units(seed: u64) -> impl Iterator<Item = f64> {
    (1u64..).map(move |i| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    })
}

pub fn uniform(shape: &[u32], low: f64, high: f64, seed: u64) -> Tensor {
    let shape = sizes(shape);
    let data = units(seed).take(shape.iter().product()).map(|u| low + u * (high - low)).collect();
    Tensor::make(shape, data, Dtype::Float32)
}

pub fn normal(shape: &[u32], mean: f64, std: f64, seed: u64) -> Tensor {
    let shape = sizes(shape);
    let mut units = units(seed);
    let mut unit = || units.next().unwrap_or_default();
    let gauss = |u: f64, v: f64| (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos();
    let data = (0..shape.iter().product()).map(|_| mean + std * gauss(unit(), unit())).collect();
    Tensor::make(shape, data, Dtype::Float32)
}
