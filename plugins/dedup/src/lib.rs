//! Drops rows that say what an earlier row said: word for word (`duplicate`), or
//! nearly so (`near-duplicate`).
//!
//! Near means that the sets of shingles (runs of characters or words) of two texts have a
//! Jaccard similarity of at least `threshold`, as [`minhash`] estimates it (Broder 1997) and
//! [`lsh`] finds it without comparing all pairs (Indyk and Motwani 1998). The first of a group is
//! kept. Rows are compared within one file, whose rows one instance sees in order; the hash functions
//! come from the run's seed, so that every run with it drops the same rows.
//!
//! Price for each row kept: four bytes a permutation and as many, up to twice as many, for the index;
//! 1 to 1.5 KiB with 128 permutations. 340,000 rows fit the default limit of memory.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod hash;
mod lsh;
mod minhash;

use std::collections::HashSet;

use retune_sdk::{BatchResult, Error, Output, Preprocessor, PreprocessorContract, Result, Sample, logging};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use hash::Hashed;
use lsh::Index;
use minhash::MinHash;

/// What a shingle is a run of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Characters: for short texts, and for languages that do not part words.
    Char,
    /// Words.
    Word,
}

/// Drops rows that repeat earlier ones, word for word or nearly so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The field that holds the text.
    pub field: String,
    /// Compare without regard to case and white space.
    pub normalize: bool,
    /// Look for near-duplicates too.
    pub near: bool,
    /// The least Jaccard similarity of near-duplicates, above 0 and at most 1.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub threshold: f64,
    /// What a shingle is a run of.
    pub unit: Unit,
    /// How many units a shingle has.
    #[schemars(range(min = 1, max = 64))]
    pub shingle: usize,
    /// How many hash functions: more estimate better (the error is about 1/√n) and cost more.
    #[schemars(range(min = 16, max = 1024))]
    pub permutations: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            field: "text".into(),
            normalize: true,
            near: true,
            threshold: 0.8,
            unit: Unit::Char,
            shingle: 5,
            permutations: 128,
        }
    }
}

/// Drops rows that repeat earlier ones.
pub struct Dedup {
    config: Config,
    /// A hash of each text kept; two texts in a million million share one by chance.
    exact: HashSet<u64, Hashed>,
    minhash: MinHash,
    index: Index,
    counts: Counts,
}

/// What a file came to.
#[derive(Clone, Copy, Default)]
struct Counts {
    kept: u64,
    duplicates: u64,
    near_duplicates: u64,
}

impl Dedup {
    /// Why a row is dropped, if it is; one that is not is remembered.
    fn fault(&mut self, text: &str) -> Option<&'static str> {
        let text = if self.config.normalize { normal(text) } else { text.to_owned() };
        if !self.exact.insert(hash::text(text.as_bytes())) {
            self.counts.duplicates += 1;
            return Some("duplicate");
        }
        if self.config.near {
            let shingles = minhash::shingles(&text, self.config.unit, self.config.shingle);
            let signature = self.minhash.signature(&shingles);
            if self.index.finds(&signature) {
                self.counts.near_duplicates += 1;
                return Some("near-duplicate");
            }
            self.index.insert(&signature);
        }
        self.counts.kept += 1;
        None
    }
}

