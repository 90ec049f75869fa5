//! Single kernels of a device beside the CPU's own: dropout masks, and attention as models ask for it.
//!
//! Masks have to be the same to the bit; what is summed may differ in rounding. Asked of the CPU itself, the other side
//! is what it computes with the operations that a GPU runs, so that these are checked without one.

use retune_tensor::Device;
use retune_train::model::ModelError;
use retune_train::model::agreement::{AttentionCase, attended, dropout_factors, probability_factors};

use super::finding::{Finding, largest_difference};
use super::tolerance::{both, gradients_off, sums};
use retune_recipe::diagnostic::{Diagnostic, Result};

/// Documents of unequal lengths: several blocks of queries, a single token, one that ends within a block.
const LENGTHS: &[usize] = &[70, 1, 33];

/// What some model asks of attention.
const CASES: &[(&str, AttentionCase<'_>)] = &[
    ("every token sees all", AttentionCase::new(LENGTHS, [3, 3, 16])),
    ("causal, grouped heads", AttentionCase { causal: true, ..AttentionCase::new(LENGTHS, [6, 2, 32]) }),
    ("causal, one key head", AttentionCase { causal: true, ..AttentionCase::new(LENGTHS, [4, 1, 12]) }),
    ("causal, heads of 128", AttentionCase { causal: true, ..AttentionCase::new(LENGTHS, [2, 2, 128]) }),
    ("a window before", AttentionCase { causal: true, window: Some(9), ..AttentionCase::new(LENGTHS, [6, 2, 16]) }),
    ("a window on both sides", AttentionCase { window: Some(9), ..AttentionCase::new(LENGTHS, [3, 3, 16]) }),
    ("soft-capped", AttentionCase { causal: true, soft_cap: Some(3.0), ..AttentionCase::new(LENGTHS, [6, 2, 16]) }),
    ("dropout", AttentionCase { dropout: 0.2, ..AttentionCase::new(LENGTHS, [3, 3, 16]) }),
    (
        "grouped heads, a window, a soft cap and dropout",
        AttentionCase {
            causal: true,
            window: Some(5),
            soft_cap: Some(2.0),
            dropout: 0.1,
            ..AttentionCase::new(LENGTHS, [4, 2, 16])
        },
    ),
    ("one short document", AttentionCase { causal: true, ..AttentionCase::new(&[3], [2, 1, 8]) }),
];

/// All checks of single kernels.
///
/// # Errors
/// When the device fails.
pub fn check(device: &Device) -> Result<Vec<Finding>> {
    findings(device).map_err(|error| Diagnostic::new("kernels failed on this device").because(error))
}

fn findings(device: &Device) -> std::result::Result<Vec<Finding>, ModelError> {
    let mut findings = Vec::new();
    let differ = |found: &[f32], expected: &[f32], tolerance: f32| {
        let pairs = found.iter().zip(expected).filter(|(found, expected)| (*found - *expected).abs() > tolerance);
        (pairs.count() + found.len().abs_diff(expected.len())) as f64
    };
    let (found, expected) = both(device, |device| dropout_factors(1000, 770, 0.1, device))?;
    let name = "dropout of hidden states, factors unlike the CPU's";
    findings.push(Finding::bounded(name, differ(&found, &expected, 0.0), "", 0.0));

    let ragged = AttentionCase { dropout: 0.2, ..AttentionCase::new(LENGTHS, [3, 3, 16]) };
    let (found, expected) = both(device, |device| probability_factors(ragged, device))?;
    // A product may round a probability; a factor is either zero or more than one.
    let name = "dropout of probabilities, factors unlike the CPU's";
    findings.push(Finding::bounded(name, differ(&found, &expected, 0.5), "", 0.0));

    for (name, case) in CASES {
        let (found, expected) = both(device, |device| attended(*case, device))?;
        let ([out, found @ ..], [expected_out, expected @ ..]) = (found, expected);
        let gradients: Vec<_> = found.into_iter().zip(expected).collect();
        let off = largest_difference(&out, &expected_out);
        findings.push(Finding::difference("attention beside the CPU's", *name, off, sums(device)));
        let off = gradients_off(&gradients, device);
        let check = "attention's gradients beside the CPU's";
        findings.push(Finding::difference(check, *name, off, sums(device)));
    }
    Ok(findings)
}
