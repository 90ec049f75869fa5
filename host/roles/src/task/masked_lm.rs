//! Tokens that were hidden: logits `[batch, seq, vocab]`, labels `[batch, seq]`, -100 where nothing was hidden.
//!
//! Which tokens of a row are hidden is drawn anew in every epoch, when the row is read ([`Rows::in_epoch`](crate::Rows::in_epoch)),
//! so that a row that reaches the loop holds the ids that the model sees and the labels beside them.

use super::info::{TaskInfo, Unlearnable};
use super::tokens::labelled;
use crate::{Example, Target};

pub(super) static INFO: TaskInfo = TaskInfo {
    name: "masked-lm",
    description: "tokens of a text that were hidden, from both sides",
    class_suffix: "ForMaskedLM",
    default_loss: "cross-entropy",
    default_metrics: &["perplexity", "accuracy"],
    inputs: &["logits", "labels", "weights", "hidden"],
    label_rank: 2,
    has_labels: false,
    check,
};

fn check(_: &[String], example: &Example) -> Result<(), Unlearnable> {
    match &example.target {
        Target::Labels(found) => labelled(example, found),
        other => Err(Unlearnable {
            reason: format!("has {}, expected hidden tokens", other.describe()),
            help: "check the task of data and model",
        }),
    }
}
