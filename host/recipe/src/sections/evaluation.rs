//! The section `evaluation`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::role::RoleRef;

/// How good it is, and when to stop.
#[derive(Clone, Debug, SmartDefault, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluation {
    /// When to evaluate on the validation set.
    #[schemars(extend(
        "x-kind" = "\"epoch\" | \"never\" | { steps = N }",
        "x-default" = "epoch; never without a validation set",
        "x-write" = "every = \"epoch\" or every = { steps = 100 }"
    ))]
    pub every: Every,
    /// Rows per evaluation batch.
    #[default(32)]
    #[schemars(range(min = 1))]
    pub batch_size: u64,
    /// What to measure. A value that an earlier metric gives too is called `metric.value`; of the second metric of one
    /// name, `metric-2.value`.
    #[schemars(extend("x-default" = "[\"accuracy\"]; for causal-lm [\"perplexity\"], for masked-lm both, for token-classification [\"seqeval\"]"))]
    pub metrics: Vec<RoleRef>,
    /// Which evaluation chooses the model.
    #[schemars(extend("x-default" = "lowest validation loss"))]
    pub best: Option<Best>,
    /// Ends the run when the best no longer improves.
    pub early_stopping: Option<EarlyStopping>,
}

/// When to evaluate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Every {
    /// After each epoch.
    #[default]
    Epoch,
    /// Only at the end.
    Never,
    /// Optimiser steps between evaluations.
    Steps(#[schemars(range(min = 1), extend("x-write" = "every = { steps = 100 }"))] u64),
}

/// Which evaluation chooses the model.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Best {
    /// A value of one of the metrics, or `loss`.
    #[schemars(extend("x-required" = true, "x-write" = "best = { metric = \"accuracy\" }"))]
    pub metric: String,
    /// Which way is better.
    #[schemars(extend("x-default" = "what the metric says"))]
    pub mode: Option<Mode>,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Lower.
    Min,
    /// Higher.
    Max,
}

/// When to stop.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    /// Evaluations without improvement before the run ends.
    #[schemars(range(min = 1), extend("x-required" = true, "x-write" = "early_stopping = { patience = 3 }"))]
    pub patience: u64,
    /// What counts as an improvement.
    #[schemars(range(min = 0))]
    pub min_delta: f64,
}
