//! BLEU of a corpus (Papineni et al. 2002), as sacrebleu 2.6 computes it with its defaults (Post 2018).
//!
//! ```text
//! BLEU = BP exp( 1/4 Σ log p_n )        p_n: matched n-grams over n-grams of the answers, n = 1..4
//! ```
//!
//! Matches, n-grams and lengths are summed over all answers before anything is divided.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::scored::{Score, higher};
use super::{thirteen_a, words};
use crate::{ErrorKind, Refusal, TextExample, ValueSpec};

/// Longest n-gram.
const ORDER: usize = 4;

/// Settings of `bleu`, as sacrebleu calls them.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BleuConfig {
    /// How texts become tokens.
    tokenize: Tokenize,
    /// Take capital and small letters for one.
    lowercase: bool,
    /// What stands in for the precision of an n-gram order without a match.
    smooth_method: Smooth,
    /// The value of `floor` (0.1 without one) or `add-k` (1).
    smooth_value: Option<f64>,
}

/// A tokenizer of sacrebleu.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
enum Tokenize {
    /// Western languages.
    #[default]
    #[serde(rename = "13a")]
    ThirteenA,
    /// A character is a token.
    #[serde(rename = "char")]
    Char,
    /// White space parts tokens.
    #[serde(rename = "none")]
    None,
}

/// Chen and Cherry 2014.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Smooth {
    /// Half a match, then a quarter, and so on.
    #[default]
    Exp,
    /// So many matches in place of none.
    Floor,
    /// So many more matches and n-grams, but for words.
    AddK,
    /// No smoothing: one order without a match makes the whole 0.
    None,
}

/// Counts n-grams.
#[derive(Debug)]
pub struct Bleu(BleuConfig);

impl Bleu {
    /// With these settings.
    ///
    /// # Errors
    /// When there is a value that the method has no use for, or that is below 0.
    pub fn new(config: BleuConfig) -> Result<Self, Refusal> {
        let valued = matches!(config.smooth_method, Smooth::Floor | Smooth::AddK);
        match config.smooth_value {
            Some(_) if !valued => {
                let message = "`smooth_value` belongs to smooth_method `floor` or `add-k`";
                Err(Refusal::new(ErrorKind::Config, message))
            }
            Some(value) if !(value.is_finite() && value >= 0.0) => {
                let message = format!("`smooth_value` is {value}, expected a number from 0");
                Err(Refusal::new(ErrorKind::Config, message))
            }
            _ => Ok(Self(config)),
        }
    }

    fn tokenized(&self, text: &str) -> String {
        let text = if self.0.lowercase { text.to_lowercase() } else { text.to_owned() };
        let text = text.trim_end_matches(words::is_space);
        match self.0.tokenize {
            Tokenize::ThirteenA => thirteen_a::tokenized(text),
            Tokenize::Char => text.chars().flat_map(|c| [c, ' ']).collect(),
            Tokenize::None => text.to_owned(),
        }
    }

    /// In percent.
    fn score(&self, mut correct: [f64; ORDER], mut total: [f64; ORDER], length: f64, reference: f64) -> f64 {
        if correct.iter().all(|count| *count == 0.0) {
            return 0.0;
        }
        let mut half = 1.0;
        let mut precisions = [0.0; ORDER];
        for n in 0..ORDER {
            if self.0.smooth_method == Smooth::AddK && n > 0 {
                let k = self.0.smooth_value.unwrap_or(1.0);
                correct[n] += k;
                total[n] += k;
            }
            if total[n] == 0.0 {
                break;
            }
            precisions[n] = match (correct[n] == 0.0, self.0.smooth_method) {
                (false, _) => 100.0 * correct[n] / total[n],
                (true, Smooth::Exp) => {
                    half *= 2.0;
                    100.0 / (half * total[n])
                }
                (true, Smooth::Floor) => 100.0 * self.0.smooth_value.unwrap_or(0.1) / total[n],
                (true, Smooth::AddK | Smooth::None) => 0.0,
            };
        }
        // Some word is matched, so there is one in the answers.
        let brevity = if length < reference { (1.0 - reference / length).exp() } else { 1.0 };
        // The logarithm of 0 makes the whole 0.
        brevity * (precisions.iter().map(|p| p.ln()).sum::<f64>() / ORDER as f64).exp()
    }
}

