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
    /// How rows are answered for metrics that read what the model writes (causal-lm): exact-match, bleu, rouge,
    /// gsm8k-answer, and plugins that export `text-metric`.
    #[schemars(extend(
        "x-default" = "{} where a metric reads texts",
        "x-write" = "generate = { max_new_tokens = 256, rows = 100 }"
    ))]
    pub generate: Option<Generate>,
    /// Which evaluation chooses the model.
    #[schemars(extend("x-default" = "lowest validation loss"))]
    pub best: Option<Best>,
    /// Ends the run when the best no longer improves.
    pub early_stopping: Option<EarlyStopping>,
}

/// How rows of an evaluation set are answered: a conversation up to its last assistant turn, a prompt up to its completion.
#[derive(Clone, Debug, PartialEq, SmartDefault, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Generate {
    /// The most rows that are answered, drawn by the seed; the same at every evaluation.
    #[default(100)]
    #[schemars(range(min = 1))]
    pub rows: u64,
    /// The most tokens of an answer; an end token of the model or of the chat template ends it sooner.
    #[default(256)]
    #[schemars(range(min = 1))]
    pub max_new_tokens: u64,
    /// Answers that are written at the same time.
    #[default(16)]
    #[schemars(range(min = 1))]
    pub batch_size: u64,
    /// Draws tokens from logits divided by this.
    #[schemars(extend("x-default" = "the most probable token", "exclusiveMinimum" = 0))]
    pub temperature: Option<f64>,
    /// Draws among the so many most probable tokens.
    #[schemars(range(min = 1), extend("x-default" = "all"))]
    pub top_k: Option<u64>,
    /// Draws among the most probable tokens that together reach this probability.
    #[schemars(range(max = 1), extend("x-default" = "all", "exclusiveMinimum" = 0))]
    pub top_p: Option<f64>,
    /// Draws among tokens at least so probable, as a share of the most probable one.
    #[schemars(range(min = 0, max = 1), extend("x-default" = "all"))]
    pub min_p: Option<f64>,
    /// Logits of tokens that stand in the prompt or the answer are divided by it where they are positive, else multiplied by it: above 1
    /// they become less probable.
    #[default(1.0)]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub repetition_penalty: f64,
    /// Texts that end an answer; what is compared stops before the first of them.
    #[schemars(extend(
        "x-default" = "those of the model's generation_config.json",
        "x-write" = "stop_strings = [\"\\n\\n\"]"
    ))]
    pub stop_strings: Option<Vec<String>>,
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
