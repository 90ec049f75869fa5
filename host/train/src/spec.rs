//! What to train and how: plain values, strict when read from a recipe.
//!
//! Every field has a documented default, and unknown keys are errors. Nothing
//! here touches tensors or files; [`TrainSpec::check`] refuses impossible values
//! with the name of the field, before anything is loaded.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    error::{TrainError, in_range},
    optimizer::schedule::LrScheduler,
};

/// One training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSpec {
    /// Seed for all randomness: data order, dropout, new weights. Default 42.
    pub seed: u64,
    /// Passes over the training set. Default 3.
    pub epochs: u32,
    /// Stop after so many optimiser steps, if the epochs do not end sooner.
    /// The schedule is stretched over the steps that are really taken. Default none.
    pub max_steps: Option<u64>,
    /// Rows in a micro-batch: one forward and one backward. Default 8.
    pub batch_size: usize,
    /// Micro-batches in an optimiser step. Default 1.
    pub gradient_accumulation_steps: usize,
    /// Draw the rows of a step from rows of about the same length. Default false.
    pub group_by_length: bool,
    /// Compute each block again in the backward pass in place of keeping its activations. Default false.
    pub gradient_checkpointing: bool,
    /// The optimiser.
    pub optimizer: AdamW,
    /// How the learning rate moves.
    pub lr_scheduler: LrScheduler,
    /// Gradients are scaled down to this global norm. Default 1.0; absent: no clipping.
    pub max_grad_norm: Option<f64>,
    /// Use the dropout that the model's configuration names. Default true.
    pub dropout: bool,
    /// Which parameters are trainable at the start.
    pub strategy: Strategy,
    /// When to look at the validation set, and what follows from it.
    pub evaluation: EvaluationSpec,
    /// What is written down, and how often.
    pub checkpoint: CheckpointSpec,
    /// A step event every so many optimiser steps. Default 1.
    pub logging_steps: u64,
    /// Names of the examples' further numeric columns, in their order; a loss
    /// asks for them as `column.<name>`. Default none.
    pub columns: Vec<String>,
}

impl Default for TrainSpec {
    fn default() -> Self {
        Self {
            seed: 42,
            epochs: 3,
            max_steps: None,
            batch_size: 8,
            gradient_accumulation_steps: 1,
            group_by_length: false,
            gradient_checkpointing: false,
            optimizer: AdamW::default(),
            lr_scheduler: LrScheduler::default(),
            max_grad_norm: Some(1.0),
            dropout: true,
            strategy: Strategy::default(),
            evaluation: EvaluationSpec::default(),
            checkpoint: CheckpointSpec::default(),
            logging_steps: 1,
            columns: Vec::new(),
        }
    }
}

/// Decoupled weight decay (Loshchilov and Hutter 2019), as `torch.optim.AdamW`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamW {
    /// Peak learning rate. Default 5e-5.
    pub learning_rate: f64,
    /// Decay of weights; biases and norms are spared. Default 0.01.
    pub weight_decay: f64,
    /// Memory of the mean of the gradient. Default 0.9.
    pub beta1: f64,
    /// Memory of the mean of its square. Default 0.999.
    pub beta2: f64,
    /// Added to the root of the second moment. Default 1e-8.
    pub epsilon: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { learning_rate: 5e-5, weight_decay: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// Which parameters learn from the start, and which begin anew.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Strategy {
    /// Globs over parameter names; what they select does not learn, whatever a policy says.
    pub freeze: Vec<String>,
    /// Only the top so many blocks learn, and what lies above them; 0 is the head alone. No policy lets
    /// anything below them learn. The output projection of a language model with tied embeddings lies below them and stays frozen.
    pub train_top_layers: Option<u32>,
    /// Parameters that get new weights before the first step.
    pub reinitialize: Vec<Reinitialize>,
}

/// New weights for the parameters a glob selects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reinitialize {
    /// A glob over parameter names.
    pub layers: String,
    /// How they are drawn.
    pub scheme: Scheme,
    /// Standard deviation of `normal`. Default 0.02; an error with other schemes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<f64>,
}

