//! Attack: tensors that are made and never dropped. Answered by the limit on handles.

use retune_sdk::{Batch, Loss, LossOutput, Progress, Result};

/// The plugin.
pub struct Hostile;

impl Loss for Hostile {
    type Config = ();

    fn new((): (), _seed: u64) -> Result<Self> {
        Ok(Self)
    }

    fn compute(&mut self, batch: &Batch, _at: Progress) -> Result<LossOutput> {
        let logits = batch.require("logits")?;
        loop {
            std::mem::forget(logits.sum(&[], false));
        }
    }
}

retune_sdk::export!(loss: Hostile);
