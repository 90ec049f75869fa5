//! Where in a run a call happens.

use serde::{Deserialize, Serialize};

/// A place in the run; the same on every worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs completed.
    pub epoch: u32,
    /// Optimiser steps taken, not micro-batches.
    pub step: u64,
    /// Steps the run will take; absent when that is not known in advance.
    pub total_steps: Option<u64>,
}
