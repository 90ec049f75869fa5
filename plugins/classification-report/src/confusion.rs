//! How often each class was taken for each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counts of (true class, predicted class). Only cells that occurred are kept, so
/// that the state grows with the mistakes a model makes and not with the square of the classes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Cells", into = "Cells")]
pub struct Confusion {
    cells: BTreeMap<(u32, u32), u64>,
}

/// The state as JSON knows it: keys of objects there are strings.
type Cells = Vec<(u32, u32, u64)>;

impl From<Cells> for Confusion {
    fn from(cells: Cells) -> Self {
        let mut confusion = Self::default();
        cells.into_iter().for_each(|(actual, predicted, count)| confusion.add(actual, predicted, count));
        confusion
    }
}

impl From<Confusion> for Cells {
    fn from(confusion: Confusion) -> Self {
        confusion.cells.into_iter().map(|((actual, predicted), count)| (actual, predicted, count)).collect()
    }
}

/// What is known of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassCounts {
    /// Rows of this class that were taken for it.
    pub hits: u64,
    /// Rows of this class.
    pub actual: u64,
    /// Rows that were taken for it.
    pub predicted: u64,
}

impl ClassCounts {
    /// Hits over predictions; 0 when it was never predicted.
    pub fn precision(&self) -> f64 {
        ratio(self.hits, self.predicted)
    }

    /// Hits over rows; 0 when it has none.
    pub fn recall(&self) -> f64 {
        ratio(self.hits, self.actual)
    }

    /// The harmonic mean of both.
    pub fn f1(&self) -> f64 {
        ratio(2 * self.hits, self.actual + self.predicted)
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Values over all classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Averages {
    /// Hits over rows.
    pub accuracy: f64,
    /// Mean of the classes' F1.
    pub macro_f1: f64,
    /// The same, weighted by the classes' rows.
    pub weighted_f1: f64,
    /// Mean of the classes' precision.
    pub macro_precision: f64,
    /// Mean of the classes' recall.
    pub macro_recall: f64,
}

impl Confusion {
    /// Counts rows of class `actual` that were taken for `predicted`.
    pub fn add(&mut self, actual: u32, predicted: u32, count: u64) {
        if count > 0 {
            *self.cells.entry((actual, predicted)).or_default() += count;
        }
    }

    /// Adds another part of the evaluation set.
    pub fn merge(&mut self, other: &Self) {
        other.cells.iter().for_each(|((actual, predicted), count)| self.add(*actual, *predicted, *count));
    }

    /// What is known of each class that occurred. A pass over all cells: ask once.
    pub fn classes(&self) -> BTreeMap<u32, ClassCounts> {
        let mut classes: BTreeMap<u32, ClassCounts> = BTreeMap::new();
        for ((actual, predicted), count) in &self.cells {
            classes.entry(*actual).or_default().actual += count;
            let taken = classes.entry(*predicted).or_default();
            taken.predicted += count;
            taken.hits += if actual == predicted { *count } else { 0 };
        }
        classes
    }
}

impl Averages {
    /// Values over all classes; all NaN when there is none.
    pub fn of(classes: &BTreeMap<u32, ClassCounts>) -> Self {
        let classes: Vec<&ClassCounts> = classes.values().collect();
        let rows: f64 = classes.iter().map(|class| class.actual as f64).sum();
        let mean =
            |f: fn(&ClassCounts) -> f64| classes.iter().map(|class| f(class)).sum::<f64>() / classes.len() as f64;
        Self {
            accuracy: classes.iter().map(|class| class.hits as f64).sum::<f64>() / rows,
            macro_f1: mean(ClassCounts::f1),
            weighted_f1: classes.iter().map(|class| class.actual as f64 * class.f1()).sum::<f64>() / rows,
            macro_precision: mean(ClassCounts::precision),
            macro_recall: mean(ClassCounts::recall),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn confusion() -> impl Strategy<Value = Confusion> {
        prop::collection::vec((0u32..4, 0u32..4, 0u64..5), 0..8).prop_map(Confusion::from)
    }

    fn sum(a: &Confusion, b: &Confusion) -> Confusion {
        let mut all = a.clone();
        all.merge(b);
        all
    }

    proptest! {
        #[test]
        fn merging_is_associative_and_commutative_and_nothing_is_its_unit(
            a in confusion(), b in confusion(), c in confusion(),
        ) {
            prop_assert_eq!(sum(&a, &b), sum(&b, &a));
            prop_assert_eq!(sum(&sum(&a, &b), &c), sum(&a, &sum(&b, &c)));
            prop_assert_eq!(sum(&a, &Confusion::default()), a);
        }

        #[test]
        fn every_value_is_a_share(a in confusion()) {
            let Averages { accuracy, macro_f1, weighted_f1, macro_precision, macro_recall } = Averages::of(&a.classes());
            for value in [accuracy, macro_f1, weighted_f1, macro_precision, macro_recall] {
                prop_assert_eq!(value.is_nan(), a.cells.is_empty());
                prop_assert!(value.is_nan() || (0.0..=1.0 + 1e-12).contains(&value));
            }
        }

        #[test]
        fn a_state_survives_as_json(a in confusion()) {
            let bytes = retune_sdk::state::encode(&a).unwrap();
            prop_assert_eq!(retune_sdk::state::decode::<Confusion>(&bytes).unwrap(), a);
        }
    }
}