/// How new weights are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// All zero.
    Zeros,
    /// Normal with mean zero.
    Normal,
    /// He et al. 2015, uniform.
    KaimingUniform,
    /// Glorot and Bengio 2010, uniform.
    XavierUniform,
}

/// When to evaluate: `"epoch"`, `"never"` or `{ steps = 100 }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// At the end of each epoch.
    #[default]
    Epoch,
    /// Every so many optimiser steps, and at the end.
    Steps(u64),
    /// Not at all.
    Never,
}

/// When to look at the validation set, and what follows from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationSpec {
    /// Default `"epoch"`.
    pub every: Every,
    /// Rows in a batch. Default: that of training.
    pub batch_size: Option<usize>,
    /// Keep the weights that did best, and end with them. Default: end with the last.
    pub best: Option<Best>,
    /// End the run when the value stops getting better. Default none.
    pub early_stopping: Option<EarlyStopping>,
}

/// What "best" means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// A value of one of the metrics, or `loss`.
    pub metric: String,
    /// Which way is better. Default: as the metric says.
    #[serde(default)]
    pub mode: Option<Mode>,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Larger is better.
    Max,
    /// Smaller is better.
    Min,
}

/// End the run after `patience` evaluations that were not better than the best
/// one before by more than `min_delta`. Watches `best.metric`, or `loss`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Evaluations to wait.
    pub patience: u32,
    /// What counts as better. Default 0.
    #[serde(default)]
    pub min_delta: f64,
}

/// What is written down, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointSpec {
    /// Where. Default `checkpoints`.
    pub directory: PathBuf,
    /// Every so many optimiser steps. Default: at the end of each epoch.
    pub every_steps: Option<u64>,
    /// How many are kept. Default 2.
    pub keep: usize,
}

impl Default for CheckpointSpec {
    fn default() -> Self {
        Self { directory: PathBuf::from("checkpoints"), every_steps: None, keep: 2 }
    }
}

impl TrainSpec {
    /// Refuses values no run can have, with the name of the field.
    pub fn check(&self) -> Result<(), TrainError> {
        let at_least_one = [
            ("epochs", u64::from(self.epochs)),
            ("max_steps", self.max_steps.unwrap_or(1)),
            ("batch_size", self.batch_size as u64),
            ("gradient_accumulation_steps", self.gradient_accumulation_steps as u64),
            ("logging_steps", self.logging_steps),
            ("evaluation.batch_size", self.evaluation.batch_size.unwrap_or(1) as u64),
            ("evaluation.early_stopping.patience", self.evaluation.early_stopping.map_or(1, |e| u64::from(e.patience))),
            ("checkpoint.every_steps", self.checkpoint.every_steps.unwrap_or(1)),
            ("checkpoint.keep", self.checkpoint.keep as u64),
            ("evaluation.every.steps", if let Every::Steps(n) = self.evaluation.every { n } else { 1 }),
        ];
        for (field, value) in at_least_one {
            if value == 0 {
                return Err(TrainError::field(field, "0 is not possible; give a whole number of at least 1"));
            }
        }
        self.optimizer.check()?;
        self.lr_scheduler.check()?;
        if let Some(norm) = self.max_grad_norm {
            in_range("max_grad_norm", norm, norm > 0.0, "a number above 0, or leave it out for no clipping")?;
        }
        if let Some(stop) = self.evaluation.early_stopping {
            in_range(
                "evaluation.early_stopping.min_delta",
                stop.min_delta,
                stop.min_delta >= 0.0,
                "a number of at least 0",
            )?;
        }
        for new in &self.strategy.reinitialize {
            match (new.scheme, new.std) {
                (Scheme::Normal, Some(std)) => {
                    in_range("strategy.reinitialize.std", std, std > 0.0, "a number above 0")?
                }
                (Scheme::Normal, None) | (_, None) => {}
                (_, Some(_)) => {
                    return Err(TrainError::field(
                        "strategy.reinitialize.std",
                        "only the scheme `normal` has a standard deviation",
                    ));
                }
            }
        }
        if self.evaluation.every == Every::Never {
            if self.evaluation.best.is_some() {
                return Err(TrainError::field(
                    "evaluation.best",
                    "nothing is ever evaluated; set evaluation.every to \"epoch\" or { steps = n }",
                ));
            }
            if self.evaluation.early_stopping.is_some() {
                let problem = "nothing is ever evaluated; set evaluation.every to \"epoch\" or { steps = n }";
                return Err(TrainError::field("evaluation.early_stopping", problem));
            }
        }
        Ok(())
    }

