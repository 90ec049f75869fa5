//! chrF: how many runs of characters an answer shares with its reference (Popović 2015), as sacrebleu 2.6 computes it.
//!
//! ```text
//! chrF_β = (1 + β²) P R / (β² P + R)      P, R: means over n = 1..6 of the precision and recall of n-grams of characters
//! ```
//!
//! Counts are summed over all answers before anything is divided. With `word_order = 2` it is chrF++: n-grams of words
//! are averaged with those of characters. It suits languages that join words better than BLEU does, and short answers.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod ngrams;

use retune_sdk::{Error, Metric, Result, TextExample, TextMetric, ValueSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use ngrams::Ngrams;

/// Settings, as sacrebleu calls them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Longest n-gram of characters.
    #[schemars(range(min = 1, max = 16))]
    pub char_order: usize,
    /// Longest n-gram of words; 2 makes chrF++.
    #[schemars(range(min = 0, max = 8))]
    pub word_order: usize,
    /// How much more recall counts than precision.
    #[schemars(range(min = 0))]
    pub beta: f64,
    /// Take capital and small letters for one.
    pub lowercase: bool,
    /// Let white space count as a character.
    pub whitespace: bool,
    /// Average F-scores of all orders instead of precision and recall of those that occur.
    pub eps_smoothing: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { char_order: 6, word_order: 0, beta: 2.0, lowercase: false, whitespace: false, eps_smoothing: false }
    }
}

/// Of one order of n-grams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    /// In the answers.
    answer: u64,
    /// In the references.
    reference: u64,
    /// In both.
    shared: u64,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    answers: u64,
    /// One an order; empty before the first answer.
    orders: Vec<Counts>,
}

/// chrF.
pub struct ChrF(Config);

impl ChrF {
    fn ngrams(&self, text: &str) -> Ngrams {
        let text = if self.0.lowercase { text.to_lowercase() } else { text.to_owned() };
        Ngrams::of(&text, self.0.char_order, self.0.word_order, self.0.whitespace)
    }

    /// In percent.
    fn score(&self, orders: &[Counts]) -> f64 {
        const NOTHING: f64 = 1e-16;
        let factor = self.0.beta * self.0.beta;
        let (mut sum, mut precision, mut recall, mut occurring) = (0.0, 0.0, 0.0, 0.0);
        for counts in orders {
            let share = |of: u64| if of > 0 { counts.shared as f64 / of as f64 } else { NOTHING };
            let (p, r) = (share(counts.answer), share(counts.reference));
            let below = factor * p + r;
            sum += if below > 0.0 { (1.0 + factor) * p * r / below } else { NOTHING };
            if counts.answer > 0 && counts.reference > 0 {
                precision += p;
                recall += r;
                occurring += 1.0;
            }
        }
        if self.0.eps_smoothing {
            return 100.0 * sum / orders.len() as f64;
        }
        if occurring == 0.0 || precision + recall == 0.0 {
            return 0.0;
        }
        let (precision, recall) = (precision / occurring, recall / occurring);
        100.0 * (1.0 + factor) * precision * recall / (factor * precision + recall)
    }

    fn add(orders: &mut Vec<Counts>, more: &[Counts]) {
        orders.resize(more.len().max(orders.len()), Counts::default());
        for (sum, counts) in orders.iter_mut().zip(more) {
            sum.answer += counts.answer;
            sum.reference += counts.reference;
            sum.shared += counts.shared;
        }
    }
}

impl Metric for ChrF {
    type Config = Config;
    type State = Seen;

    fn new(config: Config, _seed: u64) -> Result<Self> {
        match config.beta.is_finite() {
            true => Ok(Self(config)),
            false => Err(Error::config("beta must be a finite number")),
        }
    }

    fn describe(&self) -> Vec<ValueSpec> {
        vec![ValueSpec::higher("chrf")]
    }

    fn merge(&self, state: &mut Seen, other: Seen) -> Result<()> {
        state.answers += other.answers;
        Self::add(&mut state.orders, &other.orders);
        Ok(())
    }

    fn compute(&self, state: &Seen) -> Result<Vec<(String, f64)>> {
        let value = if state.answers == 0 { f64::NAN } else { self.score(&state.orders) };
        Ok(vec![("chrf".into(), value)])
    }
}

impl TextMetric for ChrF {
    fn update_texts(&self, state: &mut Seen, texts: &[TextExample]) -> Result<()> {
        for text in texts {
            let answer = self.ngrams(&text.prediction);
            let mut best: Option<(f64, Vec<Counts>)> = None;
            for reference in &text.references {
                let counts = answer.compared(&self.ngrams(reference));
                let score = self.score(&counts);
                if best.as_ref().is_none_or(|(most, _)| score > *most) {
                    best = Some((score, counts));
                }
            }
            let Some((_, counts)) = best else { return Err(Error::input("a row has no reference")) };
            Self::add(&mut state.orders, &counts);
            state.answers += 1;
        }
        Ok(())
    }
}

retune_sdk::export!(text_metric: ChrF);

#[cfg(test)]
mod tests {
    use retune_sdk::testing::{check_text_metric_laws, read_texts, text};
    use serde_json::Value;

    use super::*;

    fn value(config: &Value, texts: &[TextExample]) -> f64 {
        let metric = ChrF::new(serde_json::from_value(config.clone()).unwrap(), 0).unwrap();
        metric.compute(&read_texts(&metric, texts).unwrap()).unwrap()[0].1
    }

    #[test]
    fn it_is_sacrebleus_chrf_over_a_corpus_and_row_by_row() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/text-metrics.json");
        let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut compared = 0;
        for case in all["cases"].as_array().unwrap().iter().filter(|case| case["metric"] == "chrf") {
            let rows = all["rows"][case["rows"].as_str().unwrap()].as_array().unwrap().iter();
            let rows = rows.map(|row| {
                let references: Vec<&str> = row[1].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
                text(row[0].as_str().unwrap(), &references)
            });
            let rows: Vec<TextExample> = rows.collect();
            let size = if case["each"] == true { 1 } else { rows.len() };
            for (part, expected) in rows.chunks(size).zip(case["expected"].as_array().unwrap()) {
                let (found, expected) = (value(&case["config"], part), expected[0].as_f64().unwrap());
                assert!((found - expected).abs() < 1e-9, "{found} {expected} {} {part:?}", case["config"]);
                compared += 1;
            }
        }
        assert!(compared > 1_000, "{compared}");
    }

    #[test]
    fn it_keeps_the_laws_of_a_metric() {
        let metric = ChrF::new(Config::default(), 0).unwrap();
        let parts = [[text("a cat", &["the cat"]), text("", &["x"])], [text("Ä", &["Ä", "b"]), text("dog", &["dogs"])]];
        let last = [text("one two three", &["two three four"])];
        check_text_metric_laws(&metric, [&parts[0], &parts[1], &last]).unwrap();
        assert!(metric.compute(&Seen::default()).unwrap()[0].1.is_nan());
    }
}
