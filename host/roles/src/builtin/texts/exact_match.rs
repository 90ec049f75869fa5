//! The share of answers that are a reference, as Hugging Face's `evaluate` counts them (`exact_match`).

use schemars::JsonSchema;
use serde::Deserialize;

use super::scored::{Score, higher};
use crate::{TextExample, ValueSpec};

/// Settings of `exact-match`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExactMatchConfig {
    /// Take capital and small letters for one.
    ignore_case: bool,
    /// Leave out !"#$%&'()*+,-./:;<=>?@[\]^_`{|}~ before comparing.
    ignore_punctuation: bool,
    /// Leave out the digits 0 to 9 before comparing.
    ignore_numbers: bool,
}

/// Compares answer and references as texts.
pub struct ExactMatch(ExactMatchConfig);

impl ExactMatch {
    /// With these settings.
    pub fn new(config: ExactMatchConfig) -> Self {
        Self(config)
    }

    fn normal(&self, text: &str) -> String {
        let text = if self.0.ignore_case { text.to_lowercase() } else { text.to_owned() };
        let left_out = |c: char| {
            (self.0.ignore_punctuation && c.is_ascii_punctuation()) || (self.0.ignore_numbers && c.is_ascii_digit())
        };
        text.chars().filter(|c| !left_out(*c)).collect()
    }
}

impl Score for ExactMatch {
    fn name(&self) -> &'static str {
        "exact-match"
    }

    fn values(&self) -> Vec<ValueSpec> {
        vec![higher("exact_match")]
    }

    fn width(&self) -> usize {
        1
    }

    fn add(&self, example: &TextExample, sums: &mut [f64]) {
        let prediction = self.normal(&example.prediction);
        if example.references.iter().any(|reference| self.normal(reference) == prediction) {
            sums[0] += 1.0;
        }
    }

    fn compute(&self, rows: f64, sums: &[f64]) -> Vec<f64> {
        vec![sums[0] / rows]
    }
}
