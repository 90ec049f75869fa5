//! Mistake: the logarithm of a negative number. Answered by the training loop, which stops at the step.
//! Run: is NaN on rows

use retune_sdk::{Batch, Dtype, Loss, LossOutput, Progress, Result, tensor::full};

/// The plugin.
pub struct Hostile;

impl Loss for Hostile {
    type Config = ();

    fn new((): (), _seed: u64) -> Result<Self> {
        Ok(Self)
    }

    fn compute(&mut self, batch: &Batch, _at: Progress) -> Result<LossOutput> {
        let logits = batch.require("logits")?;
        let numerator = logits.abs().neg().add_scalar(-1.0).log().sum(&[], false);
        let count = batch.require("labels")?.numel() as f64;
        Ok(LossOutput::new(numerator, full(&[], count, Dtype::Float32)))
    }
}

retune_sdk::export!(loss: Hostile);
