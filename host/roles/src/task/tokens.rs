//! What tasks with a label per token ask of a row.

use super::info::Unlearnable;
use crate::{Example, Sequence};

/// Refuses a row of several sequences, or with more or fewer labels than tokens.
pub(super) fn labelled(example: &Example, labels: &[i32]) -> Result<(), Unlearnable> {
    let tokens = example.sequences.first().map_or(0, Sequence::len);
    let (reason, help) = match example.sequences.len() {
        1 if labels.len() == tokens => return Ok(()),
        1 => (format!("has {tokens} tokens and {} labels", labels.len()), "give every token a label, or -100 for none"),
        several => (format!("has {several} sequences, expected one"), "check the task of data and model"),
    };
    Err(Unlearnable { reason, help })
}
