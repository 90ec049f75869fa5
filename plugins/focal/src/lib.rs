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
//! `[batch, seq, vocab]` is never made.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

use retune_sdk::tensor::from_float32;
use retune_sdk::{Batch, Dtype, Error, IGNORE_INDEX, Loss, LossOutput, Progress, Result, Tensor, fused};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The smallest `1 - p` a power is taken of. Below it the factor is constant and
/// has no gradient: with γ < 1 that gradient is infinite at p = 1, and infinity
/// times the zero that follows it is NaN. One step of `float32` below 1 is 6e-8.
const LEAST_DISTANCE: f64 = 1e-7;

/// The settings of [`Focal`].
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
        if let Some((class, weight)) = alpha.iter().flatten().enumerate().find(|(_, w)| !(**w >= 0.0 && w.is_finite())) {
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
