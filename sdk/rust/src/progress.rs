//! Where in a run a call happens.

/// A place in the run; the same on every worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Epochs completed.
    pub epoch: u32,
    /// Optimiser steps taken, not micro-batches.
    pub step: u64,
    /// Steps the run will take; absent when that is not known in advance.
    pub total_steps: Option<u64>,
}

impl Progress {
    /// The start of a run of unknown length.
    pub const START: Self = Self { epoch: 0, step: 0, total_steps: None };

    /// How much of the run is behind us, from 0 to 1; absent when its length is.
    pub fn fraction(&self) -> Option<f64> {
        let total = self.total_steps.filter(|total| *total > 0)?;
        Some((self.step as f64 / total as f64).min(1.0))
    }
}
