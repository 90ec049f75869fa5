//! How far a device may be from what it is compared with, and how differences are measured.
//!
//! A CPU sums float32 in float32. A GPU may round the factors of a product to ten bits (TF32), which is a part in a thousand of
//! each, and a wrong kernel is off by far more than that.

use retune_tensor::Device;
use retune_tensor::device::Portable;

use super::finding::largest_difference;

fn on_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

/// What sums may differ by from those of another device: numbers about one, and relative to the largest of a gradient.
pub(super) fn sums(device: &Device) -> f64 {
    if on_cpu(device) { 1e-4 } else { 2e-2 }
}

/// What the losses of some optimiser steps may differ by: each step starts from where the one before it ended.
pub(super) fn losses(device: &Device) -> f64 {
    if on_cpu(device) { 1e-3 } else { 5e-2 }
}

/// What may change when an exact conversion is put before a product: on the CPU nothing; a GPU may choose another kernel.
pub(super) fn exact(device: &Device) -> f64 {
    if on_cpu(device) { 0.0 } else { sums(device) }
}

/// The largest difference between gradients, relative to the largest value of each parameter's. Some gradients are zero but
/// for rounding, such as that of a bias that shifts all scores alike: they are held against a part of the largest of all.
pub(super) fn gradients_off(pairs: &[(Vec<f32>, Vec<f32>)], device: &Device) -> f64 {
    let size = |values: &[f32]| values.iter().fold(0.0f64, |most, x| most.max(f64::from(x.abs())));
    let most = pairs.iter().map(|(_, expected)| size(expected)).fold(0.0, f64::max);
    let least = most * if on_cpu(device) { 1e-3 } else { 0.1 };
    let off = pairs.iter().map(|(found, expected)| {
        let off = largest_difference(found, expected);
        // Nothing and nothing agree.
        if off == 0.0 { 0.0 } else { off / size(expected).max(least) }
    });
    off.fold(0.0, f64::max)
}

/// While it lives, a CPU computes with the operations that a GPU runs.
pub(super) fn as_a_gpu(device: &Device) -> Option<Portable> {
    on_cpu(device).then(Portable::new)
}

/// What `work` gives on the device, or the CPU in its place as other devices compute, and with the CPU's own kernels.
pub(super) fn both<T, E>(device: &Device, work: impl Fn(&Device) -> Result<T, E>) -> Result<(T, T), E> {
    let found = {
        let _portable = as_a_gpu(device);
        work(device)?
    };
    Ok((found, work(&Device::flex())?))
}

/// A way in which a device computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The CPU's own kernels; on other devices the only way.
    Own,
    /// The CPU by the operations that a GPU runs.
    AsGpu,
}

impl Way {
    /// Those of a device.
    pub(super) fn of(device: &Device) -> &'static [Self] {
        if on_cpu(device) { &[Self::Own, Self::AsGpu] } else { &[Self::Own] }
    }

    /// What follows the name of a check.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Own => "",
            Self::AsGpu => ", as a GPU computes",
        }
    }

    /// While it lives, the CPU computes so.
    pub(super) fn take(self) -> Option<Portable> {
        (self == Self::AsGpu).then(Portable::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gradient_is_held_against_its_own_size_and_one_that_is_nearly_zero_against_the_largest() {
        let off = |pairs: &[(Vec<f32>, Vec<f32>)]| gradients_off(pairs, &Device::flex());
        let large = (vec![100.0, 50.0], vec![100.0, 50.0]);
        assert_eq!(off(std::slice::from_ref(&large)), 0.0);
        assert!((off(&[large.clone(), (vec![1.1], vec![1.0])]) - 0.1).abs() < 1e-6);
        assert!((off(&[large.clone(), (vec![1e-6], vec![0.0])]) - 1e-5).abs() < 1e-9);
        assert_eq!(off(&[large, (vec![], vec![1.0])]), f64::INFINITY);
        assert_eq!(off(&[(vec![f32::NAN], vec![1.0])]), f64::INFINITY);
        assert_eq!(off(&[(vec![0.0], vec![0.0])]), 0.0);
    }
}
