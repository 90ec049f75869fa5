//! Fused operations against their definitions in plain operations.

use retune_tensor::{AnyTensor, Device, Dtype, Result, from_float32, from_int64, full, fused, normal};

use crate::{assert_near, f, i};

const IGNORE: i64 = -100;

fn token_log_probs(logits: &AnyTensor, labels: &AnyTensor) -> Result<AnyTensor> {
    let ignored = labels.eq_scalar(IGNORE as f64)?;
    let index = labels.masked_fill(&ignored, 0.0)?.unsqueeze(-1)?;
    logits.log_softmax(-1)?.gather(-1, &index)?.squeeze(-1)?.masked_fill(&ignored, 0.0)
}

fn kl(input: &AnyTensor, target: &AnyTensor, t: f64) -> Result<AnyTensor> {
    let (log_p, log_q) = (target.mul_scalar(1.0 / t)?.log_softmax(-1)?, input.mul_scalar(1.0 / t)?.log_softmax(-1)?);
    log_p.exp()?.mul(&log_p.sub(&log_q)?)?.sum(&[-1], false)
}

fn entropy(logits: &AnyTensor) -> Result<AnyTensor> {
    logits.softmax(-1)?.mul(&logits.log_softmax(-1)?)?.sum(&[-1], false)?.neg()
}

/// Value and gradient of both, weighted so that no row is like another.
fn same(
    name: &str,
    logits: &AnyTensor,
    fused: impl Fn(&AnyTensor) -> Result<AnyTensor>,
    plain: impl Fn(&AnyTensor) -> Result<AnyTensor>,
) {
    let run = |body: &dyn Fn(&AnyTensor) -> Result<AnyTensor>| {
        let leaf = logits.leaf().unwrap();
        let out = body(&leaf).unwrap();
        let weights: Vec<f32> = (0..out.numel()).map(|k| 1.0 + (k as f32).cos() / 2.0).collect();
        let weights = from_float32(weights, &out.shape(), &Device::flex()).unwrap();
        let mut gradients = out.mul(&weights).unwrap().sum(&[], false).unwrap().backward().unwrap();
        (out.shape(), out.to_float64().unwrap(), gradients.take(&leaf).unwrap().to_float64().unwrap())
    };
    let (got, expected) = (run(&fused), run(&plain));
    assert_eq!(got.0, expected.0, "{name}");
    assert_near(name, &got.1, &expected.1, 1e-6);
    assert_near(&format!("gradient of {name}"), &got.2, &expected.2, 1e-6);
    let untracked = fused(logits).unwrap();
    assert!(!untracked.is_tracked());
    assert_near(&format!("{name} untracked"), &untracked.to_float64().unwrap(), &expected.1, 1e-6);
}

#[test]
fn each_equals_its_definition_in_value_and_gradient() {
    let device = Device::flex();
    for seed in 0..3 {
        let logits = normal(&[2, 5, 17], 0.0, 3.0, seed, &device).unwrap();
        let target = normal(&[2, 5, 17], 0.0, 2.0, seed + 100, &device).unwrap();
        let labels: Vec<i64> = (0..10).map(|k| if k % 4 == 3 { IGNORE } else { (k * 7 + seed as i64) % 17 }).collect();
        let labels = from_int64(labels, &[2, 5], &device).unwrap();
        same(
            "token-log-probs",
            &logits,
            |x| fused::token_log_probs(x, &labels, IGNORE),
            |x| token_log_probs(x, &labels),
        );
        same("mean-log-probs", &logits, fused::mean_log_probs, |x| x.log_softmax(-1)?.mean(&[-1], false));
        same("entropy", &logits, fused::entropy, entropy);
        same("kl-div", &logits, |x| fused::kl_div(x, &target, 2.0, false), |x| kl(x, &target, 2.0));
        same("kl-div, reverse", &logits, |x| fused::kl_div(x, &target, 2.0, true), |x| kl(&target, x, 2.0));
    }
}

#[test]
fn large_logits_neither_overflow_nor_lose_the_difference() {
    let logits = f(&[1e4, 1e4 + 1.0, -1e4], &[1, 3]).cast(Dtype::Float32).unwrap();
    let expected = -(1f64 + 1f64.exp()).ln();
    let got = fused::token_log_probs(&logits, &i(&[0], &[1]), IGNORE).unwrap().to_float64().unwrap();
    assert_near("token-log-probs", &got, &[expected], 1e-6);
}

#[test]
fn logits_of_minus_infinity_are_classes_that_cannot_happen() {
    let logits = f(&[0.0, 0.0, f64::NEG_INFINITY], &[1, 3]);
    assert_near("entropy", &fused::entropy(&logits).unwrap().to_float64().unwrap(), &[2f64.ln()], 1e-12);
    let kl = fused::kl_div(&f(&[0.0; 3], &[1, 3]), &logits, 1.0, false).unwrap();
    assert_near("kl-div", &kl.to_float64().unwrap(), &[1.5f64.ln()], 1e-12);
    let leaf = logits.leaf().unwrap();
    let gradient = fused::entropy(&leaf).unwrap().sum(&[], false).unwrap().backward().unwrap().take(&leaf).unwrap();
    assert!(gradient.to_float64().unwrap().iter().all(|g| g.is_finite()));
}

#[test]
fn rows_worked_on_in_groups_give_what_they_give_in_one_piece() {
    let device = Device::flex();
    let vocab = fused::CHUNK / 2 - 3;
    let logits = normal(&[5, 1, vocab], 0.0, 1.0, 7, &device).unwrap();
    let labels = from_int64(vec![0, IGNORE, vocab as i64 - 1, 5, 99], &[5, 1], &device).unwrap();
    let grouped = fused::token_log_probs(&logits, &labels, IGNORE).unwrap();
    let rows: Vec<f64> = (0..5)
        .map(|row| {
            let (x, y) = (logits.slice(0, row, row + 1, 1).unwrap(), labels.slice(0, row, row + 1, 1).unwrap());
            fused::token_log_probs(&x, &y, IGNORE).unwrap().item().unwrap()
        })
        .collect();
    assert_eq!(grouped.shape(), [5, 1]);
    assert_eq!(grouped.to_float64().unwrap(), rows);
    assert_eq!(rows[1], 0.0);
}

#[test]
fn a_batch_whose_labels_are_all_ignored_gives_zeros_and_a_zero_gradient() {
    let leaf = full(&[2, 3], 0.5, Dtype::Float32, &Device::flex()).unwrap().leaf().unwrap();
    let out = fused::token_log_probs(&leaf, &i(&[IGNORE, IGNORE], &[2]), IGNORE).unwrap();
    assert_eq!(out.to_float32().unwrap(), [0.0, 0.0]);
    let gradient = out.sum(&[], false).unwrap().backward().unwrap().take(&leaf).unwrap();
    assert_eq!(gradient.to_float32().unwrap(), [0.0; 6]);
}

#[test]
fn no_rows_give_no_results() {
    let logits = full(&[0, 3], 0.0, Dtype::Float32, &Device::flex()).unwrap();
    assert_eq!(fused::entropy(&logits).unwrap().shape(), [0]);
    assert_eq!(fused::token_log_probs(&logits, &i(&[], &[0]), IGNORE).unwrap().shape(), [0]);
}
