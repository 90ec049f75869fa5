//! How well several labels a row are found: F1 over all cells and over labels, rows that are right altogether, cells that are wrong.
//!
//! Each is what scikit-learn computes from the indicator matrices: `f1_score(average="micro")` and `("macro")`, both with
//! `zero_division=0`, `accuracy_score` and `hamming_loss`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{failed, input};
use crate::{Batch, ErrorKind, Failure, InputSpec, Metric, Refusal, Result, RoleKind, ValueSpec};

const NAME: &str = "multi-label";

/// Settings of [`MultiLabel`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MultiLabelConfig {
    /// A label is predicted when its probability is at least this.
    #[serde(default = "half")]
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub threshold: f64,
}

fn half() -> f64 {
    0.5
}

/// Cells of one label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    /// Predicted and true.
    hits: u64,
    predicted: u64,
    labelled: u64,
}

/// What is kept, whatever the number of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    labels: Vec<Counts>,
    rows: u64,
    /// Rows of which every label is right.
    exact: u64,
}

/// Micro and macro F1, subset accuracy and hamming loss, and the F1 of each label behind them.
///
/// State: JSON, three counters a label and two for rows. Without rows, subset accuracy and hamming loss are NaN.
#[derive(Clone, Debug)]
pub struct MultiLabel {
    threshold: f64,
    state: State,
    names: Vec<String>,
    values: [ValueSpec; 4],
    wants: [InputSpec; 2],
}

impl MultiLabel {
    /// With nothing counted.
    ///
    /// # Errors
    /// When the threshold is no probability that can be reached and missed.
    pub fn new(config: &MultiLabelConfig) -> std::result::Result<Self, Refusal> {
        if !(config.threshold > 0.0 && config.threshold < 1.0) {
            let message = format!("`threshold` is {}; expected more than 0 and less than 1", config.threshold);
            return Err(Refusal::new(ErrorKind::Config, message));
        }
        let value = |name: &str, higher_is_better| ValueSpec { name: name.into(), unit: None, higher_is_better };
        Ok(Self {
            threshold: config.threshold,
            state: State::default(),
            names: Vec::new(),
            values: [
                value("micro_f1", true),
                value("macro_f1", true),
                value("subset_accuracy", true),
                value("hamming_loss", false),
            ],
            wants: [InputSpec::required("logits"), InputSpec::required("labels")],
        })
    }

    fn count(&mut self, logits: &[f32], labels: &[f32], classes: usize) {
        // sigmoid(x) >= t, without its rounding.
        let least = (self.threshold / (1.0 - self.threshold)).ln();
        self.state.labels.resize(self.state.labels.len().max(classes), Counts::default());
        for (logits, labels) in logits.chunks_exact(classes).zip(labels.chunks_exact(classes)) {
            let mut exact = true;
            for ((logit, label), counts) in logits.iter().zip(labels).zip(&mut self.state.labels) {
                let (predicted, labelled) = (f64::from(*logit) >= least, *label > 0.5);
                counts.hits += u64::from(predicted && labelled);
                counts.predicted += u64::from(predicted);
                counts.labelled += u64::from(labelled);
                exact &= predicted == labelled;
            }
            self.state.rows += 1;
            self.state.exact += u64::from(exact);
        }
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.hits += other.hits;
        self.predicted += other.predicted;
        self.labelled += other.labelled;
    }

    /// Zero where nothing is predicted and nothing true.
    fn f1(self) -> f64 {
        match self.predicted + self.labelled {
            0 => 0.0,
            both => 2.0 * self.hits as f64 / both as f64,
        }
    }

    fn wrong(self) -> u64 {
        self.predicted + self.labelled - 2 * self.hits
    }
}

impl Metric for MultiLabel {
    fn name(&self) -> &str {
        NAME
    }

    fn describe(&self) -> &[ValueSpec] {
        &self.values
    }

    fn wants(&self) -> &[InputSpec] {
        &self.wants
    }

