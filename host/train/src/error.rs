//! What can stand in the way of a training run, said to a person.
//!
//! `Display` is one message: what was wrong and where. [`TrainError::help`] is the
//! next step, when there is one. Nothing in this crate panics for bad input.

use std::{io, path::PathBuf};

use retune_roles::{Failure, RoleKind};
use retune_tensor::TensorError;

use crate::model::ModelError;

/// Why a run was refused or ended early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting that cannot be, by its name in a recipe.
    #[error("{field}: {problem}")]
    Field {
        /// Dotted name, as in a recipe's section.
        field: String,
        /// One sentence.
        problem: String,
        /// The next step.
        help: Option<String>,
    },
    /// The examples cannot be trained on.
    #[error("{problem}")]
    Data {
        /// One sentence.
        problem: String,
        /// The next step.
        help: Option<String>,
    },
    /// A loss or a metric asks for a tensor this run cannot supply.
    #[error("{role} {who} asks for the tensor `{wanted}`, which this run cannot supply; it has {}", list(available))]
    Want {
        /// Loss or metric.
        role: RoleKind,
        /// Its name.
        who: String,
        /// What it asked for.
        wanted: String,
        /// What there is.
        available: Vec<String>,
        /// The name that was probably meant.
        nearest: Option<String>,
    },
    /// A glob that selects nothing.
    #[error("{field}: the pattern `{pattern}` matches no {what}")]
    Pattern {
        /// Where it stands: `strategy.freeze`, or the policy that gave it.
        field: String,
        /// The glob.
        pattern: String,
        /// `parameter` or `layer`.
        what: &'static str,
        /// Names that come close.
        nearest: Vec<String>,
    },
    /// Nothing is left to learn.
    #[error("{cause}: no parameter is left that learns")]
    NothingLearns {
        /// What froze the last one.
        cause: String,
    },
    /// A role failed, or answered what it may not.
    #[error(transparent)]
    Role(#[from] Failure),
    /// The loss or its gradient is not a finite number. Nothing of the step was applied.
    #[error("step {step}: {what} of loss {loss} is {value} {}; no weight was changed", rows(keys))]
    NonFinite {
        /// The optimiser step, from 1.
        step: u64,
        /// The loss's name.
        loss: String,
        /// `the numerator`, `the denominator`, `the gradient norm`.
        what: &'static str,
        /// What it was.
        value: f64,
        /// The rows of the micro-batch or window.
        keys: Vec<String>,
    },
    /// A loss that is not finite in a run in which a policy gave layers new weights.
    #[error("{error}; {change}")]
    AfterNewWeights {
        /// The loss.
        error: Box<TrainError>,
        /// Who did what, and when.
        change: String,
    },
    /// Weights are not finite numbers. What was written before is as it was.
    #[error("step {step}: `{parameter}` is not finite in {found}: {cause}; nothing of this step is kept")]
    Weights {
        /// Optimiser steps taken.
        step: u64,
        /// Its name.
        parameter: String,
        /// How many values, and one of them.
        found: String,
        /// Who changed it last, or with which rate.
        cause: String,
        /// The next step.
        help: String,
    },
    /// The model could not be run or changed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A tensor operation of the host's own failed.
    #[error("{doing}: {source}")]
    Tensor {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: TensorError,
    },
    /// A file could not be written or read.
    #[error("{}: {doing} failed: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A checkpoint that is intact, but not one of this run.
    #[error("{}: {problem}", path.display())]
    Checkpoint {
        /// Which.
        path: PathBuf,
        /// One sentence.
        problem: String,
        /// The next step.
        help: Option<String>,
    },
    /// Bytes of a frozen parameter changed: a fault of this program.
    #[error(
        "the frozen parameter `{parameter}` changed between steps {since} and {step}; the result is not to be trusted"
    )]
    FrozenChanged {
        /// Its name.
        parameter: String,
        /// When it was last known to be right.
        since: u64,
        /// When it was found.
        step: u64,
    },
    /// Another worker failed; nothing of the step was applied.
    #[error("worker {rank} failed at step {step}, so all have stopped; no weight was changed")]
    Peer {
        /// Which.
        rank: usize,
        /// The optimiser step, from 1.
        step: u64,
    },
    /// The workers cannot reach one another, or this run cannot be shared among them.
    #[error("workers: {problem}")]
    Workers {
        /// One sentence.
        problem: String,
    },
    /// The observer asked to stop. When it did by [`Observer::interrupted`](crate::Observer::interrupted)
    /// a checkpoint of this step was written; else nothing was saved beyond the last one.
    #[error("stopped after step {step}")]
    Stopped {
        /// Optimiser steps taken.
        step: u64,
    },
}

