//! Accuracy, precision, recall and F1 of a classifier, and of each class
//! (van Rijsbergen 1979; averages as scikit-learn's `classification_report` defines them).
//!
//! ```text
//! precision = tp / (tp + fp)    recall = tp / (tp + fn)    f1 = 2 tp / (2 tp + fp + fn)
//! macro     = mean over classes          weighted = mean weighted by the class's true rows
//! ```
//!
//! Averages run over the classes that occur, as a label or as a prediction; where
//! a class divides by zero, it counts 0. The state is the confusion counts
//! ([`Confusion`]), of which all values are functions. Works on `logits [batch, classes]`,
//! `labels [batch]`, and on tokens with -100 left out.
//!
//! Price: each batch comes back from the device as one number per row, or one per cell of the
//! confusion matrix where those are fewer.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod confusion;

use retune_sdk::{Batch, Dtype, Error, IGNORE_INDEX, Metric, Result, ValueSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use confusion::Confusion;
use confusion::{Averages, ClassCounts};

/// Accuracy, precision, recall and F1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names in the order of the label set; with them each class's F1 is given as `f1.<name>`.
    pub class_names: Vec<String>,
}

/// Accuracy, precision, recall and F1.
pub struct ClassificationReport {
    class_names: Vec<String>,
}

impl Metric for ClassificationReport {
    type Config = Config;
    type State = Confusion;

    fn new(Config { class_names }: Config, _seed: u64) -> Result<Self> {
        let mut sorted = class_names.clone();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Error::config(format!("class_names has `{}` twice", pair[0]))),
            None => Ok(Self { class_names }),
        }
    }

    fn describe(&self) -> Vec<ValueSpec> {
        let own = ["accuracy", "macro_f1", "weighted_f1", "macro_precision", "macro_recall"].map(ValueSpec::higher);
        own.into_iter().chain(self.class_names.iter().map(|name| ValueSpec::higher(format!("f1.{name}")))).collect()
    }

    fn update(&self, state: &mut Confusion, batch: &Batch) -> Result<()> {
        let (logits, labels) = (batch.require("logits")?, batch.require("labels")?);
        let classes = logits.shape().last().copied().unwrap_or_default();
        if !self.class_names.is_empty() && self.class_names.len() != classes as usize {
            let given = self.class_names.len();
            return Err(Error::input(format!("class_names has {given} names and the model {classes} classes")));
        }
        // A row's cell in the confusion matrix as one number, -1 for rows without a label.
        let cells = u64::from(classes) * u64::from(classes);
        let predicted = logits.arg_max(-1, false);
        let ignored = labels.eq_scalar(IGNORE_INDEX as f64);
        let cell = labels.masked_fill(&ignored, 0.0) * f64::from(classes) + predicted;

        if cells <= labels.numel() {
            let counted = ignored.logical_not().cast(Dtype::Float32);
            let counts = cell.cast(Dtype::Float32).histogram(cells as u32, 0.0, cells as f64, Some(&counted));
            for (cell, count) in counts.to_float32()?.into_iter().enumerate() {
                state.add(cell as u32 / classes, cell as u32 % classes, count as u64);
            }
        } else {
            let cells = cell.masked_fill(&ignored, -1.0).to_int64()?;
            for cell in cells.into_iter().filter_map(|cell| u64::try_from(cell).ok()) {
                let classes = u64::from(classes);
                state.add((cell / classes) as u32, (cell % classes) as u32, 1);
            }
        }
        Ok(())
    }

    fn merge(&self, state: &mut Confusion, other: Confusion) -> Result<()> {
        state.merge(&other);
        Ok(())
    }

    fn compute(&self, state: &Confusion) -> Result<Vec<(String, f64)>> {
        let classes = state.classes();
        let averages = Averages::of(&classes);
        let own = [
            ("accuracy", averages.accuracy),
            ("macro_f1", averages.macro_f1),
            ("weighted_f1", averages.weighted_f1),
            ("macro_precision", averages.macro_precision),
            ("macro_recall", averages.macro_recall),
        ];
        let each = self.class_names.iter().enumerate().map(|(class, name)| {
            // NaN for a class that has not occurred: there is nothing to say about it.
            let f1 = classes.get(&(class as u32)).map_or(f64::NAN, ClassCounts::f1);
            (format!("f1.{name}"), f1)
        });
        Ok(own.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(each).collect())
    }
}

retune_sdk::export!(metric: ClassificationReport);

#[cfg(test)]
mod tests {
    use super::*;
    use retune_sdk::testing::{batch, check_metric_laws, observe};

    /// A batch whose logits say `predicted`, over `classes` classes.
    fn rows(labels: &[i64], predicted: &[usize], classes: u32) -> Batch {
        let logits: Vec<f32> = predicted
            .iter()
            .flat_map(|class| (0..classes as usize).map(|k| if k == *class { 1.0 } else { 0.0 }).collect::<Vec<_>>())
            .collect();
        let n = labels.len() as u32;
        batch().floats("logits", &[n, classes], &logits).ints("labels", &[n], labels).build()
    }

    fn report(names: &[&str], batches: &[Batch]) -> Vec<(String, f64)> {
        let config = Config { class_names: names.iter().map(|name| (*name).to_owned()).collect() };
        let metric = ClassificationReport::new(config, 0).unwrap();
        metric.compute(&observe(&metric, batches).unwrap()).unwrap()
    }

    fn value(values: &[(String, f64)], name: &str) -> f64 {
        values.iter().find(|(n, _)| n == name).unwrap().1
    }

    fn assert_value(values: &[(String, f64)], name: &str, expected: f64) {
        let actual = value(values, name);
        assert!((actual - expected).abs() < 1e-12, "{name}: {actual} is not {expected}");
    }

