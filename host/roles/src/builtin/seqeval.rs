//! Precision, recall and F1 over entities, as `seqeval` computes them in its default mode, which is that of `conlleval`.
//!
//! An entity is a run of words whose tags say so (`B-PER`, `I-PER`), and counts as found when its first and last word and its type
//! are. Only words that carry a label are looked at. An `I-` that continues nothing begins an entity, and so does the first of a
//! run of tags without a prefix. What is undefined is zero, as there.

use std::collections::BTreeMap;

use super::{failed, input};
use crate::{Batch, Failure, IGNORE_INDEX, InputSpec, Metric, Result, RoleKind, ValueSpec};

const NAME: &str = "seqeval";

/// Entities of one type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Counts {
    /// Predicted and true.
    hits: u64,
    predicted: u64,
    labelled: u64,
}

/// What is kept, whatever the number of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct State {
    types: BTreeMap<String, Counts>,
    correct: u64,
    words: u64,
}

/// Scores of entities, and the share of words whose tag is predicted.
///
/// State: JSON, three counters for each type and two for words. The accuracy is NaN when there is no label.
#[derive(Clone, Debug)]
pub struct Seqeval {
    state: State,
    values: [ValueSpec; 4],
    wants: [InputSpec; 2],
}

/// An entity: its type, its first and its last word.
type Entity = (String, usize, usize);

impl Seqeval {
    /// With nothing counted.
    pub fn new() -> Self {
        let value = |name: &str| ValueSpec { name: name.into(), unit: None, higher_is_better: true };
        Self {
            state: State::default(),
            values: ["f1", "precision", "recall", "accuracy"].map(value),
            wants: [InputSpec::required("logits"), InputSpec::required("labels")],
        }
    }

    /// Counts one row: the tags of its words, and what is predicted of them.
    fn row(&mut self, labels: &[&str], predictions: &[&str]) {
        let (labelled, predicted) = (entities(labels), entities(predictions));
        for (kind, ..) in &labelled {
            self.counts(kind).labelled += 1;
        }
        for entity in &predicted {
            self.counts(&entity.0).predicted += 1;
            // No two entities of a row end with the same word, and they come in that order.
            let place = labelled.binary_search_by_key(&entity.2, |found| found.2);
            self.counts(&entity.0).hits += u64::from(place.is_ok_and(|at| labelled[at] == *entity));
        }
        self.state.words += labels.len() as u64;
        self.state.correct += labels.iter().zip(predictions).filter(|(label, found)| label == found).count() as u64;
    }

    fn counts(&mut self, kind: &str) -> &mut Counts {
        self.state.types.entry(kind.to_owned()).or_default()
    }
}

impl Default for Seqeval {
    fn default() -> Self {
        Self::new()
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.hits += other.hits;
        self.predicted += other.predicted;
        self.labelled += other.labelled;
    }

    fn precision(self) -> f64 {
        share(self.hits, self.predicted)
    }

    fn recall(self) -> f64 {
        share(self.hits, self.labelled)
    }

    fn f1(self) -> f64 {
        // Twice the product over the sum of precision and recall, with each counter once.
        share(2 * self.hits, self.predicted + self.labelled)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// What a tag says: its position in an entity, and the entity's type.
fn parts(tag: &str) -> (char, &str) {
    let mut chars = tag.chars();
    let prefix = chars.next().unwrap_or('O');
    let rest = chars.as_str();
    let kind = rest.split_once('-').map_or(rest, |(_, kind)| kind);
    (prefix, if kind.is_empty() { "_" } else { kind })
}

/// The entities of a row of tags, by the rules of `conlleval`.
fn entities(tags: &[&str]) -> Vec<Entity> {
    let mut found = Vec::new();
    let (mut before, mut kind_before, mut begin) = ('O', "", 0);
    for (at, tag) in tags.iter().copied().chain(["O"]).enumerate() {
        let (prefix, kind) = parts(tag);
        let other = kind_before != kind;
        let ends = match before {
            'E' | 'S' => true,
            'B' | 'I' => matches!(prefix, 'B' | 'S' | 'O') || other,
            'O' | '.' => false,
            _ => other,
        };
        let begins = match prefix {
            'B' | 'S' => true,
            'E' | 'I' => matches!(before, 'E' | 'S' | 'O') || other,
            'O' | '.' => false,
            _ => other,
        };
        if ends {
            found.push((kind_before.to_owned(), begin, at - 1));
        }
        if begins {
            begin = at;
        }
        (before, kind_before) = (prefix, kind);
    }
    found
}

impl Metric for Seqeval {
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
        let fails = failed(NAME, RoleKind::Metric, call);
        let logits = input(batch, NAME, RoleKind::Metric, call, "logits")?;
        let labels = input(batch, NAME, RoleKind::Metric, call, "labels")?;
        let refuse = |reason: String| Err(Failure::new(NAME, RoleKind::Metric, call, reason));
        let (shape, classes) = (labels.shape(), batch.classes());
        let [_, width] = shape[..] else { return refuse(format!("labels of shape {shape:?}, expected one per token")) };
        if logits.shape() != [&shape[..], &[classes.len()]].concat() {
            return refuse(format!(
                "logits of shape {:?} for labels of shape {shape:?} and {} tags",
                logits.shape(),
                classes.len()
            ));
        }
        let predictions = logits.untracked().arg_max(-1, false).and_then(|found| found.to_int64()).map_err(&fails)?;
        let labels = labels.to_int64().map_err(&fails)?;
        for (labels, predictions) in labels.chunks(width.max(1)).zip(predictions.chunks(width.max(1))) {
            let (mut wanted, mut given) = (Vec::new(), Vec::new());
            for (label, prediction) in labels.iter().zip(predictions).filter(|(label, _)| **label != IGNORE_INDEX) {
                let name =
                    |class: i64| usize::try_from(class).ok().and_then(|class| classes.get(class)).map(String::as_str);
                let (Some(label), Some(prediction)) = (name(*label), name(*prediction)) else {
                    return refuse(format!(
                        "label {label} is neither {IGNORE_INDEX} nor one of the {} tags",
                        classes.len()
                    ));
                };
                wanted.push(label);
                given.push(prediction);
            }
            self.row(&wanted, &given);
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Vec<u8>> {
        serde_json::to_vec(&self.state)
            .map_err(|error| Failure::new(NAME, RoleKind::Metric, "snapshot", error.to_string()))
    }

    fn merge(&mut self, snapshot: &[u8]) -> Result<()> {
        let other: State = serde_json::from_slice(snapshot)
            .map_err(|error| Failure::new(NAME, RoleKind::Metric, "merge", format!("the state is damaged: {error}")))?;
        for (kind, counts) in other.types {
            self.state.types.entry(kind).or_default().add(counts);
        }
        self.state.correct += other.correct;
        self.state.words += other.words;
        Ok(())
    }

    fn compute(&mut self) -> Result<Vec<(String, f64)>> {
        let mut all = Counts::default();
        self.state.types.values().for_each(|counts| all.add(*counts));
        let overall = [("f1", all.f1()), ("precision", all.precision()), ("recall", all.recall())];
        let accuracy = ("accuracy".to_owned(), self.state.correct as f64 / self.state.words as f64);
        let each = self.state.types.iter().map(|(kind, counts)| (format!("f1.{kind}"), counts.f1()));
        Ok(overall.map(|(name, value)| (name.to_owned(), value)).into_iter().chain([accuracy]).chain(each).collect())
    }

    fn reset(&mut self) -> Result<()> {
        self.state = State::default();
        Ok(())
    }
}

#[cfg(test)]
#[path = "seqeval_tests.rs"]
mod tests;