impl TrainError {
    /// A setting that cannot be.
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into(), help: None }
    }

    /// A tensor operation that failed while `doing`.
    pub(crate) fn tensor(doing: impl Into<String>) -> impl FnOnce(TensorError) -> Self {
        let doing = doing.into();
        move |source| Self::Tensor { doing, source }
    }

    /// The next step, when there is one.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Field { help, .. } | Self::Data { help, .. } | Self::Checkpoint { help, .. } => help.clone(),
            Self::Want { nearest, .. } => nearest.as_ref().map(|name| format!("did you mean `{name}`?")),
            Self::Pattern { nearest, .. } if !nearest.is_empty() => {
                Some(format!("the nearest names are {}", list(nearest)))
            }
            Self::Role(failure) => failure.details().help.clone(),
            Self::NonFinite { .. } => Some(
                "look at these rows first; then try a lower learning_rate, a longer warm-up or a smaller max_grad_norm"
                    .into(),
            ),
            Self::Weights { help, .. } => Some(help.clone()),
            Self::AfterNewWeights { .. } => Some(
                "have the policy give smaller weights (a standard deviation of 0.02 is usual), or leave it out of the recipe; \
                 then look at these rows"
                    .into(),
            ),
            Self::Peer { rank, .. } => Some(format!("the message of worker {rank} says why")),
            Self::NothingLearns { .. } => {
                Some("unfreeze at least the head, for example by leaving `classifier.**` out of strategy.freeze".into())
            }
            Self::FrozenChanged { .. } => Some("please report this as a bug, with the recipe".into()),
            _ => None,
        }
    }
}

/// Refuses `value` of `field` unless it is finite and `holds`.
pub(crate) fn in_range(field: &str, value: f64, holds: bool, expected: &str) -> Result<(), TrainError> {
    if value.is_finite() && holds {
        Ok(())
    } else {
        Err(TrainError::field(field, format!("{value} is not possible; give {expected}")))
    }
}

/// The most names that a sentence lists.
const LISTED: usize = 40;

/// `` `a`, `b` and `c` ``; of many the first, and how many more.
pub(crate) fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
    if names.len() > LISTED {
        return format!("{} and {} more", quoted.join(", "), names.len() - LISTED);
    }
    match quoted.as_slice() {
        [] => "none".into(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// The rows of a message.
fn rows(keys: &[String]) -> String {
    match keys {
        [] => String::new(),
        [one] => format!("on row {one}"),
        several => format!("on rows {}", retune_roles::text::rows(several)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_is_not_a_number_is_told_with_step_rows_and_name() {
        let keys = (1..=11).map(|n| format!("train.csv:{n}")).collect();
        let error =
            TrainError::NonFinite { step: 12, loss: "focal".into(), what: "the numerator", value: f64::NAN, keys };
        assert_eq!(
            error.to_string(),
            "step 12: the numerator of loss focal is NaN on rows train.csv:1, train.csv:2, train.csv:3, train.csv:4, \
             train.csv:5, train.csv:6, train.csv:7, train.csv:8 and 3 more; no weight was changed"
        );
    }
}
