//! Focal loss (Lin, Goyal, Girshick, He and Dollár 2017, "Focal Loss for Dense
//! Object Detection", eq. 5):
//!
//! ```text
//! FL(p) = -α (1 - p)^γ log p
//! ```
//!
//! `p` is the probability the model gives the true class. Rows it already gets
//! right count less, the more so the larger γ is; with γ = 0 and no α this is
//! cross-entropy. Works on `logits [batch, classes]` with `labels [batch]` and on
//! `logits [batch, seq, vocab]` with `labels [batch, seq]`; a label of -100 carries
//! no loss. The sum is divided by the number of labels, as the mean of
//! cross-entropy is, so that losses stay comparable between α and without.
//!
//! Price: one `token-log-probs` and a handful of operations of the shape of `labels`;
//! no second tensor of the size of the logits is made.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

use retune_sdk::tensor::from_float32;
use retune_sdk::{Batch, Dtype, Error, IGNORE_INDEX, Loss, LossOutput, Progress, Result, Tensor, fused};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The smallest `1 - p` a power is taken of. Below it the factor is constant and
/// has no gradient: with γ < 1 that gradient is infinite at p = 1, and infinity
/// times the zero that follows it is NaN. One step of `float32` below 1 is 6e-8.
const LEAST_DISTANCE: f64 = 1e-7;

/// Focal loss: rows that the model already gets right count less.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How much less easy rows count; 0 is cross-entropy.
    #[schemars(range(min = 0))]
    pub gamma: f64,
    /// A weight for each class, in the order of the label set.
    #[schemars(inner(range(min = 0)), length(min = 1))]
    pub alpha: Option<Vec<f64>>,
}

impl Default for Config {
    fn default() -> Self {
        Self { gamma: 2.0, alpha: None }
    }
}

/// Focal loss.
pub struct Focal {
    gamma: f64,
    /// `[classes]`.
    alpha: Option<Tensor>,
}

impl Loss for Focal {
    type Config = Config;

    fn new(Config { gamma, alpha }: Config, _seed: u64) -> Result<Self> {
        if !(gamma >= 0.0 && gamma.is_finite()) {
            return Err(Error::config(format!("gamma must be a finite number of at least 0, it is {gamma}")));
        }
        if let Some((class, weight)) = alpha.iter().flatten().enumerate().find(|(_, w)| !(**w >= 0.0 && w.is_finite()))
        {
            return Err(Error::config(format!("alpha[{class}] must be a finite number of at least 0, it is {weight}")));
        }
        let alpha = alpha.map(|weights| {
            let weights: Vec<f32> = weights.into_iter().map(|w| w as f32).collect();
            from_float32(&weights, &[weights.len() as u32])
        });
        Ok(Self { gamma, alpha })
    }

    fn compute(&mut self, batch: &Batch, _at: Progress) -> Result<LossOutput> {
        let (logits, labels) = (batch.require("logits")?, batch.require("labels")?);
        let log_p = fused::token_log_probs(&logits, &labels, IGNORE_INDEX);
        let ignored = labels.eq_scalar(IGNORE_INDEX as f64);
        let count = ignored.logical_not().cast(Dtype::Float32).sum(&[], false);

        // Ignored positions have log_p = 0, so that their loss is zero whatever the factors are.
        let mut loss = -&log_p;
        if self.gamma > 0.0 {
            let distance = (1.0 - log_p.exp()).clamp(Some(LEAST_DISTANCE), None);
            loss = distance.pow_scalar(self.gamma) * loss;
        }
        if let Some(alpha) = &self.alpha {
            loss = loss * weights(alpha, &logits, &labels.masked_fill(&ignored, 0.0))?;
        }
        Ok(LossOutput::new(loss.sum(&[], false), count))
    }
}

/// The weight of each label, in the shape of `labels`.
fn weights(alpha: &Tensor, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let (given, classes) = (alpha.numel(), logits.shape().last().copied().unwrap_or_default());
    if given != u64::from(classes) {
        return Err(Error::input(format!("alpha has {given} weights and the model {classes} classes")));
    }
    let shape: Vec<i32> = labels.shape().iter().map(|size| *size as i32).collect();
    Ok(alpha.index_select(0, &labels.reshape(&[labels.numel() as i32])).reshape(&shape))
}

retune_sdk::export!(loss: Focal);

#[cfg(test)]
mod tests {
    use super::*;
    use retune_sdk::testing::{BatchBuilder, batch};

    const LOGITS: [f64; 6] = [2.0, -1.0, 0.5, 0.3, 0.7, -2.0];

