//! Attack: takes one element after the other out of a large tensor. Each is made at once; its gradient is as large as the tensor.
//! Answered by charging for the backward pass as well.
//! Config: {"elements": 4000000, "pieces": 5000}
//! Limits: {"deadline_ms": 3000}

use retune_sdk::tensor::{from_int64, full};
use retune_sdk::{Batch, Dtype, Loss, LossOutput, Progress, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// The settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Elements of the tensor.
    elements: u32,
    /// How many of them are taken.
    pieces: u32,
}

/// The plugin.
pub struct Hostile {
    config: Config,
}

impl Loss for Hostile {
    type Config = Config;

    fn new(config: Config, _seed: u64) -> Result<Self> {
        Ok(Self { config })
    }

    fn compute(&mut self, batch: &Batch, _at: Progress) -> Result<LossOutput> {
        let Config { elements, pieces } = self.config;
        let large = full(&[elements], 0.0, Dtype::Float32).add(&batch.require("logits")?.sum(&[], false));
        let first = from_int64(&[0], &[1]);
        let mut sum = large.gather(0, &first);
        for _ in 1..pieces {
            sum = sum.add(&large.gather(0, &first));
        }
        Ok(LossOutput::new(sum.sum(&[], false), full(&[], 1.0, Dtype::Float32)))
    }
}

retune_sdk::export!(loss: Hostile);
