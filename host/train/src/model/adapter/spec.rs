//! What an adapter is: plain values, named as in `peft`'s `LoraConfig`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::ModelError;

/// In `target_modules`: every linear layer but the output head, as in `peft`.
pub const ALL_LINEAR: &str = "all-linear";

/// An adapter on chosen linear layers and tables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdapterSpec {
    /// What is computed. Default `lora`.
    pub method: AdapterMethod,
    /// Scale by `lora_alpha / sqrt(r)` in place of `lora_alpha / r` (Kalajdzievski 2023). Default false.
    pub use_rslora: bool,
    /// Rank: rows of A, columns of B. Default 8.
    pub r: usize,
    /// The adapter's part is multiplied by `lora_alpha / r`. Default 8.
    pub lora_alpha: f64,
    /// Probability with which a value that A reads drops out. Default 0.
    pub lora_dropout: f64,
    /// Where adapters sit: names of modules, whole or their last segments (`q_proj`, as in `peft`), globs (`layers.{0..3}`),
    /// or [`ALL_LINEAR`]. Default `all-linear`.
    pub target_modules: Vec<String>,
    /// Other ranks for some of them: names, last segments or globs; of several that match, the longest counts.
    pub rank_pattern: BTreeMap<String, usize>,
    /// The same for `lora_alpha`.
    pub alpha_pattern: BTreeMap<String, f64>,
    /// Modules that are trained whole beside the adapter: names, last segments or globs. A classifier's head always is.
    pub modules_to_save: Vec<String>,
    /// How A and B start. Default `kaiming-uniform`.
    pub init_lora_weights: InitLoraWeights,
    /// B learns so many times as fast as A (LoRA+, Hayou et al. 2024). Default: as fast.
    pub loraplus_lr_ratio: Option<f64>,
}

/// What an adapter computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterMethod {
    /// `x Wᵀ + s x Aᵀ Bᵀ` (Hu et al. 2021).
    #[default]
    Lora,
    /// The same, with each row of `W + s B A` brought to a learnt length (Liu et al. 2024).
    Dora,
}

/// How a new adapter starts; with each of them the model at first computes what the base computes. As text: `kaiming-uniform`,
/// `gaussian`, `pissa`, `pissa_niter_16`. Tables of embeddings start with A zero and B normal, whatever is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum InitLoraWeights {
    /// A uniform within `1 / sqrt(in)` (He et al. 2015 with a slope of sqrt 5, `true` in `peft`), B zero.
    #[default]
    KaimingUniform,
    /// A normal with a standard deviation of `1 / r`, B zero.
    Gaussian,
    /// `s B A` is the best approximation of the matrix that has rank `r`, and beside it the base is what that leaves (PiSSA, Meng
    /// et al. 2024).
    Pissa,
    /// The same, nearly: found by so many rounds of subspace iteration.
    PissaNiter(u32),
}

impl InitLoraWeights {
    /// Whether A and B begin as a part of the base, which is taken off it.
    pub fn is_principal(self) -> bool {
        matches!(self, Self::Pissa | Self::PissaNiter(_))
    }
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
        let rounds = || name.strip_prefix("pissa_niter_")?.parse().ok().filter(|rounds| *rounds > 0);
        match name.as_str() {
            "kaiming-uniform" => Ok(Self::KaimingUniform),
            "gaussian" => Ok(Self::Gaussian),
            "pissa" => Ok(Self::Pissa),
            _ => rounds().map(Self::PissaNiter).ok_or_else(|| {
                format!("`{name}` is no start: expected `kaiming-uniform`, `gaussian`, `pissa` or `pissa_niter_16`")
            }),
        }
    }
}

impl Default for AdapterSpec {
    fn default() -> Self {
        Self {
            method: AdapterMethod::Lora,
            use_rslora: false,
            r: 8,
            lora_alpha: 8.0,
            lora_dropout: 0.0,
            target_modules: vec![ALL_LINEAR.to_owned()],
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
            modules_to_save: Vec::new(),
            init_lora_weights: InitLoraWeights::KaimingUniform,
            loraplus_lr_ratio: None,
        }
    }
}

