//! The section `adapter`: its keys have the names they have in `peft`'s `LoraConfig`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
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
    /// How it starts; the model then still computes what the base does. pissa learns the largest singular values of each matrix
    /// instead of small new ones, pissa_niter_16 finds them sooner by 16 rounds of subspace iteration; the result has twice the rank.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum InitLoraWeights {
    /// The first matrix uniform, the second zero.
    #[default]
    KaimingUniform,
    /// The first matrix normal, the second zero.
    Gaussian,
    /// Both from the largest singular values of the matrix, which the base then lacks (Meng et al. 2024).
    Pissa,
    /// The same by so many rounds of subspace iteration.
    PissaNiter(u32),
}

impl From<InitLoraWeights> for String {
    fn from(start: InitLoraWeights) -> Self {
        match start {
            InitLoraWeights::KaimingUniform => "kaiming-uniform".to_owned(),
            InitLoraWeights::Gaussian => "gaussian".to_owned(),
            InitLoraWeights::Pissa => "pissa".to_owned(),
            InitLoraWeights::PissaNiter(rounds) => format!("pissa_niter_{rounds}"),
        }
    }
}

impl TryFrom<String> for InitLoraWeights {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match (name.as_str(), name.strip_prefix("pissa_niter_").and_then(|rounds| rounds.parse().ok())) {
            ("kaiming-uniform", _) => Ok(Self::KaimingUniform),
            ("gaussian", _) => Ok(Self::Gaussian),
            ("pissa", _) => Ok(Self::Pissa),
            (_, Some(rounds)) => Ok(Self::PissaNiter(rounds)),
            _ => Err(format!("`{name}` is no start of an adapter")),
        }
    }
}

impl JsonSchema for InitLoraWeights {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "InitLoraWeights".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(kaiming-uniform|gaussian|pissa|pissa_niter_[1-9][0-9]{0,3})$",
            "x-kind": "kaiming-uniform | gaussian | pissa | pissa_niter_N",
            "x-write": "`kaiming-uniform`, `gaussian`, `pissa`, `pissa_niter_16`"
        })
    }
}