    /// Rows of one worker in an optimiser step.
    pub fn window(&self) -> usize {
        self.batch_size * self.gradient_accumulation_steps
    }
}

impl AdamW {
    fn check(&self) -> Result<(), TrainError> {
        let unit = |beta: f64| (0.0..1.0).contains(&beta);
        in_range(
            "optimizer.learning_rate",
            self.learning_rate,
            self.learning_rate > 0.0,
            "a number above 0, such as 2e-5",
        )?;
        in_range("optimizer.weight_decay", self.weight_decay, self.weight_decay >= 0.0, "a number of at least 0")?;
        in_range("optimizer.beta1", self.beta1, unit(self.beta1), "a number from 0 to below 1")?;
        in_range("optimizer.beta2", self.beta2, unit(self.beta2), "a number from 0 to below 1")?;
        in_range("optimizer.epsilon", self.epsilon, self.epsilon > 0.0, "a number above 0")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_optimiser_defaults_to_pytorchs_constants() {
        let adamw = AdamW::default();
        assert_eq!((adamw.weight_decay, adamw.beta1, adamw.beta2, adamw.epsilon), (0.01, 0.9, 0.999, 1e-8));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_lists_the_known_ones() {
        let error = serde_json::from_str::<TrainSpec>(r#"{"bach_size": 3}"#).unwrap_err().to_string();
        assert!(error.contains("bach_size") && error.contains("batch_size"), "{error}");
    }

    #[test]
    fn evaluation_every_reads_as_a_recipe_writes_it() {
        let read = |json: &str| serde_json::from_str::<Every>(json).unwrap();
        assert_eq!(read("\"epoch\""), Every::Epoch);
        assert_eq!(read("\"never\""), Every::Never);
        assert_eq!(read("{\"steps\": 7}"), Every::Steps(7));
    }

    #[test]
    fn impossible_values_are_refused_by_the_name_of_their_field() {
        type Spoil = fn(&mut TrainSpec);
        let cases: [(&str, Spoil); 9] = [
            ("epochs", |s| s.epochs = 0),
            ("batch_size", |s| s.batch_size = 0),
            ("optimizer.learning_rate", |s| s.optimizer.learning_rate = -1.0),
            ("optimizer.beta2", |s| s.optimizer.beta2 = 1.0),
            ("optimizer.epsilon", |s| s.optimizer.epsilon = f64::NAN),
            ("max_grad_norm", |s| s.max_grad_norm = Some(0.0)),
            ("lr_scheduler.warmup_ratio", |s| s.lr_scheduler.warmup_ratio = Some(1.5)),
            ("evaluation.best", |s| {
                s.evaluation.every = Every::Never;
                s.evaluation.best = Some(Best { metric: "loss".into(), mode: None });
            }),
            ("strategy.reinitialize.std", |s| {
                s.strategy.reinitialize.push(Reinitialize {
                    layers: "**".into(),
                    scheme: Scheme::Zeros,
                    std: Some(1.0),
                });
            }),
        ];
        for (field, spoil) in cases {
            let mut spec = TrainSpec::default();
            spec.check().unwrap();
            spoil(&mut spec);
            let error = spec.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{field}:")), "{error}");
        }
    }
}
