//! Mistake: keeps a tensor of one call for the next. Answered by ending the call that uses or returns it; dropping it late is
//! harmless, and a tensor that `new` made may be kept.
//! Config: {"late": "use"}

use retune_sdk::tensor::full;
use retune_sdk::{Batch, Dtype, Loss, LossOutput, Progress, Result, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// What to do with the tensor of the call before.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Late {
    /// Drop it.
    Drop,
    /// Use it in an operation.
    Use,
    /// Return it as the numerator.
    Return,
}

/// The settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    late: Late,
}

/// The plugin.
pub struct Hostile {
    late: Late,
    one: Tensor,
    kept: Option<Tensor>,
}

impl Loss for Hostile {
    type Config = Config;

    fn new(Config { late }: Config, _seed: u64) -> Result<Self> {
        Ok(Self { late, one: full(&[], 1.0, Dtype::Float32), kept: None })
    }

    fn compute(&mut self, batch: &Batch, _at: Progress) -> Result<LossOutput> {
        let logits = batch.require("logits")?;
        let sum = logits.sum(&[], false) * &self.one;
        let count = full(&[], f64::from(logits.shape()[0]), Dtype::Float32);
        let kept = self.kept.replace(sum.mul_scalar(1.0));
        let numerator = match (kept, &self.late) {
            (None, _) | (Some(_), Late::Drop) => sum,
            (Some(old), Late::Use) => old + sum,
            (Some(old), Late::Return) => old,
        };
        Ok(LossOutput::new(numerator, count))
    }
}

retune_sdk::export!(loss: Hostile);
