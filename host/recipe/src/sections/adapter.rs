//! The section `adapter`: its keys have the names they have in `peft`'s `LoraConfig`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::globs::Globs;
use super::kinds::Folder;

/// Trains small matrices beside the base model, which stays as it is.
#[derive(Clone, Debug, SmartDefault, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adapter {
    /// What is computed.
    pub method: AdapterMethod,
    /// Rank of the matrices.
    #[default(8)]
    #[schemars(range(min = 1))]
    pub r: u64,
    /// The adapter's part is multiplied by `lora_alpha` / `r`.
    #[default(8.0)]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lora_alpha: f64,
    /// Multiplies by `lora_alpha` / sqrt(`r`) instead (rsLoRA).
    pub use_rslora: bool,
    /// Probability with which a value that the adapter reads drops out.
    #[schemars(extend("minimum" = 0, "exclusiveMaximum" = 1))]
    pub lora_dropout: f64,
    /// Where it sits: modules by name, last segments or glob; all-linear: every linear layer but the output head.
    #[schemars(extend("x-default" = "all-linear"))]
    pub target_modules: Globs,
    /// Other ranks for some modules: { down_proj = 4 }; of several that match, the longest counts.
    #[schemars(extend("x-default" = "{}", "x-kind" = "table of ranks", "x-write" = "rank_pattern = { down_proj = 4 }"))]
    pub rank_pattern: BTreeMap<String, u64>,
    /// Other values of `lora_alpha` for some modules.
    #[schemars(extend("x-default" = "{}", "x-kind" = "table of numbers", "x-write" = "alpha_pattern = { down_proj = 16 }"))]
    pub alpha_pattern: BTreeMap<String, f64>,
    /// Modules that are trained whole beside it; a classifier's head always is.
    pub modules_to_save: Globs,
    /// How it starts; the model then still computes what the base does.
    pub init_lora_weights: InitLoraWeights,
    /// The second matrix learns so many times as fast as the first (LoRA+).
    #[schemars(extend("exclusiveMinimum" = 0, "x-default" = "1"))]
    pub loraplus_lr_ratio: Option<f64>,
    /// An adapter to go on from, as retune or peft wrote it; what it is, is read there.
    #[schemars(with = "Option<Folder>", extend("x-default" = "a new one"))]
    pub from: Option<PathBuf>,
}

/// What an adapter computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterMethod {
    /// Hu et al. 2021.
    #[default]
    Lora,
    /// With a learnt length for each row of the weights (Liu et al. 2024).
    Dora,
}

/// How an adapter starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InitLoraWeights {
    /// The first matrix uniform, the second zero.
    #[default]
    KaimingUniform,
    /// The first matrix normal, the second zero.
    Gaussian,
}