impl AdapterSpec {
    /// What the adapter's part is multiplied by, for a rank and an alpha.
    pub fn scale(&self, r: usize, lora_alpha: f64) -> f64 {
        let r = r as f64;
        lora_alpha / if self.use_rslora { r.sqrt() } else { r }
    }

    /// Refuses values that no adapter can have, whatever the model.
    ///
    /// # Errors
    /// Names the key, what it holds, and what it may.
    pub fn check(&self) -> Result<(), ModelError> {
        let ranks = std::iter::once(("r".to_owned(), self.r));
        let ranks = ranks.chain(self.rank_pattern.iter().map(|(name, r)| (format!("rank_pattern.{name}"), *r)));
        for (key, r) in ranks {
            if r == 0 {
                return Err(refuse(
                    &key,
                    "a rank of 0 leaves nothing to learn",
                    "give a rank of at least 1, such as 16",
                ));
            }
        }
        let alphas = std::iter::once(("lora_alpha".to_owned(), self.lora_alpha));
        let alphas = alphas.chain(self.alpha_pattern.iter().map(|(name, a)| (format!("alpha_pattern.{name}"), *a)));
        for (key, alpha) in alphas {
            if !(alpha.is_finite() && alpha > 0.0) {
                let problem = format!("{alpha} would switch the adapter off");
                return Err(refuse(&key, &problem, "give a number above 0; one or two times the rank is usual"));
            }
        }
        if !(0.0..1.0).contains(&self.lora_dropout) {
            let problem = format!("{} is not a probability below 1", self.lora_dropout);
            return Err(refuse("lora_dropout", &problem, "give a number from 0 to below 1, such as 0.05"));
        }
        if self.target_modules.is_empty() {
            let help = "name some, such as [\"q_proj\", \"v_proj\"], or leave the key out for `all-linear`";
            return Err(refuse("target_modules", "an adapter needs a module to sit beside", help));
        }
        if let Some(ratio) = self.loraplus_lr_ratio
            && !(ratio.is_finite() && ratio > 0.0)
        {
            let problem = format!("B cannot learn {ratio} times as fast as A");
            return Err(refuse("loraplus_lr_ratio", &problem, "give a number above 0, such as 16"));
        }
        Ok(())
    }
}

fn refuse(key: &str, problem: &str, help: &str) -> ModelError {
    ModelError::adapter(key, problem, help)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_those_of_a_lora_config_and_what_is_left_out_is_its_default() {
        let read = |json: &str| serde_json::from_str::<AdapterSpec>(json);
        let spec = read(r#"{"method": "dora", "r": 4, "lora_alpha": 16, "init_lora_weights": "gaussian"}"#).unwrap();
        assert_eq!((spec.method, spec.r, spec.lora_alpha), (AdapterMethod::Dora, 4, 16.0));
        assert_eq!((spec.lora_dropout, spec.target_modules), (0.0, vec!["all-linear".to_owned()]));
        let error = read(r#"{"lora_r": 4}"#).unwrap_err().to_string();
        assert!(error.contains("lora_r") && error.contains("lora_alpha"), "{error}");
    }

    #[test]
    fn a_start_is_written_as_peft_spells_it() {
        for name in ["kaiming-uniform", "gaussian", "pissa", "pissa_niter_16"] {
            let start = InitLoraWeights::try_from(name.to_owned()).unwrap();
            assert_eq!((String::from(start), start.is_principal()), (name.to_owned(), name.starts_with("pissa")));
        }
        for name in ["pisa", "pissa_niter_", "pissa_niter_0", "pissa_niter_x", "Pissa", ""] {
            assert!(InitLoraWeights::try_from(name.to_owned()).unwrap_err().contains("`pissa_niter_16`"), "{name}");
        }
    }

    #[test]
    fn the_scale_is_alpha_over_the_rank_or_over_its_root() {
        let spec = AdapterSpec::default();
        assert_eq!(spec.scale(16, 32.0), 2.0);
        assert_eq!(AdapterSpec { use_rslora: true, ..spec }.scale(16, 32.0), 8.0);
    }
}
