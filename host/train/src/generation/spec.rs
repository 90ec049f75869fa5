//! How texts are continued: plain values, under the names of `GenerationConfig` in transformers.

use serde::{Deserialize, Serialize};

use crate::error::{TrainError, in_range};

/// How texts are continued. Names and defaults are those of transformers, but for the number of tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GenerationSpec {
    /// The most tokens that are added to a prompt, an end token among them. Default 256.
    pub max_new_tokens: usize,
    /// No end token before so many. Default 0.
    pub min_new_tokens: usize,
    /// Draw each token by its probability; without, the most probable one is taken. Default false.
    pub do_sample: bool,
    /// What logits are divided by before a token is drawn. Default 1.
    pub temperature: f64,
    /// Draw among the most probable tokens, so many of them; 0: among all. Default 50.
    pub top_k: usize,
    /// Draw among the most probable tokens that together reach this probability. Default 1: among all.
    pub top_p: f64,
    /// Draw among tokens at least so probable, as a share of the most probable one. Default none.
    pub min_p: Option<f64>,
    /// Logits of tokens that stand in the prompt or were generated are divided by it where they are positive, else multiplied
    /// by it. Default 1: not at all.
    pub repetition_penalty: f64,
    /// Tokens that end a text; each becomes the last one. Default none.
    pub eos_token_id: Vec<u32>,
    /// Texts that end a text: the token that completes one is the last. Default none.
    pub stop_strings: Vec<String>,
    /// What draws depend on, beside the prompt's place in the list and the token's in the answer. Default 42.
    pub seed: u64,
    /// Keep keys and values of tokens that were read. Without, each token costs a pass over the whole text. Default true.
    pub use_cache: bool,
}

impl Default for GenerationSpec {
    fn default() -> Self {
        Self {
            max_new_tokens: 256,
            min_new_tokens: 0,
            do_sample: false,
            temperature: 1.0,
            top_k: 50,
            top_p: 1.0,
            min_p: None,
            repetition_penalty: 1.0,
            eos_token_id: Vec::new(),
            stop_strings: Vec::new(),
            seed: 42,
            use_cache: true,
        }
    }
}

impl GenerationSpec {
    /// Refuses values that cannot be, for a vocabulary of this size.
    ///
    /// # Errors
    /// Names the first one, and what is possible.
    pub fn check(&self, vocab_size: usize) -> Result<(), TrainError> {
        let field = |name: &str, problem: String, help: &str| {
            Err(TrainError::Field { field: name.to_owned(), problem, help: Some(help.to_owned()) })
        };
        if self.max_new_tokens == 0 {
            return Err(TrainError::field("max_new_tokens", "0 is not possible; give at least 1"));
        }
        if self.min_new_tokens > self.max_new_tokens {
            let problem = format!("{} are more than max_new_tokens, {}", self.min_new_tokens, self.max_new_tokens);
            return field("min_new_tokens", problem, "raise max_new_tokens, or lower min_new_tokens");
        }
        if self.temperature == 0.0 {
            return field(
                "temperature",
                "0 is not possible; give a number above 0".to_owned(),
                "do_sample = false (--greedy) takes the most probable token, which is what a temperature of 0 means elsewhere",
            );
        }
        if self.top_p == 0.0 {
            return field(
                "top_p",
                "0 is not possible; give a number above 0 and at most 1".to_owned(),
                "do_sample = false (--greedy) takes the most probable token",
            );
        }
        in_range("temperature", self.temperature, self.temperature > 0.0, "a number above 0")?;
        in_range("top_p", self.top_p, self.top_p > 0.0 && self.top_p <= 1.0, "a number above 0 and at most 1")?;
        if let Some(min_p) = self.min_p {
            in_range("min_p", min_p, (0.0..=1.0).contains(&min_p), "a number from 0 to 1")?;
        }
        in_range("repetition_penalty", self.repetition_penalty, self.repetition_penalty > 0.0, "a number above 0")?;
        if let Some(id) = self.eos_token_id.iter().find(|id| **id as usize >= vocab_size) {
            let problem = format!("there is no token {id}: the vocabulary has {vocab_size} tokens, from 0");
            return field("eos_token_id", problem, "generation_config.json and config.json name it");
        }
        if self.stop_strings.iter().any(String::is_empty) {
            return field(
                "stop_strings",
                "an empty text stops before it begins".to_owned(),
                "leave it out, or name the text that ends an answer",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let plain = GenerationSpec::default;
        plain().check(10).unwrap();
        for (spec, expected) in [
            (GenerationSpec { max_new_tokens: 0, ..plain() }, "max_new_tokens: 0 is not possible; give at least 1"),
            (
                GenerationSpec { min_new_tokens: 9, max_new_tokens: 8, ..plain() },
                "min_new_tokens: 9 are more than max_new_tokens, 8",
            ),
            (GenerationSpec { temperature: 0.0, ..plain() }, "temperature: 0 is not possible; give a number above 0"),
            (
                GenerationSpec { temperature: f64::NAN, ..plain() },
                "temperature: NaN is not possible; give a number above 0",
            ),
            (GenerationSpec { top_p: 0.0, ..plain() }, "top_p: 0 is not possible; give a number above 0 and at most 1"),
            (GenerationSpec { min_p: Some(1.5), ..plain() }, "min_p: 1.5 is not possible; give a number from 0 to 1"),
            (
                GenerationSpec { repetition_penalty: -1.0, ..plain() },
                "repetition_penalty: -1 is not possible; give a number above 0",
            ),
            (
                GenerationSpec { eos_token_id: vec![3, 10], ..plain() },
                "eos_token_id: there is no token 10: the vocabulary has 10 tokens, from 0",
            ),
            (
                GenerationSpec { stop_strings: vec![String::new()], ..plain() },
                "stop_strings: an empty text stops before it begins",
            ),
        ] {
            assert_eq!(spec.check(10).unwrap_err().to_string(), expected);
        }
    }
}
