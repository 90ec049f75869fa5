//! Mistake: the losses of the rows in place of their sum. Answered by the shape that was expected.

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
        let rows = logits.log_sum_exp(&[-1], false); // [batch]
        let count = batch.require("labels")?.numel() as f64;
        Ok(LossOutput::new(rows, full(&[], count, Dtype::Float32)))
    }
}

retune_sdk::export!(loss: Hostile);
