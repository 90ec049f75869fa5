//! Every operation against values worked out elsewhere, its gradient against
//! finite differences, and what it refuses.
#![allow(clippy::unwrap_used, clippy::panic)]

mod case;
mod fused;
mod gradients;
mod layout;
mod lazy;
mod promotion;
mod random;
mod refusals;
mod values;

use retune_tensor::{AnyTensor, Device, from_float64, from_int64};

/// float64 on the CPU.
fn f(data: &[f64], shape: &[usize]) -> AnyTensor {
    from_float64(data.to_vec(), shape, &Device::flex()).unwrap()
}

/// int64 on the CPU.
fn i(data: &[i64], shape: &[usize]) -> AnyTensor {
    from_int64(data.to_vec(), shape, &Device::flex()).unwrap()
}

/// Booleans on the CPU.
fn b(data: &[i64], shape: &[usize]) -> AnyTensor {
    i(data, shape).cast(retune_tensor::Dtype::Boolean).unwrap()
}

#[track_caller]
fn assert_near(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: {got:?} against {expected:?}");
    for (g, e) in got.iter().zip(expected) {
        let same = g == e || (g.is_nan() && e.is_nan()) || (g - e).abs() <= tolerance * e.abs().max(1.0);
        assert!(same, "{what}: {got:?} against {expected:?}");
    }
}
