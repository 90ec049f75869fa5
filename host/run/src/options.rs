//! What is asked of a run, and how it comes out.

use std::path::PathBuf;

use crate::interrupt::Interrupt;
use crate::plan::Plan;
use crate::summary::Summary;
use retune_recipe::diagnostic::Diagnostic;

/// What is asked of a run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Where it goes; none means the next free `runs/<name>-<n>`.
    pub output: Option<PathBuf>,
    /// Go on from the last checkpoint.
    pub resume: bool,
    /// Stop before the first step and show the plan.
    pub dry_run: bool,
    /// Evaluate before and after training, and on the test set.
    pub measure: bool,
    /// Who may stop it.
    pub interrupt: Interrupt,
}

/// How it came out.
#[allow(clippy::large_enum_variant, reason = "made once per process")]
pub enum RunOutcome {
    /// Shown, not run.
    Planned(Plan),
    /// Run to its end.
    Finished(Summary),
    /// Stopped by its [`Interrupt`].
    Interrupted {
        /// Where, and how to go on.
        stopped: Diagnostic,
        /// What a process ends with that stops for this.
        exit_code: u8,
    },
}