/// Lower case, one space between words.
fn normal(text: &str) -> String {
    text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

impl Preprocessor for Dedup {
    type Config = Config;

    fn new(config: Config, seed: u64) -> Result<Self> {
        if !(config.threshold > 0.0 && config.threshold <= 1.0) {
            return Err(Error::config(format!("threshold must be above 0 and at most 1, it is {}", config.threshold)));
        }
        if config.shingle == 0 || !(16..=1024).contains(&config.permutations) {
            return Err(Error::config("shingle must be at least 1, and permutations between 16 and 1024"));
        }
        let minhash = MinHash::new(config.permutations, seed);
        let index = Index::new(config.permutations, config.threshold);
        Ok(Self { config, exact: HashSet::default(), minhash, index, counts: Counts::default() })
    }

    fn describe(&self) -> PreprocessorContract {
        let field = vec![self.config.field.clone()];
        PreprocessorContract { reads: field.clone(), writes: field, stateful: true, cacheable: true }
    }

    fn process(&mut self, batch: Vec<Sample>) -> Result<BatchResult> {
        let mut result = BatchResult::default();
        for (source, sample) in batch.into_iter().enumerate() {
            match self.fault(sample.text(&self.config.field)?) {
                Some(reason) => result.reject(source, reason),
                None => result.keep(source, sample.fields),
            }
        }
        Ok(result)
    }

    fn finish(&mut self) -> Result<Vec<Output>> {
        let Counts { kept, duplicates, near_duplicates } = std::mem::take(&mut self.counts);
        logging::info(format!(
            "kept {kept} rows, dropped {duplicates} duplicates and {near_duplicates} near-duplicates"
        ));
        self.exact.clear();
        self.index.clear();
        Ok(Vec::new())
    }
}

retune_sdk::export!(preprocessor: Dedup);

#[cfg(test)]
mod tests {
    use super::*;
    use retune_sdk::testing::{Fate, logs, run_rows, texts};

    const CARD: &str = "I am still waiting on my card, it has been two weeks since I ordered it from your website";
    const CARD_NEARLY: &str =
        "I am still waiting on my card, it has been two weeks since I ordered it from your web site";

    fn fates(config: Config, rows: &[&str], size: usize) -> Vec<Option<String>> {
        let mut dedup = Dedup::new(config, 7).unwrap();
        let fates = run_rows(&mut dedup, &texts("text", rows), size).unwrap();
        fates.iter().map(|fate: &Fate| fate.reason().map(String::from)).collect()
    }

    fn reasons(rows: &[&str]) -> Vec<Option<String>> {
        fates(Config::default(), rows, 64)
    }

    fn dropped(reason: &str) -> Option<String> {
        Some(reason.into())
    }

    #[test]
    fn the_first_of_equal_rows_is_kept() {
        assert_eq!(
            reasons(&["a cat", "a dog", "a cat", "A  CAT"]),
            [None, None, dropped("duplicate"), dropped("duplicate")]
        );
    }

    #[test]
    fn case_and_white_space_count_when_they_are_asked_to() {
        let config = Config { normalize: false, near: false, ..Config::default() };
        assert_eq!(fates(config, &["a cat", "A cat", "a  cat", "a cat"], 64), [None, None, None, dropped("duplicate")]);
    }

    #[test]
    fn rows_that_differ_by_a_character_are_near_and_different_ones_are_not() {
        let rows = [CARD, "My transfer to a friend has been declined and I do not know why that could be", CARD_NEARLY];
        assert_eq!(reasons(&rows), [None, None, dropped("near-duplicate")]);
        assert_eq!(fates(Config { near: false, ..Config::default() }, &rows, 64), [None, None, None]);
    }

    #[test]
    fn a_threshold_of_one_leaves_what_is_only_similar() {
        let config = Config { threshold: 1.0, permutations: 512, ..Config::default() };
        assert_eq!(fates(config, &[CARD, CARD_NEARLY, CARD], 64), [None, None, dropped("duplicate")]);
    }

    #[test]
    fn what_was_seen_in_an_earlier_batch_is_remembered() {
        let rows = ["one thing", CARD, "another thing", CARD_NEARLY, "one thing"];
        assert_eq!(fates(Config::default(), &rows, 1), reasons(&rows));
    }

    #[test]
    fn a_file_is_told_of_at_its_end_and_then_forgotten() {
        let mut dedup = Dedup::new(Config::default(), 7).unwrap();
        let rows = texts("text", &["one", "two", "one", CARD, CARD_NEARLY]);
        let first = run_rows(&mut dedup, &rows, 2).unwrap();
        assert!(dedup.finish().unwrap().is_empty());
        assert_eq!(logs()[0].1, "kept 3 rows, dropped 1 duplicates and 1 near-duplicates");
        assert_eq!(run_rows(&mut dedup, &rows, 3).unwrap(), first);
    }

    #[test]
    fn words_can_be_the_unit() {
        let config = Config { unit: Unit::Word, shingle: 1, threshold: 0.9, ..Config::default() };
        let rows = ["the quick brown fox jumps", "jumps fox brown quick the", "the quick brown dog runs"];
        assert_eq!(fates(config, &rows, 64), [None, dropped("near-duplicate"), None]);
    }

    #[test]
    fn other_columns_go_on_untouched() {
        let mut sample = texts("text", &["hello"]).remove(0);
        sample.set("label", "greeting");
        let mut dedup = Dedup::new(Config::default(), 0).unwrap();
        let result = dedup.process(vec![sample.clone()]).unwrap();
        assert_eq!(result.outputs[0].fields, sample.fields);
    }

    #[test]
    fn a_row_without_the_field_is_refused_by_its_key() {
        let mut dedup = Dedup::new(Config::default(), 0).unwrap();
        let error = dedup.process(texts("body", &["hello"])).unwrap_err();
        assert_eq!(error.message, "test:1 has no field `text`; it has `body`");
    }
}
