//! One label per word: logits `[batch, seq, classes]`, labels `[batch, seq]`, -100 where a token has none.
//!
//! Which tokens carry the label of their word is settled when rows are made: the first piece, or all of them.

use super::info::{TaskInfo, Unlearnable};
use super::tokens::labelled;
use crate::{Example, IGNORE_INDEX, Target};

pub(super) static INFO: TaskInfo = TaskInfo {
    name: "token-classification",
    description: "one label per word of a text: names, parts of speech",
    class_suffix: "ForTokenClassification",
    default_loss: "cross-entropy",
    default_metrics: &["seqeval"],
    inputs: &["logits", "labels", "weights", "hidden"],
    label_rank: 2,
    has_labels: true,
    check,
};

fn check(labels: &[String], example: &Example) -> Result<(), Unlearnable> {
    let refuse = |reason, help| Err(Unlearnable { reason, help });
    match &example.target {
        Target::Labels(found) => {
            labelled(example, found)?;
            let classes = labels.len();
            let known =
                |label: &&i32| i64::from(**label) == IGNORE_INDEX || (0..classes as i64).contains(&i64::from(**label));
            match found.iter().find(|label| !known(label)) {
                None => Ok(()),
                Some(label) => refuse(
                    format!("has label {label}, but the model has {classes} labels"),
                    "the label set must cover every word",
                ),
            }
        }
        Target::None => refuse("has no tags".to_owned(), "name the column with the tags in data.columns"),
        other => refuse(
            format!("has {}, expected one label per token", other.describe()),
            "check the task of data and model",
        ),
    }
}
