//! Texts that stand where they should be new.
//!
//! Compared is the digest of the text as it was tokenised, after preprocessing: two rows that differ only by what
//! a stage cleans away are the same row to the model. Not an error: some data sets repeat
//! themselves on purpose. But a score over such rows says nothing about new text.

use std::collections::{HashMap, HashSet};

use crate::report::Overlap;
use crate::selection::Selection;
use crate::spec::SplitName;

/// Pairs of keys that the report shows.
const SHOWN: usize = 5;

/// Rows of `rows` whose text also stands in `others`.
pub(crate) fn overlap(split: SplitName, rows: &Selection, with: SplitName, others: &Selection) -> Option<Overlap> {
    let mut known: HashMap<[u8; 16], usize> = HashMap::with_capacity(others.len());
    for (row, other) in others.heads().enumerate() {
        known.entry(other.text).or_insert(row);
    }
    let mut found = Overlap { split, with, count: 0, examples: Vec::new() };
    for (row, head) in rows.heads().enumerate().filter(|(_, head)| !head.empty) {
        if let Some(&other) = known.get(&head.text) {
            found.count += 1;
            if found.examples.len() < SHOWN {
                found.examples.push((rows.key(row), others.key(other)));
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
pub(crate) fn repeats(rows: &Selection) -> Repeats {
    let mut first: HashMap<[u8; 16], (usize, Option<u32>)> = HashMap::with_capacity(rows.len());
    let mut contradicted: HashSet<[u8; 16]> = HashSet::new();
    let mut repeats = Repeats::default();
    for (row, head) in rows.heads().enumerate().filter(|(_, head)| !head.empty) {
        let class = rows.class(&head);
        let Some(&(earlier, other)) = first.get(&head.text) else {
            first.insert(head.text, (row, class));
            continue;
        };
        repeats.repeated += 1;
        if other != class && contradicted.insert(head.text) {
            repeats.contradictions += 1;
            repeats.example.get_or_insert_with(|| (rows.key(earlier), rows.key(row)));
        }
    }
    repeats
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Row, text_digest};

    fn rows(rows: &[(&str, &str, u32)]) -> Selection {
        let row = |&(key, text, class): &(&str, &str, u32)| Row {
            label: Some(class.to_string()),
            text: text_digest(text, None),
            ..crate::testing::row(key)
        };
        crate::testing::selection(rows.iter().map(row))
    }

    #[test]
    fn a_test_row_that_stands_in_train_is_found_with_the_row_it_repeats() {
        let train = rows(&[("train.csv:2", "a", 0), ("train.csv:3", "b", 1), ("train.csv:4", "a", 0)]);
        let test = rows(&[("test.csv:2", "c", 0), ("test.csv:3", "a", 0)]);
        let found = overlap(SplitName::Test, &test, SplitName::Train, &train).unwrap();
        assert_eq!(found.count, 1);
        assert_eq!(found.examples, [("test.csv:3".to_owned(), "train.csv:2".to_owned())]);
        assert_eq!(overlap(SplitName::Test, &test.part(&[true]).0, SplitName::Train, &train), None);
    }

    #[test]
    fn one_text_with_two_labels_is_a_contradiction_counted_once() {
        let rows = rows(&[("t:2", "a", 0), ("t:3", "a", 1), ("t:4", "a", 1), ("t:5", "b", 0), ("t:6", "b", 0)]);
        let found = repeats(&rows);
        assert_eq!((found.repeated, found.contradictions), (3, 1));
        assert_eq!(found.example, Some(("t:2".to_owned(), "t:3".to_owned())));
    }
}
