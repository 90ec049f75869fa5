//! Random tensors that do not depend on where they are made.
//!
//! Element `i` is a function of the seed and `i` alone: the counter goes through
//! splitmix64's finaliser (Steele, Lea and Flood 2014). The values are made on
//! the host, in parallel, and copied to the device once.

use std::f64::consts::TAU;

use burn::tensor::Device;
use rayon::prelude::*;

use crate::error::{Result, ensure};
use crate::geometry::admit;
use crate::{AnyTensor, Dtype, creation};

/// The step of splitmix64's counter: 2^64 over the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The `index`-th 64 bits of the stream that begins at `seed`.
pub fn bits(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(GOLDEN));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The `index`-th number of the stream, uniform in `[0, 1)`, from the upper 53 bits.
pub fn unit(seed: u64, index: u64) -> f64 {
    (bits(seed, index) >> 11) as f64 / (1u64 << 53) as f64
}

/// The `index`-th standard normal of the stream (Box and Muller 1958, cosine branch).
pub fn standard_normal(seed: u64, index: u64) -> f64 {
    let radius = (-2.0 * (1.0 - unit(seed, index.wrapping_mul(2))).ln()).sqrt();
    radius * (TAU * unit(seed, index.wrapping_mul(2).wrapping_add(1))).cos()
}

fn filled(op: &'static str, shape: &[usize], device: &Device, value: impl Fn(u64) -> f64 + Sync) -> Result<AnyTensor> {
    let numel = admit(op, shape, Dtype::Float32)?;
    let data = (0..numel as u64).into_par_iter().map(|i| value(i) as f32).collect();
    creation::from_float32(data, shape, device)
}

/// float32, uniform in `[low, high)`.
///
/// # Errors
/// When the bounds are not finite or in the wrong order, or the tensor would be too large.
pub fn uniform(shape: &[usize], low: f64, high: f64, seed: u64, device: &Device) -> Result<AnyTensor> {
    let op = "uniform";
    ensure!(low.is_finite() && high.is_finite() && low <= high, op, "the range [{low}, {high}) is not one");
    // Rounding to float32 may reach `high` itself: stay below it.
    let below = if (low as f32) < (high as f32) { f64::from((high as f32).next_down()) } else { low };
    filled(op, shape, device, |i| (low + (high - low) * unit(seed, i)).min(below))
}

/// float32, normal with this mean and standard deviation.
///
/// # Errors
/// When they are not finite, `std` is negative, or the tensor would be too large.
pub fn normal(shape: &[usize], mean: f64, std: f64, seed: u64, device: &Device) -> Result<AnyTensor> {
    let op = "normal";
    ensure!(
        mean.is_finite() && std.is_finite() && std >= 0.0,
        op,
        "mean {mean} and standard deviation {std} are not usable"
    );
    filled(op, shape, device, |i| mean + std * standard_normal(seed, i))
}
