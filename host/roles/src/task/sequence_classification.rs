//! One label per row: logits `[batch, classes]`, labels `[batch]`.

use super::info::{TaskInfo, Unlearnable};
use crate::{Example, Target};

pub(super) static INFO: TaskInfo = TaskInfo {
    name: "sequence-classification",
    description: "one label per text, or per pair of texts",
    class_suffix: "ForSequenceClassification",
    default_loss: "cross-entropy",
    default_metrics: &["accuracy"],
    inputs: &["logits", "labels", "weights", "hidden", "pooled"],
    label_rank: 1,
    has_labels: true,
    check,
};

fn check(labels: &[String], example: &Example) -> Result<(), Unlearnable> {
    let labels = labels.len();
    let (reason, help) = match &example.target {
        Target::Class(class) if (*class as usize) < labels => return Ok(()),
        Target::Class(class) => {
            (format!("has class {class}, but the model has {labels} labels"), "the label set must cover every row")
        }
        Target::None => ("has no label".to_owned(), "name the column with the labels in data.columns"),
        other => (format!("has {}, expected one class", other.describe()), "check the task of data and model"),
    };
    Err(Unlearnable { reason, help })
}
