//! Random numbers that do not depend on where they are drawn, and tensors of them.
//!
//! Number `i` of a stream is a function of its seed and of `i` alone: the counter goes
//! through splitmix64's finaliser (Steele, Lea and Flood 2014). This is the only
//! generator of the host; data order, dropout and new weights draw from it too. Tensors
//! are made on the host, in parallel, and copied to the device once.

use std::f64::consts::TAU;

use burn::tensor::Device;
use rayon::prelude::*;

use crate::error::{Result, ensure};
use crate::geometry::admit;
use crate::{AnyTensor, Dtype, creation};

/// The step of splitmix64's counter: 2^64 over the golden ratio, made odd.
pub const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser's two rounds `z = (z ^ (z >> shift)) * factor`.
pub const ROUNDS: [(u32, u64); 2] = [(30, 0xbf58_476d_1ce4_e5b9), (27, 0x94d0_49bb_1331_11eb)];

/// The finaliser ends with `z ^ (z >> LAST_SHIFT)`.
pub const LAST_SHIFT: u32 = 31;

/// One step of splitmix64 from the state `value`: a bijection whose every output bit
/// depends on every input bit.
#[inline]
pub fn mix(value: u64) -> u64 {
    let z =
        ROUNDS.iter().fold(value.wrapping_add(GOLDEN), |z, (shift, factor)| (z ^ (z >> shift)).wrapping_mul(*factor));
    z ^ (z >> LAST_SHIFT)
}

/// The `index`-th 64 bits of the stream that begins at `seed`.
#[inline]
pub fn bits(seed: u64, index: u64) -> u64 {
    mix(seed.wrapping_add(index.wrapping_mul(GOLDEN)))
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

/// The numbers of a stream, one after the other.
#[derive(Clone, Debug)]
pub struct Stream {
    seed: u64,
    next: u64,
}

impl Stream {
    /// The stream that begins at `seed`, from its `next`-th number on.
    pub fn new(seed: u64, next: u64) -> Self {
        Self { seed, next }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        let bits = bits(self.seed, self.next);
        self.next = self.next.wrapping_add(1);
        bits
    }

    /// Uniform in `(0, 1]`: its logarithm is finite.
    pub fn positive_unit(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..bound` without bias (Lemire 2019); `bound` is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let wide = u128::from(self.bits()) * u128::from(bound);
            if wide as u64 >= threshold {
                return (wide >> 64) as u64;
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_below_the_bound_is_equally_likely() {
        let mut stream = Stream::new(3, 1);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[stream.below(7) as usize] += 1;
        }
        // Six degrees of freedom: chi-square above 22.5 has probability 0.001.
        let chi: f64 = counts.iter().map(|&n| (f64::from(n) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi < 22.5, "{counts:?}");
    }

    #[test]
    fn a_stream_goes_through_its_numbers_in_order() {
        let mut stream = Stream::new(9, 4);
        assert_eq!([stream.bits(), stream.bits()], [bits(9, 4), bits(9, 5)]);
        let unit = stream.positive_unit();
        assert_eq!(unit, ((bits(9, 6) >> 11) + 1) as f64 * 2f64.powi(-53));
    }
}
