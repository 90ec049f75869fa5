//! Several labels per row, or none: logits `[batch, classes]`, labels `[batch, classes]`, float32 1 where a label holds, else 0.
//!
//! Every class is a question of its own, so that the classes' probabilities do not sum to one. The labels are floats, so that
//! a loss multiplies with them as they are.

use super::info::{TaskInfo, Unlearnable};
use crate::{Example, Target};

pub(super) static INFO: TaskInfo = TaskInfo {
    name: "multi-label-classification",
    description: "any number of labels per text, or per pair of texts",
    class_suffix: "ForSequenceClassification",
    default_loss: "binary-cross-entropy",
    default_metrics: &["multi-label"],
    inputs: &["logits", "labels", "weights", "hidden", "pooled"],
    label_rank: 2,
    has_labels: true,
    check,
};

fn check(labels: &[String], example: &Example) -> Result<(), Unlearnable> {
    let labels = labels.len();
    let (reason, help) = match &example.target {
        Target::Classes(classes) => match classes.iter().find(|class| **class as usize >= labels) {
            None => return Ok(()),
            Some(class) => {
                (format!("has class {class}, but the model has {labels} labels"), "the label set must cover every row")
            }
        },
        Target::None => ("has no list of labels".to_owned(), "name the column with the labels in data.columns"),
        other => {
            (format!("has {}, expected any number of classes", other.describe()), "check the task of data and model")
        }
    };
    Err(Unlearnable { reason, help })
}
