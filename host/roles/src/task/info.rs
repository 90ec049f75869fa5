//! What differs between tasks, written down once per task.

use crate::Example;

/// What the rooms need to know of a task.
#[derive(Debug)]
pub struct TaskInfo {
    /// As in a recipe: `causal-lm`.
    pub name: &'static str,
    /// One sentence for help texts, without a full stop.
    pub description: &'static str,
    /// What follows the family's name in a Hugging Face class: `ForCausalLM`.
    pub class_suffix: &'static str,
    /// The loss of a recipe that names none.
    pub default_loss: &'static str,
    /// The metrics of a recipe that names none.
    pub default_metrics: &'static [&'static str],
    /// Names that a role may ask of a [`Batch`](crate::Batch), besides `column.<name>`.
    pub inputs: &'static [&'static str],
    /// Dimensions of the tensor `labels`: 1 for `[batch]`, 2 for `[batch, seq]`.
    pub label_rank: usize,
    /// Whether a label set belongs to the task.
    pub has_labels: bool,
    /// Whether an example can be learnt from, given the names of the classes; the reason and the next step when it cannot.
    pub(super) check: fn(&[String], &Example) -> Result<(), Unlearnable>,
}

/// Why an example cannot be learnt from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlearnable {
    /// Completes "row KEY …": `has no label`.
    pub reason: String,
    /// What to do about it.
    pub help: &'static str,
}
