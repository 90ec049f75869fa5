//! A training objective.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Batch, Input, Progress, Result, Tensor};

/// What a loss gives for one micro-batch: two sums.
///
/// The host adds both up over the micro-batches and workers of an optimiser
/// step and divides once, so that neither changes the result.
#[derive(Debug)]
pub struct LossOutput {
    /// Sum of the losses of all items, shape `[]`; gradients start here.
    pub numerator: Tensor,
    /// What to divide by, shape `[]`: usually the number of items.
    pub denominator: Tensor,
    /// Further numbers for the log.
    pub reported: Vec<Reported>,
}

impl LossOutput {
    /// `numerator / denominator`, and nothing more to report.
    pub fn new(numerator: Tensor, denominator: Tensor) -> Self {
        Self { numerator, denominator, reported: Vec::new() }
    }

    /// Logs `sum / count` under `name`; both of shape `[]`.
    #[must_use]
    pub fn report(mut self, name: impl Into<String>, sum: Tensor, count: Tensor) -> Self {
        self.reported.push(Reported { name: name.into(), sum, count });
        self
    }
}

/// A number for the log: `sum / count` over the step.
#[derive(Debug)]
pub struct Reported {
    /// Its name in the event log.
    pub name: String,
    /// Shape `[]`.
    pub sum: Tensor,
    /// Shape `[]`.
    pub count: Tensor,
}

/// A training objective. Compose tensor operations; the host differentiates.
pub trait Loss: Sized {
    /// The settings in the recipe; `()` for none.
    type Config: DeserializeOwned + JsonSchema;

    /// Makes the loss, once per run. Tensors made here stay for the whole run.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    fn new(config: Self::Config, seed: u64) -> Result<Self>;

    /// The tensors [`Loss::compute`] asks for: `logits` and `labels` unless you say otherwise.
    fn wants(&self) -> Vec<Input> {
        vec![Input::required("logits"), Input::required("labels")]
    }

    /// Called once for each micro-batch, in training and in validation.
    ///
    /// # Errors
    /// When the batch is not what this loss is for.
    fn compute(&mut self, batch: &Batch, at: Progress) -> Result<LossOutput>;
}