    fn update(&mut self, batch: &Batch) -> Result<()> {
        let call = "update";
        let logits = input(batch, NAME, RoleKind::Metric, call, "logits")?;
        let labels = input(batch, NAME, RoleKind::Metric, call, "labels")?;
        let shape = logits.shape();
        if labels.shape() != shape || shape.len() != 2 {
            let reason = format!(
                "labels of shape {:?} for logits of shape {shape:?}, expected a label for each logit",
                labels.shape()
            );
            return Err(Failure::new(NAME, RoleKind::Metric, call, reason));
        }
        let read =
            |tensor: &retune_tensor::AnyTensor| tensor.to_float32().map_err(failed(NAME, RoleKind::Metric, call));
        self.names = batch.classes().to_vec();
        self.count(&read(logits)?, &read(labels)?, shape[1]);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Vec<u8>> {
        serde_json::to_vec(&self.state).map_err(|e| Failure::new(NAME, RoleKind::Metric, "snapshot", e.to_string()))
    }

    fn merge(&mut self, snapshot: &[u8]) -> Result<()> {
        let other: State = serde_json::from_slice(snapshot)
            .map_err(|e| Failure::new(NAME, RoleKind::Metric, "merge", format!("the state cannot be read: {e}")))?;
        self.state.labels.resize(self.state.labels.len().max(other.labels.len()), Counts::default());
        self.state.labels.iter_mut().zip(other.labels).for_each(|(own, other)| own.add(other));
        self.state.rows += other.rows;
        self.state.exact += other.exact;
        Ok(())
    }

    fn compute(&mut self) -> Result<Vec<(String, f64)>> {
        let State { labels, rows, exact } = &self.state;
        let mut all = Counts::default();
        labels.iter().for_each(|counts| all.add(*counts));
        let mean = labels.iter().map(|counts| counts.f1()).sum::<f64>() / labels.len().max(1) as f64;
        let cells = *rows as f64 * labels.len() as f64;
        let whole = [
            all.f1(),
            mean,
            *exact as f64 / *rows as f64,
            labels.iter().map(|counts| counts.wrong()).sum::<u64>() as f64 / cells,
        ];
        let named = self.values.iter().map(|value| value.name.clone()).zip(whole);
        let each = self.names.iter().zip(labels).map(|(name, counts)| (format!("f1.{name}"), counts.f1()));
        Ok(named.chain(each).collect())
    }

    fn reset(&mut self) -> Result<()> {
        self.state = State::default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use retune_tensor::{Device, from_float32};

    use super::*;

    fn metric(threshold: f64) -> MultiLabel {
        MultiLabel::new(&MultiLabelConfig { threshold }).unwrap()
    }

    fn batch(logits: &[f32], labels: &[f32]) -> Batch {
        let (device, rows) = (Device::flex(), labels.len() / 3);
        let names: [String; 3] = ["a", "b", "c"].map(String::from);
        Batch::new(Vec::new())
            .of_classes(names.to_vec().into())
            .with("logits", from_float32(logits.to_vec(), &[rows, 3], &device).unwrap())
            .with("labels", from_float32(labels.to_vec(), &[rows, 3], &device).unwrap())
    }

    /// Row 0 is right, row 1 lacks `b`, row 2 has `a` too many; `c` neither holds nor is predicted.
    const LOGITS: [f32; 9] = [2.0, -1.0, -3.0, 0.5, -0.1, -2.0, 0.0, 1.0, -1.0];
    const LABELS: [f32; 9] = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0];

    #[test]
    fn the_values_are_those_of_scikit_learn() {
        let mut metric = metric(0.5);
        metric.update(&batch(&LOGITS, &LABELS)).unwrap();
        let values = metric.compute().unwrap();
        // Of `a` 2 of 3 predicted hold, of 2 that hold 2 are found; of `b` 1 of 1, and 1 of 2.
        let (a, b) = (2.0 * 2.0 / 5.0, 2.0 / 3.0);
        let expected = [
            ("micro_f1", 6.0 / 8.0),
            ("macro_f1", (a + b) / 3.0),
            ("subset_accuracy", 1.0 / 3.0),
            ("hamming_loss", 2.0 / 9.0),
            ("f1.a", a),
            ("f1.b", b),
            ("f1.c", 0.0),
        ];
        for ((name, got), (expected_name, expected)) in values.iter().zip(expected) {
            assert_eq!(name, expected_name);
            assert!((got - expected).abs() < 1e-12, "{name}: {got} against {expected}");
        }
        assert_eq!(values.len(), expected.len());
    }

    #[test]
    fn the_threshold_is_one_of_probabilities_and_what_reaches_it_is_predicted() {
        let exact = |threshold: f64, logit: f32| {
            let mut metric = metric(threshold);
            metric.update(&batch(&[logit, -9.0, -9.0], &[1.0, 0.0, 0.0])).unwrap();
            metric.compute().unwrap()[2].1
        };
        assert_eq!((exact(0.5, 0.0), exact(0.5, -1e-6)), (1.0, 0.0));
        let logit_of_nine_tenths = 9f32.ln();
        assert_eq!((exact(0.9, logit_of_nine_tenths + 1e-4), exact(0.9, logit_of_nine_tenths - 1e-4)), (1.0, 0.0));
        for wrong in [0.0, 1.0, f64::NAN] {
            let refusal = MultiLabel::new(&MultiLabelConfig { threshold: wrong }).unwrap_err();
            assert!(refusal.message.ends_with("expected more than 0 and less than 1"), "{}", refusal.message);
        }
    }

    #[test]
    fn parts_merge_to_the_whole_in_any_order() {
        let mut whole = metric(0.5);
        whole.update(&batch(&LOGITS, &LABELS)).unwrap();
        let mut folded = metric(0.5);
        for row in [2, 0, 1] {
            let mut part = metric(0.5);
            part.update(&batch(&LOGITS[3 * row..3 * row + 3], &LABELS[3 * row..3 * row + 3])).unwrap();
            folded.merge(&part.snapshot().unwrap()).unwrap();
        }
        assert_eq!(whole.snapshot().unwrap(), folded.snapshot().unwrap());
        whole.reset().unwrap();
        assert!(whole.compute().unwrap()[2].1.is_nan());
        assert!(folded.merge(b"{").unwrap_err().to_string().contains("the state cannot be read"));
    }
}
