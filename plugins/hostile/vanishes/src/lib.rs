//! Mistake: a loss times zero. Every number is right, and nothing is learnt. Answered by a warning after the first steps.
//! Run: was exactly zero everywhere in the first 3 steps, so nothing is learnt from it

use retune_sdk::{Batch, Dtype, Loss, LossOutput, Progress, Result, tensor::full};

/// The plugin.
pub struct Hostile;

impl Loss for Hostile {
    type Config = ();

    fn new((): (), _seed: u64) -> Result<Self> {
        Ok(Self)
    }

    fn compute(&mut self, batch: &Batch, _at: Progress) -> Result<LossOutput> {
        let numerator = batch.require("logits")?.sum(&[], false).mul_scalar(0.0);
        let count = batch.require("labels")?.numel() as f64;
        Ok(LossOutput::new(numerator, full(&[], count, Dtype::Float32)))
    }
}

retune_sdk::export!(loss: Hostile);
