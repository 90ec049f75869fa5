//! The next token: logits `[batch, seq, vocab]`, labels `[batch, seq]` aligned with them.
//!
//! A row says which of its tokens are learnt; the shifted labels are derived when a
//! batch is made ([`Sequence::next_token_labels`](crate::Sequence::next_token_labels)).

use super::info::{TaskInfo, Unlearnable};
use crate::{Example, Target};

pub(super) static INFO: TaskInfo = TaskInfo {
    name: "causal-lm",
    description: "the next token of a text, or of a completion to a prompt",
    class_suffix: "ForCausalLM",
    default_loss: "cross-entropy",
    default_metrics: &["perplexity"],
    inputs: &["logits", "labels", "weights", "hidden"],
    label_rank: 2,
    has_labels: false,
    check,
};

fn check(_: &[String], example: &Example) -> Result<(), Unlearnable> {
    match &example.target {
        Target::None => Ok(()),
        other => Err(Unlearnable {
            reason: format!("has {}, expected tokens to learn", other.describe()),
            help: "check the task of data and model",
        }),
    }
}
