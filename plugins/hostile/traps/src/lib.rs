//! Attack, or accident: a panic. Answered by its own message and the line it came from.

use retune_sdk::{Batch, Loss, LossOutput, Progress, Result};

/// The plugin.
pub struct Hostile;

impl Loss for Hostile {
    type Config = ();

    fn new((): (), _seed: u64) -> Result<Self> {
        Ok(Self)
    }

    fn compute(&mut self, batch: &Batch, _at: Progress) -> Result<LossOutput> {
        let labels = batch.require("labels")?;
        let weights = [0.5, 2.0];
        let weight = weight_of(&weights, labels.numel() as usize);
        let sum = batch.require("logits")?.mul_scalar(weight).sum(&[], false);
        Ok(LossOutput::new(sum, labels.sum(&[], false)))
    }
}

#[inline(never)]
fn weight_of(weights: &[f64], class: usize) -> f64 {
    match weights.get(class) {
        Some(weight) => *weight,
        #[allow(clippy::panic, reason = "the attack")]
        None => panic!("no weight for class {class}, there are {}", weights.len()),
    }
}

retune_sdk::export!(loss: Hostile);
