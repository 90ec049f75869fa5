//! Attack: broadcasts a column against a row of a million each. Answered before memory is taken.
//! Limits: {"deadline_ms": 600000}

use retune_sdk::{Batch, Loss, LossOutput, Progress, Result, tensor::arange};

/// The plugin.
pub struct Hostile;

impl Loss for Hostile {
    type Config = ();

    fn new((): (), _seed: u64) -> Result<Self> {
        Ok(Self)
    }

    fn compute(&mut self, batch: &Batch, _at: Progress) -> Result<LossOutput> {
        let logits = batch.require("logits")?;
        let column = arange(0, 1 << 20, 1).unsqueeze(1);
        let square = &column + &column.transpose(0, 1);
        Ok(LossOutput::new(logits.sum(&[], false), square.sum(&[], false)))
    }
}

retune_sdk::export!(loss: Hostile);
