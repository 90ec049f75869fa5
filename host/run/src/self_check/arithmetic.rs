//! One kernel, and matrix products: are they right, and how fast are they?
//!
//! On a GPU the products are 4096 wide, so that launching costs nothing beside them; on a CPU 512.

use std::time::Instant;

use retune_tensor::{AnyTensor, Device, Dtype, TensorError, from_float32, random};

use super::finding::{Finding, largest_difference};
use retune_recipe::diagnostic::{Diagnostic, Result};

/// Elements of the kernel's input.
const ELEMENTS: usize = 1 << 16;
/// Width of the product that is compared number by number.
const SMALL: usize = 96;

/// All checks of arithmetic.
pub fn check(device: &Device) -> Result<Vec<Finding>> {
    findings(device).map_err(|error| Diagnostic::new("arithmetic failed on this device").because(error))
}

fn findings(device: &Device) -> std::result::Result<Vec<Finding>, TensorError> {
    let wide = if *device == Device::flex() { 512 } else { 4096 };
    Ok(vec![
        Finding::bounded("kernel: exp(x) + 1, largest error", kernel(device)?, "", 1e-5),
        // A GPU may round the factors of a float32 product to ten bits (TF32).
        Finding::bounded("matmul float32, largest error", product(device, Dtype::Float32)?, "", 0.05),
        Finding::bounded("matmul bfloat16, largest error", product(device, Dtype::Bfloat16)?, "", 0.5),
        Finding::rate(format!("matmul float32, {wide} wide"), rate(device, Dtype::Float32, wide)?, "TFLOP/s"),
        Finding::rate(format!("matmul bfloat16, {wide} wide"), rate(device, Dtype::Bfloat16, wide)?, "TFLOP/s"),
    ])
}

/// Values between -1 and 1.
fn values(count: usize, seed: u64) -> Vec<f32> {
    (0..count as u64).map(|at| (random::unit(seed, at) * 2.0 - 1.0) as f32).collect()
}

fn kernel(device: &Device) -> std::result::Result<f64, TensorError> {
    let input = values(ELEMENTS, 1);
    let found = from_float32(input.clone(), &[ELEMENTS], device)?.exp()?.add_scalar(1.0)?.to_float32()?;
    let expected: Vec<f32> = input.iter().map(|x| x.exp() + 1.0).collect();
    Ok(largest_difference(&found, &expected))
}

/// Largest error of a product of two matrices of values between -1 and 1, against sums in float64.
fn product(device: &Device, dtype: Dtype) -> std::result::Result<f64, TensorError> {
    let (left, right) = (values(SMALL * SMALL, 2), values(SMALL * SMALL, 3));
    let on_device = |values: &[f32]| from_float32(values.to_vec(), &[SMALL, SMALL], device)?.cast(dtype);
    let found = on_device(&left)?.matmul(&on_device(&right)?)?.cast(Dtype::Float32)?.to_float32()?;
    let mut expected = Vec::with_capacity(SMALL * SMALL);
    for row in 0..SMALL {
        for column in 0..SMALL {
            let terms = (0..SMALL).map(|k| f64::from(left[row * SMALL + k]) * f64::from(right[k * SMALL + column]));
            expected.push(terms.sum::<f64>() as f32);
        }
    }
    Ok(largest_difference(&found, &expected))
}

/// 10^12 floating-point operations a second; the best of three rounds after one that is not timed.
fn rate(device: &Device, dtype: Dtype, width: usize) -> std::result::Result<f64, TensorError> {
    const PRODUCTS: usize = 8;
    let matrix = |seed| random::normal(&[width, width], 0.0, 0.01, seed, device)?.cast(dtype);
    let (left, right) = (matrix(4)?, matrix(5)?);
    let work = 2.0 * (width as f64).powi(3) * PRODUCTS as f64;
    let mut best = f64::INFINITY;
    for round in 0..4 {
        let started = Instant::now();
        let mut last = left.clone();
        for _ in 0..PRODUCTS {
            last = left.matmul(&right)?;
        }
        wait(&last)?;
        if round > 0 {
            best = best.min(started.elapsed().as_secs_f64());
        }
    }
    Ok(work / best / 1e12)
}

/// Reads one element: the device has then done everything that was asked of it before.
fn wait(tensor: &AnyTensor) -> std::result::Result<(), TensorError> {
    tensor.slice(0, 0, 1, 1)?.slice(1, 0, 1, 1)?.cast(Dtype::Float32)?.to_float32().map(drop)
}
