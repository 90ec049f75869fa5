//! Attack: a call that never returns. Answered by the deadline.

use retune_sdk::{Batch, Loss, LossOutput, Progress, Result};

/// The plugin.
pub struct Hostile;

impl Loss for Hostile {
    type Config = ();

    fn new((): (), _seed: u64) -> Result<Self> {
        Ok(Self)
    }

    fn compute(&mut self, batch: &Batch, _at: Progress) -> Result<LossOutput> {
        let mut state = batch.require("labels")?.numel() | 1;
        while state != 0 {
            state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005) | 1);
        }
        let sum = batch.require("logits")?.sum(&[], false);
        Ok(LossOutput::new(sum, batch.require("labels")?.sum(&[], false)))
    }
}

retune_sdk::export!(loss: Hostile);
