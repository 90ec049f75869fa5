//! One or more numbers per row: predictions `[batch, outputs]`, targets `[batch, outputs]`, both float32.

use super::info::{TaskInfo, Unlearnable};
use crate::{Example, Target};

pub(super) static INFO: TaskInfo = TaskInfo {
    name: "regression",
    description: "one or more numbers per text, or per pair of texts",
    class_suffix: "ForSequenceClassification",
    default_loss: "mean-squared-error",
    default_metrics: &["regression"],
    inputs: &["predictions", "targets", "weights", "hidden", "pooled"],
    label_rank: 2,
    has_labels: true,
    check,
};

fn check(outputs: &[String], example: &Example) -> Result<(), Unlearnable> {
    let s = |count: usize| if count == 1 { "" } else { "s" };
    let outputs = outputs.len();
    let (reason, help) = match &example.target {
        Target::Values(values) if values.len() != outputs => (
            format!("has {} number{}, but the model gives {outputs}", values.len(), s(values.len())),
            "every row must have as many numbers",
        ),
        Target::Values(values) => match values.iter().find(|value| !value.is_finite()) {
            None => return Ok(()),
            Some(value) => (format!("has the value {value}, expected a finite number"), "repair the row or remove it"),
        },
        Target::None => ("has no number".to_owned(), "name the column with the numbers in data.columns"),
        other => (format!("has {}, expected numbers", other.describe()), "check the task of data and model"),
    };
    Err(Unlearnable { reason, help })
}
