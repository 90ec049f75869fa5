//! The section `training`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

/// How long, how fast.
#[derive(Clone, Debug, SmartDefault, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// Passes over the training set.
    #[schemars(range(min = 1), extend("x-default" = "3; with `max_steps`, as many as it takes"))]
    pub epochs: Option<u32>,
    /// Stops after so many optimiser steps, and plans the schedule for them; `epochs` may end the run before.
    #[schemars(range(min = 1))]
    pub max_steps: Option<u64>,
    /// Rows per micro-batch; sequences where rows are packed.
    #[default(16)]
    #[schemars(range(min = 1))]
    pub batch_size: u64,
    /// Micro-batches per optimiser step; exact for rows of any length.
    #[default(1)]
    #[schemars(range(min = 1))]
    pub gradient_accumulation_steps: u64,
    /// Whether the rows of a step are drawn from rows of about the same length, for less padding.
    pub group_by_length: bool,
    /// Whether each block is computed again in the backward pass in place of keeping what is inside it: less memory, more time,
    /// the same results.
    pub gradient_checkpointing: bool,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// How the learning rate moves.
    pub lr_scheduler: LrScheduler,
    /// Clips the global gradient norm; 0 turns clipping off.
    #[default(1.0)]
    #[schemars(range(min = 0))]
    pub max_grad_norm: f64,
    /// Whether the config's dropout applies in training.
    #[default(true)]
    pub dropout: bool,
    /// When to save, how many to keep.
    pub checkpoint: Checkpoint,
    /// Steps between two entries of the event log; more than 1 spares a GPU the wait.
    #[default(1)]
    #[schemars(range(min = 1))]
    pub logging_steps: u64,
}

/// The optimiser.
#[derive(Clone, Debug, SmartDefault, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Optimizer {
    /// AdamW, with decay on matrices only.
    pub name: OptimizerName,
    /// Peak learning rate.
    #[default(5e-5)]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub learning_rate: f64,
    /// Decoupled weight decay.
    #[default(0.01)]
    #[schemars(extend("minimum" = 0, "exclusiveMaximum" = 1))]
    pub weight_decay: f64,
    /// Decay of the first moment.
    #[default(0.9)]
    #[schemars(extend("minimum" = 0, "exclusiveMaximum" = 1))]
    pub beta1: f64,
    /// Decay of the second moment.
    #[default(0.999)]
    #[schemars(extend("minimum" = 0, "exclusiveMaximum" = 1))]
    pub beta2: f64,
    /// Added to the root of the second moment.
    #[default(1e-8)]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub epsilon: f64,
}

/// The optimisers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerName {
    /// Loshchilov and Hutter 2019.
    #[default]
    Adamw,
}

/// How the learning rate moves.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LrScheduler {
    /// Shape after warm-up.
    pub name: SchedulerName,
    /// Optimiser steps of warm-up.
    #[schemars(extend("x-default" = "or `warmup_ratio`"))]
    pub warmup_steps: Option<u64>,
    /// Warm-up as a share of all steps.
    #[schemars(range(min = 0, max = 1), extend("x-default" = "0.1"))]
    pub warmup_ratio: Option<f64>,
}

/// Shape of the learning rate after warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SchedulerName {
    /// Down to zero in a line.
    #[default]
    Linear,
    /// Half a cosine.
    Cosine,
    /// Stays.
    Constant,
}

/// When to save, how many to keep.
#[derive(Clone, Debug, SmartDefault, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Checkpoint {
    /// Optimiser steps between checkpoints.
    #[schemars(range(min = 1), extend("x-default" = "each epoch"))]
    pub every_steps: Option<u64>,
    /// How many checkpoints stay on disk.
    #[default(2)]
    #[schemars(range(min = 1))]
    pub keep: u64,
}
