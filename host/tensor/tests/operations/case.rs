//! Tables of an operation, what it is given, and what must come out.

use retune_tensor::{AnyTensor, Result};

use crate::{assert_near, f};

/// What a row of a table does with its inputs.
pub type Operation = fn(&[AnyTensor]) -> Result<AnyTensor>;

/// An operation, what it is given, and what must come out.
pub struct Case(pub &'static str, pub Operation, pub Vec<AnyTensor>, pub Vec<usize>, pub Vec<f64>);

/// Checks each case on plain tensors and, where inputs are floats, on tracked ones.
pub fn check(cases: Vec<Case>) {
    for Case(name, operation, inputs, shape, expected) in cases {
        let tracked: Vec<_> =
            inputs.iter().map(|t| if t.dtype().is_float() { t.leaf().unwrap() } else { t.clone() }).collect();
        let mixed: Vec<_> =
            inputs.iter().zip(&tracked).enumerate().map(|(k, (p, t))| if k == 0 { t } else { p }.clone()).collect();
        for (how, given) in [("plain", inputs), ("tracked", tracked), ("mixed", mixed)] {
            let out = operation(&given).unwrap_or_else(|error| panic!("{name}, {how}: {error}"));
            assert_eq!(out.shape(), shape, "{name}, {how}");
            assert_near(&format!("{name}, {how}"), &out.to_float64().unwrap(), &expected, 1e-12);
        }
    }
}

/// `[[1, 2, 3], [4, 5, 6]]`.
pub fn six() -> AnyTensor {
    f(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3])
}
