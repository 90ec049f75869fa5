//! Cross-entropy with label smoothing (Szegedy et al. 2016, "Rethinking the
//! Inception Architecture", section 7; the definition of PyTorch's `CrossEntropyLoss`):
//!
//! ```text
//! LS = (1 - ε) · -log p[label]  +  ε · mean over all K classes of -log p[k]
//! ```
//!
//! The target is a mixture of the label and the uniform distribution, so the model is
//! not driven to certainty. Works on `logits [batch, classes]` with `labels [batch]` and
//! on `logits [batch, seq, vocab]` with `labels [batch, seq]`; a label of -100 carries no loss.
//! With ε = 0 this is cross-entropy.
//!
//! Price: two scores of each row, each with three numbers kept for the backward pass; over the lazy logits of a
//! language model the head runs once for each.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

use retune_sdk::{Batch, Dtype, Error, IGNORE_INDEX, Loss, LossOutput, Progress, Result, fused};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Cross-entropy against a target that leaves some doubt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The share of the target spread over all classes, from 0 to below 1.
    #[schemars(extend("minimum" = 0, "exclusiveMaximum" = 1))]
    pub smoothing: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { smoothing: 0.1 }
    }
}

/// Cross-entropy with label smoothing.
pub struct LabelSmoothing {
    smoothing: f64,
}

impl Loss for LabelSmoothing {
    type Config = Config;

    fn new(Config { smoothing }: Config, _seed: u64) -> Result<Self> {
        match (0.0..1.0).contains(&smoothing) {
            true => Ok(Self { smoothing }),
            false => Err(Error::config(format!("smoothing must be at least 0 and below 1, it is {smoothing}"))),
        }
    }

    fn compute(&mut self, batch: &Batch, _at: Progress) -> Result<LossOutput> {
        let (logits, labels) = (batch.require("logits")?, batch.require("labels")?);
        let ignored = labels.eq_scalar(IGNORE_INDEX as f64);
        let count = ignored.logical_not().cast(Dtype::Float32).sum(&[], false);

        let nll = -fused::token_log_probs(&logits, &labels, IGNORE_INDEX).sum(&[], false);
        if self.smoothing == 0.0 {
            return Ok(LossOutput::new(nll, count));
        }
        let spread = -fused::mean_log_probs(&logits).masked_fill(&ignored, 0.0).sum(&[], false);
        let reported = nll.detach();
        let numerator = nll * (1.0 - self.smoothing) + spread * self.smoothing;
        // What the loss would be without smoothing: the number to compare with other runs.
        Ok(LossOutput::new(numerator, count.detach()).report("cross_entropy", reported, count))
    }
}

retune_sdk::export!(loss: LabelSmoothing);

#[cfg(test)]
mod tests {
    use super::*;
    use retune_sdk::testing::batch;

    const LOGITS: [f64; 6] = [2.0, -1.0, 0.5, 0.3, 0.7, -2.0];

    fn log_softmax(row: &[f64]) -> Vec<f64> {
        let total = row.iter().map(|x| x.exp()).sum::<f64>().ln();
        row.iter().map(|x| x - total).collect()
    }

    fn loss(smoothing: f64, logits: &[f64], shape: &[u32], labels: &[i64], label_shape: &[u32]) -> (f64, f64) {
        let mut loss = LabelSmoothing::new(Config { smoothing }, 0).unwrap();
        let batch = batch().doubles("logits", shape, logits).ints("labels", label_shape, labels).build();
        let output = loss.compute(&batch, Progress::START).unwrap();
        (output.numerator.item().unwrap(), output.denominator.item().unwrap())
    }

    /// Cross-entropy against the mixed target distribution, written out.
    fn reference(smoothing: f64, row: &[f64], label: usize) -> f64 {
        let k = row.len() as f64;
        let target = |i| smoothing / k + if i == label { 1.0 - smoothing } else { 0.0 };
        log_softmax(row).iter().enumerate().map(|(i, log_p)| -target(i) * log_p).sum()
    }

    #[test]
    fn it_is_cross_entropy_against_the_mixed_target() {
        for smoothing in [0.0, 0.1, 0.5, 0.99] {
            let expected = reference(smoothing, &LOGITS[..3], 0) + reference(smoothing, &LOGITS[3..], 2);
            let (numerator, denominator) = loss(smoothing, &LOGITS, &[2, 3], &[0, 2], &[2]);
            assert!((numerator - expected).abs() < 1e-12, "{smoothing}: {numerator} is not {expected}");
            assert_eq!(denominator, 2.0);
        }
    }

    #[test]
    fn it_gives_the_number_that_torch_gives() {
        // torch.nn.functional.cross_entropy(x, y, label_smoothing=0.1, reduction="sum"), float64.
        let (numerator, _) = loss(0.1, &LOGITS, &[2, 3], &[0, 2], &[2]);
        assert!((numerator - 3.4771066384256635).abs() < 1e-9, "{numerator}");
    }

    #[test]
    fn tokens_are_rows_and_ignored_ones_cost_nothing() {
        let rows = loss(0.1, &LOGITS[..3], &[1, 3], &[1], &[1]);
        let tokens = loss(0.1, &LOGITS, &[1, 2, 3], &[1, -100], &[1, 2]);
        assert_eq!(tokens, rows);
        assert_eq!(tokens.1, 1.0);
    }

    #[test]
    fn the_unsmoothed_loss_is_reported() {
        let mut loss = LabelSmoothing::new(Config { smoothing: 0.2 }, 0).unwrap();
        let batch = batch().doubles("logits", &[2, 3], &LOGITS).ints("labels", &[2], &[0, 2]).build();
        let output = loss.compute(&batch, Progress::START).unwrap();
        let reported = &output.reported[0];
        let expected = reference(0.0, &LOGITS[..3], 0) + reference(0.0, &LOGITS[3..], 2);
        assert_eq!(reported.name, "cross_entropy");
        assert!((reported.sum.item().unwrap() - expected).abs() < 1e-12);
        assert_eq!(reported.count.item().unwrap(), 2.0);
    }

    #[test]
    fn a_share_outside_its_bounds_is_refused() {
        for smoothing in [-0.1, 1.0, f64::NAN] {
            assert!(LabelSmoothing::new(Config { smoothing }, 0).is_err(), "{smoothing}");
        }
    }
}
