//! The confusion matrix of a classifier, as the pairs of classes that occur.
//!
//! Price: memory for each pair seen, never more than there are rows. A table of all pairs would
//! take 3.2 GB for 20,000 classes, nearly all of it zeros.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Rows by true and predicted class.
///
/// As JSON it is a list of `[class, predicted, rows]` in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u32, u32, u64)>", into = "Vec<(u32, u32, u64)>")]
pub struct Confusion(BTreeMap<(u32, u32), u64>);

impl Confusion {
    /// Counts a row of class `class` that was taken for one of `predicted`.
    pub fn add(&mut self, class: u32, predicted: u32) {
        *self.0.entry((class, predicted)).or_default() += 1;
    }

    /// Rows of class `class` that were taken for `predicted`.
    pub fn rows(&self, class: u32, predicted: u32) -> u64 {
        self.0.get(&(class, predicted)).copied().unwrap_or(0)
    }

    /// Class, predicted class and number of rows of every pair that occurs, by class, then by predicted class.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, u32, u64)> + '_ {
        self.0.iter().map(|(&(class, predicted), &rows)| (class, predicted, rows))
    }

    /// How many pairs occur.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when no row was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<(u32, u32, u64)>> for Confusion {
    fn from(pairs: Vec<(u32, u32, u64)>) -> Self {
        let mut all = BTreeMap::new();
        for (class, predicted, rows) in pairs.into_iter().filter(|(.., rows)| *rows > 0) {
            *all.entry((class, predicted)).or_insert(0) += rows;
        }
        Self(all)
    }
}

impl From<Confusion> for Vec<(u32, u32, u64)> {
    fn from(confusion: Confusion) -> Self {
        confusion.pairs().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn only_pairs_that_occur_are_kept_and_written_whatever_the_number_of_classes() {
        let mut confusion = Confusion::default();
        for (class, predicted) in [(19_999, 0), (3, 3), (19_999, 0), (3, 2)] {
            confusion.add(class, predicted);
        }
        assert_eq!((confusion.len(), confusion.rows(19_999, 0), confusion.rows(0, 0)), (3, 2, 0));
        let json = serde_json::to_string(&confusion).unwrap();
        assert_eq!(json, "[[3,2,1],[3,3,1],[19999,0,2]]");
        assert_eq!(serde_json::from_str::<Confusion>(&json).unwrap(), confusion);
    }
}
