//! Drops rows that say what an earlier row said: word for word (`duplicate`), or
//! nearly so (`near-duplicate`); and finds rows that say the same and are labelled otherwise
//! (`label-conflict`).
//!
//! Near means that the sets of shingles (runs of characters or words) of two texts have a
//! Jaccard similarity of at least `threshold`, as [`minhash`] estimates it (Broder 1997) and
//! [`lsh`] finds it without comparing all pairs (Indyk and Motwani 1998); of two rows of several columns, in each of
//! them. The first of a group is kept. Near-duplicates with different labels are both kept: a word that changes the
//! label is what a classifier has to learn. Rows are compared within one file, whose rows one instance sees in order;
//! the hash functions come from the run's seed, so that every run with it drops the same rows.
//!
//! Price for each row kept: four bytes a permutation and column and as many, up to twice as many, for the index;
//! 1 to 1.5 KiB with 128 permutations and one column. 340,000 such rows fit the default limit of memory.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod columns;
mod hash;
mod lsh;
mod minhash;

use std::collections::HashMap;

use retune_sdk::{BatchResult, Error, Output, Preprocessor, PreprocessorContract, Result, Sample, logging};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use columns::Labels;
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

/// What becomes of a row whose text an earlier row has with another label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Conflicts {
    /// The first row's label stands, the later row is dropped as `label-conflict`.
    Drop,
    /// Both rows stay.
    Keep,
}

/// Drops rows that repeat earlier ones, word for word or nearly so, and reports equal texts with different labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The columns to compare: by default those the model reads. Empty: all columns of text but the label.
    #[schemars(extend("x-from-recipe" = "input-columns"))]
    pub fields: Vec<String>,
    /// The column of the label: by default the recipe's. None: labels are not compared.
    #[schemars(extend("x-from-recipe" = "label-column"))]
    pub label: Option<String>,
    /// Rows with equal texts and different labels: drop the later ones, or keep them. Both are reported.
    pub conflicts: Conflicts,
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
            fields: Vec::new(),
            label: None,
            conflicts: Conflicts::Drop,
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
    /// The columns to compare; empty before the first row, where the configuration names none.
    fields: Vec<String>,
    /// The label of each text kept, by the text's hash; two texts in a million million share one by chance.
    exact: HashMap<u64, u32, Hashed>,
    minhash: MinHash,
    /// Made for the first row, which tells how many columns there are.
    index: Option<Index>,
    labels: Labels,
    found: Found,
}

/// What a file came to.
#[derive(Clone, Default)]
struct Found {
    kept: u64,
    duplicates: u64,
    near_duplicates: u64,
    conflicts: u64,
    /// The first conflict, as a sentence.
    example: Option<String>,
}