type Counts<'a> = HashMap<&'a [&'a str], u64>;

/// Every n-gram of up to [`ORDER`] words, and how often it occurs.
fn ngrams<'a>(words: &'a [&'a str]) -> Counts<'a> {
    let mut counts = Counts::new();
    for ngram in (1..=ORDER).flat_map(|n| words.windows(n)) {
        *counts.entry(ngram).or_default() += 1;
    }
    counts
}

impl Score for Bleu {
    fn name(&self) -> &'static str {
        "bleu"
    }

    fn values(&self) -> Vec<ValueSpec> {
        vec![higher("bleu")]
    }

    /// Matches by order, n-grams by order, tokens of the answers, tokens of the references.
    fn width(&self) -> usize {
        2 * ORDER + 2
    }

    fn add(&self, example: &TextExample, sums: &mut [f64]) {
        let texts: Vec<String> = example.references.iter().map(|text| self.tokenized(text)).collect();
        let references: Vec<Vec<&str>> = texts.iter().map(|text| words::split(text).collect()).collect();
        let mut most = Counts::new();
        for reference in &references {
            for (ngram, count) in ngrams(reference) {
                let known = most.entry(ngram).or_default();
                *known = count.max(*known);
            }
        }
        let prediction = self.tokenized(&example.prediction);
        let prediction: Vec<&str> = words::split(&prediction).collect();
        for (ngram, count) in ngrams(&prediction) {
            let n = ngram.len() - 1;
            sums[n] += most.get(ngram).map_or(0, |known| count.min(*known)) as f64;
            sums[ORDER + n] += count as f64;
        }
        let length = prediction.len();
        // The length that is closest, and of two the shorter one.
        let closest = references.iter().map(Vec::len).min_by_key(|reference| (reference.abs_diff(length), *reference));
        sums[2 * ORDER] += length as f64;
        sums[2 * ORDER + 1] += closest.unwrap_or(0) as f64;
    }

    fn compute(&self, _: f64, sums: &[f64]) -> Vec<f64> {
        let counts = |from: usize| std::array::from_fn(|n| sums[from + n]);
        vec![self.score(counts(0), counts(ORDER), sums[2 * ORDER], sums[2 * ORDER + 1])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TextExample;

    fn bleu(config: serde_json::Value, rows: &[(&str, &str)]) -> f64 {
        let bleu = Bleu::new(serde_json::from_value(config).unwrap()).unwrap();
        let mut sums = vec![0.0; bleu.width()];
        for (prediction, reference) in rows {
            bleu.add(&TextExample::new("a", *prediction, &[reference]), &mut sums);
        }
        bleu.compute(rows.len() as f64, &sums)[0]
    }

    #[test]
    fn matches_are_summed_before_they_are_divided() {
        let rows = [("the cat sat on it", "the cat sat on it"), ("a dog ran", "the dog ran")];
        let expected = (7.0f64 / 8.0 * 5.0 / 6.0 * 3.0 / 4.0 * 2.0 / 2.0).powf(0.25) * 100.0;
        let found = bleu(serde_json::json!({}), &rows);
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }

    #[test]
    fn an_order_without_a_match_makes_the_whole_0_unless_it_is_smoothed() {
        let rows = [("a b c d", "a b c e")];
        assert_eq!(bleu(serde_json::json!({"smooth_method": "none"}), &rows), 0.0);
        let smoothed = (3.0f64 / 4.0 * 2.0 / 3.0 * 1.0 / 2.0 * 0.5).powf(0.25) * 100.0;
        assert!((bleu(serde_json::json!({}), &rows) - smoothed).abs() < 1e-9);
    }

    #[test]
    fn a_value_without_its_method_is_refused() {
        let config = serde_json::from_value(serde_json::json!({"smooth_value": 0.5})).unwrap();
        let refusal = Bleu::new(config).unwrap_err();
        assert_eq!(refusal.message, "`smooth_value` belongs to smooth_method `floor` or `add-k`");
    }
}
