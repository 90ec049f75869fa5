//! Attack: makes booleans that its quota allows, and casts them to a type eight times as wide. Answered before
//! memory is taken.

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
        let yes = full(&[12 << 20], 1.0, Dtype::Boolean);
        Ok(LossOutput::new(logits.sum(&[], false), yes.cast(Dtype::Float64).sum(&[], false)))
    }
}

retune_sdk::export!(loss: Hostile);