impl Dedup {
    /// Why a row is dropped, if it is; one that is not is remembered.
    fn fault(&mut self, sample: &Sample) -> Result<Option<&'static str>> {
        let texts = self.texts(sample)?;
        let label = self.labels.number(sample, self.config.label.as_deref())?;
        let fault = self.repeats(sample, &texts, label).or_else(|| self.resembles(&texts, label));
        self.found.kept += u64::from(fault.is_none());
        Ok(fault)
    }

    /// What is compared of a row.
    fn texts(&mut self, sample: &Sample) -> Result<Vec<String>> {
        if self.fields.is_empty() {
            self.fields = columns::of_text(sample, self.config.label.as_deref())?;
        }
        let named = !self.config.fields.is_empty();
        let text = |name: &String| {
            // A column that only the first row tells of need not be in all rows.
            let text = if named || sample.get(name).is_some() { columns::text(sample, name)? } else { String::new() };
            Ok(if self.config.normalize { columns::normal(&text) } else { text })
        };
        self.fields.iter().map(text).collect()
    }

    /// Why a row whose very texts have been seen is dropped.
    fn repeats(&mut self, sample: &Sample, texts: &[String], label: u32) -> Option<&'static str> {
        let whole = texts.iter().fold(0, |hash, text| hash::mix(hash ^ hash::text(text.as_bytes())));
        let Some(earlier) = self.exact.get(&whole).copied() else {
            self.exact.insert(whole, label);
            return None;
        };
        let conflict = label != earlier && label != Labels::NONE && earlier != Labels::NONE;
        // The second and later rows of one label that is not the first are told apart from the first of that label.
        let known = conflict && self.config.conflicts == Conflicts::Keep && {
            self.exact.insert(hash::mix(whole ^ u64::from(label)), label).is_some()
        };
        if !conflict || known {
            self.found.duplicates += 1;
            return Some("duplicate");
        }
        self.found.conflicts += 1;
        let (key, labels) = (&sample.key, &self.labels);
        self.found.example.get_or_insert_with(|| {
            format!("{key} is labelled `{}`, the same text before it `{}`", labels.name(label), labels.name(earlier))
        });
        (self.config.conflicts == Conflicts::Drop).then_some("label-conflict")
    }

    /// Why a row that resembles an earlier one of its label is dropped.
    fn resembles(&mut self, texts: &[String], label: u32) -> Option<&'static str> {
        if !self.config.near {
            return None;
        }
        let Config { unit, shingle, permutations, threshold, .. } = self.config;
        let signatures: Vec<u32> = texts
            .iter()
            .enumerate()
            .flat_map(|(column, text)| self.minhash.signature(&minhash::shingles(text, unit, shingle, column)))
            .collect();
        let index = self.index.get_or_insert_with(|| Index::new(texts.len(), permutations, threshold));
        if index.finds(&signatures, label) {
            self.found.near_duplicates += 1;
            return Some("near-duplicate");
        }
        index.insert(&signatures, label);
        None
    }
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
        if let Some(label) = config.label.as_ref().filter(|label| config.fields.contains(label)) {
            return Err(Error::config(format!("the column `{label}` cannot be both a text to compare and the label")));
        }
        let minhash = MinHash::new(config.permutations, seed);
        Ok(Self {
            fields: config.fields.clone(),
            config,
            exact: HashMap::default(),
            minhash,
            index: None,
            labels: Labels::default(),
            found: Found::default(),
        })
    }

    fn describe(&self) -> PreprocessorContract {
        let fields = self.config.fields.clone();
        PreprocessorContract { reads: fields.clone(), writes: fields, stateful: true, cacheable: true }
    }

    fn process(&mut self, batch: Vec<Sample>) -> Result<BatchResult> {
        let mut result = BatchResult::default();
        for (source, sample) in batch.into_iter().enumerate() {
            match self.fault(&sample)? {
                Some(reason) => result.reject(source, reason),
                None => result.keep(source, sample.fields),
            }
        }
        Ok(result)
    }

    fn finish(&mut self) -> Result<Vec<Output>> {
        let Found { kept, duplicates, near_duplicates, conflicts, example } = std::mem::take(&mut self.found);
        logging::info(format!(
            "kept {kept} rows, dropped {duplicates} duplicates and {near_duplicates} near-duplicates"
        ));
        if let Some(example) = example {
            let fate = match self.config.conflicts {
                Conflicts::Drop => "dropped",
                Conflicts::Keep => "kept",
            };
            logging::warn(format!(
                "{conflicts} rows have the text of an earlier row and another label, and were {fate}: {example}"
            ));
        }
        self.exact.clear();
        self.index = None;
        self.fields.clone_from(&self.config.fields);
        self.labels = Labels::default();
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
        let config = Config { fields: vec!["text".into()], ..Config::default() };
        let mut dedup = Dedup::new(config, 0).unwrap();
        let error = dedup.process(texts("body", &["hello"])).unwrap_err();
        assert_eq!(error.message, "test:1 has no field `text`; it has `body`");
    }

    /// Rows of a premise, a hypothesis and a label.
    fn pairs(rows: &[[&str; 3]]) -> Vec<Sample> {
        let premises: Vec<&str> = rows.iter().map(|row| row[0]).collect();
        let mut samples = texts("premise", &premises);
        for (sample, [_, hypothesis, label]) in samples.iter_mut().zip(rows) {
            sample.set("hypothesis", *hypothesis);
            sample.set("label", *label);
        }
        samples
    }

    fn pair_fates(config: Config, rows: &[[&str; 3]]) -> Vec<Option<String>> {
        let mut dedup = Dedup::new(config, 7).unwrap();
        let fates = run_rows(&mut dedup, &pairs(rows), 2).unwrap();
        dedup.finish().unwrap();
        fates.iter().map(|fate| fate.reason().map(String::from)).collect()
    }

    fn of_pairs() -> Config {
        let fields = vec!["premise".into(), "hypothesis".into()];
        Config { fields, label: Some("label".into()), ..Config::default() }
    }

    #[test]
    fn rows_that_share_one_column_of_two_are_no_duplicates() {
        let rows = [
            [CARD, "The card is late", "entailment"],
            [CARD, "The card has come", "contradiction"],
            [CARD, "It rains", "neutral"],
            [CARD, "the card  is late", "entailment"],
            [CARD_NEARLY, "The card is late", "entailment"],
        ];
        let expected = [None, None, None, dropped("duplicate"), dropped("near-duplicate")];
        assert_eq!(pair_fates(of_pairs(), &rows), expected);
        // Without a recipe that names them, all columns of text but the label are compared.
        assert_eq!(pair_fates(Config { fields: Vec::new(), ..of_pairs() }, &rows), expected);
    }

    #[test]
    fn columns_are_not_run_together() {
        assert_eq!(
            pair_fates(of_pairs(), &[["a b", "c", "x"], ["a", "b c", "x"], ["c", "a b", "x"]]),
            [None, None, None]
        );
    }

    #[test]
    fn equal_texts_with_different_labels_are_counted_and_shown() {
        let rows = [["a", "b", "yes"], ["A", "b", "no"], ["a", "b", "no"], ["a", "b", "yes"], ["c", "d", "no"]];
        let conflict = || dropped("label-conflict");
        assert_eq!(pair_fates(of_pairs(), &rows), [None, conflict(), conflict(), dropped("duplicate"), None]);
        let warning = |fate: &str, count: u32| {
            format!(
                "{count} rows have the text of an earlier row and another label, and were {fate}: test:2 is labelled `no`, \
                 the same text before it `yes`"
            )
        };
        assert_eq!(logs()[1], (logging::Level::Warn, warning("dropped", 2)));
        let keep = Config { conflicts: Conflicts::Keep, ..of_pairs() };
        assert_eq!(pair_fates(keep, &rows), [None, None, dropped("duplicate"), dropped("duplicate"), None]);
        assert_eq!(logs()[1], (logging::Level::Warn, warning("kept", 1)));
        assert_eq!(pair_fates(Config { label: None, ..of_pairs() }, &rows[..2]), [None, dropped("duplicate")]);
    }

    #[test]
    fn near_duplicates_of_different_labels_both_stay() {
        let rows = [[CARD, "x", "late"], [CARD_NEARLY, "x", "website"], [CARD_NEARLY, "x", "late"]];
        assert_eq!(pair_fates(of_pairs(), &rows), [None, None, dropped("label-conflict")]);
        assert_eq!(pair_fates(of_pairs(), &[rows[0], rows[2]]), [None, dropped("near-duplicate")]);
    }

    #[test]
    fn a_row_without_a_label_is_in_no_conflict() {
        let mut rows = pairs(&[["a", "b", "yes"], ["a", "b", ""], ["a", "b", "yes"]]);
        rows[1].fields.pop();
        let mut dedup = Dedup::new(of_pairs(), 7).unwrap();
        let fates = run_rows(&mut dedup, &rows, 3).unwrap();
        assert_eq!(fates[1].reason(), Some("duplicate"));
        assert_eq!(fates[2].reason(), Some("duplicate"));
    }

    #[test]
    fn the_label_is_no_text_to_compare() {
        let config = Config { fields: vec!["label".into()], ..of_pairs() };
        let error = Dedup::new(config, 0).map(|_| ()).unwrap_err();
        assert_eq!(error.message, "the column `label` cannot be both a text to compare and the label");
    }

    #[test]
    fn rows_that_lack_a_column_that_nobody_named_are_compared_without_it() {
        let mut rows = pairs(&[["a", "b", "x"], ["a", "", "x"], ["a", "b", "x"], ["a", "", "x"]]);
        rows[1].fields.remove(1);
        let mut dedup = Dedup::new(Config { fields: Vec::new(), ..of_pairs() }, 7).unwrap();
        let fates = run_rows(&mut dedup, &rows, 4).unwrap();
        let reasons: Vec<_> = fates.iter().map(|fate| fate.reason()).collect();
        assert_eq!(reasons, [None, None, Some("duplicate"), Some("duplicate")]);
    }
}