    fn two_rows(logits: &[f64]) -> BatchBuilder {
        batch().doubles("logits", &[2, 3], logits).ints("labels", &[2], &[0, 2])
    }

    fn compute(gamma: f64, alpha: Option<Vec<f64>>, batch: BatchBuilder) -> (f64, f64) {
        let mut focal = Focal::new(Config { gamma, alpha }, 0).unwrap();
        let output = focal.compute(&batch.build(), Progress::START).unwrap();
        (output.numerator.item().unwrap(), output.denominator.item().unwrap())
    }

    fn softmax(row: &[f64]) -> Vec<f64> {
        let total: f64 = row.iter().map(|x| x.exp()).sum();
        row.iter().map(|x| x.exp() / total).collect()
    }

    #[test]
    fn it_gives_the_numbers_of_its_formula_in_torch() {
        // -((1 - p)**gamma * log p).sum() with float64 log_softmax.
        let (plain, count) = compute(2.0, None, two_rows(&LOGITS));
        assert!((plain - 3.0168175549962606).abs() < 1e-9, "{plain}");
        assert_eq!(count, 2.0);
        let (weighted, count) = compute(0.5, Some(vec![0.5, 1.0, 2.0]), two_rows(&LOGITS));
        assert!((weighted - 6.43374990025542).abs() < 1e-9, "{weighted}");
        assert_eq!(count, 2.0, "alpha does not change what the sum is divided by");
    }

    #[test]
    fn gamma_zero_is_cross_entropy() {
        let expected: f64 = -softmax(&LOGITS[..3])[0].ln() - softmax(&LOGITS[3..])[2].ln();
        let (loss, _) = compute(0.0, None, two_rows(&LOGITS));
        assert!((loss - expected).abs() < 1e-12, "{loss} is not {expected}");
    }

    /// Appendix B of the paper, for the softmax: with t the true class,
    /// dFL/dz_k = (γ (1-p)^(γ-1) p log p - (1-p)^γ) (δ_kt - p_k).
    #[test]
    fn its_slope_is_the_papers_gradient() {
        for gamma in [0.0, 0.5, 1.0, 2.0, 5.0] {
            let p = softmax(&LOGITS[..3]);
            let (pt, h) = (p[0], 1e-6);
            let factor = gamma * (1.0 - pt).powf(gamma - 1.0) * pt * pt.ln() - (1.0 - pt).powf(gamma);
            for k in 0..3 {
                let moved = |by: f64| {
                    let mut logits = LOGITS;
                    logits[k] += by;
                    compute(gamma, None, two_rows(&logits)).0
                };
                let slope = (moved(h) - moved(-h)) / (2.0 * h);
                let expected = factor * (f64::from(u8::from(k == 0)) - p[k]);
                assert!((slope - expected).abs() < 1e-8, "γ {gamma}, logit {k}: {slope} is not {expected}");
            }
        }
    }

    #[test]
    fn a_row_that_is_certain_costs_nothing_and_is_a_number() {
        let certain = batch().floats("logits", &[1, 2], &[200.0, 0.0]).ints("labels", &[1], &[0]);
        let (loss, _) = compute(0.5, None, certain);
        assert_eq!(loss, 0.0);
    }

    #[test]
    fn tokens_are_rows_and_ignored_ones_cost_nothing() {
        let alpha = Some(vec![0.5, 1.0, 2.0]);
        let tokens = batch().doubles("logits", &[1, 2, 3], &LOGITS).ints("labels", &[1, 2], &[-100, 2]);
        let row = batch().doubles("logits", &[1, 3], &LOGITS[3..]).ints("labels", &[1], &[2]);
        let tokens = compute(2.0, alpha.clone(), tokens);
        assert_eq!(tokens, compute(2.0, alpha, row));
        assert_eq!(tokens.1, 1.0);
    }

    #[test]
    fn weights_that_do_not_fit_the_model_are_refused() {
        let mut focal = Focal::new(Config { gamma: 2.0, alpha: Some(vec![1.0, 2.0]) }, 0).unwrap();
        let error = focal.compute(&two_rows(&LOGITS).build(), Progress::START).unwrap_err();
        assert_eq!(error.message, "alpha has 2 weights and the model 3 classes");
    }

    #[test]
    fn settings_that_make_no_loss_are_refused() {
        assert!(Focal::new(Config { gamma: -1.0, alpha: None }, 0).is_err());
        assert!(Focal::new(Config { gamma: f64::NAN, alpha: None }, 0).is_err());
        assert!(Focal::new(Config { gamma: 1.0, alpha: Some(vec![-1.0]) }, 0).is_err());
    }
}