    /// The example of scikit-learn's user guide: true 0 1 2 0 1 2, predicted 0 2 1 0 0 1.
    #[test]
    fn it_gives_the_numbers_of_scikit_learns_example() {
        let values = report(&[], &[rows(&[0, 1, 2, 0, 1, 2], &[0, 2, 1, 0, 0, 1], 3)]);
        assert_value(&values, "accuracy", 2.0 / 6.0);
        assert_value(&values, "macro_precision", (2.0 / 3.0 + 0.0 + 0.0) / 3.0);
        assert_value(&values, "macro_recall", (1.0 + 0.0 + 0.0) / 3.0);
        assert_value(&values, "macro_f1", 0.8 / 3.0);
        assert_value(&values, "weighted_f1", 0.8 * 2.0 / 6.0);
    }

    /// By hand: class a has tp 2, fp 1, fn 1; b tp 1, fp 1, fn 2; c tp 2, fp 1, fn 0.
    #[test]
    fn each_class_and_both_averages_are_as_counted_by_hand() {
        let labels = [0, 0, 0, 1, 1, 1, 2, 2];
        let predicted = [0, 0, 1, 1, 0, 2, 2, 2];
        let values = report(&["a", "b", "c"], &[rows(&labels, &predicted, 3)]);
        let (a, b, c) = (4.0 / 6.0, 2.0 / 5.0, 4.0 / 5.0);
        assert_value(&values, "f1.a", a);
        assert_value(&values, "f1.b", b);
        assert_value(&values, "f1.c", c);
        assert_value(&values, "accuracy", 5.0 / 8.0);
        assert_value(&values, "macro_f1", (a + b + c) / 3.0);
        assert_value(&values, "weighted_f1", (3.0 * a + 3.0 * b + 2.0 * c) / 8.0);
        assert_value(&values, "macro_precision", (2.0 / 3.0 + 1.0 / 2.0 + 2.0 / 3.0) / 3.0);
        assert_value(&values, "macro_recall", (2.0 / 3.0 + 1.0 / 3.0 + 1.0) / 3.0);
    }

    #[test]
    fn reading_back_cells_and_reading_back_rows_give_the_same() {
        let labels = [0, 1, 1, 0, -100, 1];
        let predicted = [0, 1, 0, 1, 1, 1];
        let whole = [rows(&labels, &predicted, 2)]; // 4 cells, 6 rows: cells
        let single: Vec<Batch> = labels.iter().zip(predicted).map(|(l, p)| rows(&[*l], &[p], 2)).collect(); // rows
        assert_eq!(report(&[], &whole), report(&[], &single));
        assert_value(&report(&[], &whole), "accuracy", 3.0 / 5.0);
    }

    #[test]
    fn tokens_without_a_label_do_not_count() {
        let tokens = batch()
            .floats("logits", &[1, 3, 2], &[1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
            .ints("labels", &[1, 3], &[0, -100, 0])
            .build();
        assert_value(&report(&[], &[tokens]), "accuracy", 0.5);
    }

    #[test]
    fn classes_that_never_occur_are_left_out_of_the_averages() {
        let values = report(&["a", "b", "c"], &[rows(&[0, 1], &[0, 1], 3)]);
        assert_value(&values, "macro_f1", 1.0);
        assert!(value(&values, "f1.c").is_nan());
    }

    /// With a pass over the cells for each class, this is ten billion steps.
    #[test]
    fn a_label_set_of_any_size_is_reported() {
        let many = 100_000;
        let names = (0..many).map(|class| class.to_string()).collect();
        let metric = ClassificationReport::new(Config { class_names: names }, 0).unwrap();
        let mut state = Confusion::default();
        (0..many).for_each(|class| state.add(class, class - class % 2, 1));
        let values = metric.compute(&state).unwrap();
        assert_value(&values, "accuracy", 0.5);
        assert_value(&values[5..7], "f1.0", 2.0 / 3.0);
        assert_value(&values[5..7], "f1.1", 0.0);
        assert_eq!(values.len(), 5 + many as usize);
    }

    #[test]
    fn nothing_seen_means_undefined() {
        assert!(report(&[], &[]).iter().all(|(_, value)| value.is_nan()));
    }

    #[test]
    fn it_describes_what_it_computes_in_that_order() {
        let config = Config { class_names: vec!["a".into(), "b".into()] };
        let metric = ClassificationReport::new(config, 0).unwrap();
        let described: Vec<_> = metric.describe().into_iter().map(|spec| spec.name).collect();
        let computed: Vec<_> = report(&["a", "b"], &[]).into_iter().map(|(name, _)| name).collect();
        assert_eq!(described, computed);
    }

    #[test]
    fn names_that_do_not_fit_the_model_are_refused() {
        let metric = ClassificationReport::new(Config { class_names: vec!["a".into()] }, 0).unwrap();
        let error = observe(&metric, &[rows(&[0], &[0], 2)]).unwrap_err();
        assert_eq!(error.message, "class_names has 1 names and the model 2 classes");
        assert!(ClassificationReport::new(Config { class_names: vec!["a".into(), "a".into()] }, 0).is_err());
    }

    #[test]
    fn it_keeps_the_laws_of_a_metric() {
        let metric = ClassificationReport::new(Config::default(), 0).unwrap();
        let parts = [
            [rows(&[0, 1, 2], &[0, 2, 2], 3), rows(&[1], &[1], 3)],
            [rows(&[2, 2], &[0, 1], 3), rows(&[0], &[0], 3)],
            [rows(&[1, 1], &[1, 0], 3), rows(&[0, 0], &[2, 0], 3)],
        ];
        check_metric_laws(&metric, [&parts[0], &parts[1], &parts[2]]).unwrap();
    }
}
