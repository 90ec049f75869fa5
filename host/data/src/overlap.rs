//! Texts that stand where they should be new.
//!
//! Compared is the digest of the text as it was tokenised, after preprocessing: two rows that differ only by what
//! a stage cleans away are the same row to the model. Not an error: some data sets repeat
//! themselves on purpose. But a score over such rows says nothing about new text.

use std::collections::{HashMap, HashSet};

use crate::report::Overlap;
use crate::row::Row;
use crate::spec::SplitName;

/// Pairs of keys that the report shows.
const SHOWN: usize = 5;

/// Rows of `rows` whose text also stands in `others`.
pub fn overlap(split: SplitName, rows: &[Row], with: SplitName, others: &[Row]) -> Option<Overlap> {
    let mut known: HashMap<[u8; 16], &str> = HashMap::with_capacity(others.len());
    for other in others {
        known.entry(other.text).or_insert(&other.key);
    }
    let mut found = Overlap { split, with, count: 0, examples: Vec::new() };
    for row in rows.iter().filter(|row| !row.empty) {
        if let Some(&other) = known.get(&row.text) {
            found.count += 1;
            if found.examples.len() < SHOWN {
                found.examples.push((row.key.clone(), other.to_owned()));
            }
        }
    }
    (found.count > 0).then_some(found)
}

/// Repetitions inside one split.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Repeats {
    /// Rows whose text stood in an earlier row.
    pub repeated: u64,
    /// Texts that carry more than one label.
    pub contradictions: u64,
    /// The first rows that contradict each other.
    pub example: Option<(String, String)>,
}

/// Counts repeated texts, and those among them whose labels differ.
pub fn repeats(rows: &[Row]) -> Repeats {
    let mut first: HashMap<[u8; 16], &Row> = HashMap::with_capacity(rows.len());
    let mut contradicted: HashSet<[u8; 16]> = HashSet::new();
    let mut repeats = Repeats::default();
    for row in rows.iter().filter(|row| !row.empty) {
        let Some(earlier) = first.get(&row.text) else {
            first.insert(row.text, row);
            continue;
        };
        repeats.repeated += 1;
        if earlier.class != row.class && contradicted.insert(row.text) {
            repeats.contradictions += 1;
            repeats.example.get_or_insert_with(|| (earlier.key.clone(), row.key.clone()));
        }
    }
    repeats
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::text_digest;

    fn row(key: &str, text: &str, class: u32) -> Row {
        Row { class: Some(class), ..crate::split::tests::row(key, text_digest(text, None)) }
    }

    #[test]
    fn a_test_row_that_stands_in_train_is_found_with_the_row_it_repeats() {
        let train = [row("train.csv:2", "a", 0), row("train.csv:3", "b", 1), row("train.csv:4", "a", 0)];
        let test = [row("test.csv:2", "c", 0), row("test.csv:3", "a", 0)];
        let found = overlap(SplitName::Test, &test, SplitName::Train, &train).unwrap();
        assert_eq!(found.count, 1);
        assert_eq!(found.examples, [("test.csv:3".to_owned(), "train.csv:2".to_owned())]);
        assert_eq!(overlap(SplitName::Test, &test[..1], SplitName::Train, &train), None);
    }

    #[test]
    fn one_text_with_two_labels_is_a_contradiction_counted_once() {
        let rows = [row("t:2", "a", 0), row("t:3", "a", 1), row("t:4", "a", 1), row("t:5", "b", 0), row("t:6", "b", 0)];
        let found = repeats(&rows);
        assert_eq!((found.repeated, found.contradictions), (3, 1));
        assert_eq!(found.example, Some(("t:2".to_owned(), "t:3".to_owned())));
    }
}
