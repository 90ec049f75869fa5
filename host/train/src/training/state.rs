//! What a run knows between two steps, apart from tensors.
//!
//! Together with the weights, the optimiser's moments and the roles' own bytes it
//! is all that decides how the run goes on. There is no generator state: random numbers
//! are a function of the seed and of what they are drawn for.

use retune_roles::Progress;
use serde::{Deserialize, Serialize};

use crate::{
    files::exact::Exact,
    freeze::authors::Authors,
    freeze::changes::LayerSetting,
    freeze::frozen::Frozen,
    freeze::statistics::Watch,
    spec::{EarlyStopping, Mode},
    training::sampler::Position,
};

/// Weights of the exponential mean of the training loss: about the last twenty steps.
const SMOOTHING: f64 = 0.95;

/// An exponential mean without the bias of its start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Smoothed {
    sum: Exact,
    weight: Exact,
}

impl Default for Smoothed {
    fn default() -> Self {
        Self { sum: Exact(0.0), weight: Exact(0.0) }
    }
}

impl Smoothed {
    /// Takes in one more value.
    pub fn add(&mut self, value: f64) {
        self.sum.0 = SMOOTHING * self.sum.0 + (1.0 - SMOOTHING) * value;
        self.weight.0 = SMOOTHING * self.weight.0 + (1.0 - SMOOTHING);
    }

    /// The mean, once there is a value.
    pub fn get(&self) -> Option<f64> {
        (self.weight.0 > 0.0).then(|| self.sum.0 / self.weight.0)
    }
}

/// The evaluation that did best so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Leader {
    /// Whose weights it saw.
    pub step: u64,
    /// Of the watched metric.
    pub value: Exact,
}

impl Leader {
    /// Whether `value` is better than `leader` by more than `margin`. NaN is never better.
    pub fn beaten_by(leader: Option<&Self>, value: f64, mode: Mode, margin: f64) -> bool {
        let Some(leader) = leader else { return !value.is_nan() };
        match mode {
            Mode::Max => value > leader.value.0 + margin,
            Mode::Min => value < leader.value.0 - margin,
        }
    }
}

/// How long nothing got better.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Patience {
    /// The last evaluation that was better by enough.
    pub best: Option<Leader>,
    /// Evaluations since then.
    pub waited: u32,
}

impl Patience {
    /// Takes in one evaluation; true when the run should end.
    pub fn exhausted(&mut self, step: u64, value: f64, mode: Mode, rule: EarlyStopping) -> bool {
        if Leader::beaten_by(self.best.as_ref(), value, mode, rule.min_delta) {
            *self = Self { best: Some(Leader { step, value: Exact(value) }), waited: 0 };
        } else {
            self.waited += 1;
        }
        self.waited >= rule.patience
    }
}

/// What a run knows between two steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Optimiser steps taken.
    pub step: u64,
    /// The next window.
    pub position: Position,
    /// Of the training loss.
    pub smoothed: Smoothed,
    /// For `evaluation.best`.
    pub best: Option<Leader>,
    /// For `evaluation.early_stopping`.
    pub patience: Patience,
    /// What policies set, one a layer.
    pub settings: Vec<LayerSetting>,
    /// Who changed layers last.
    #[serde(default)]
    pub authors: Authors,
    /// What does not learn, with digests.
    pub frozen: Frozen,
    /// Statistics on their way to the policies.
    pub watch: Watch,
    /// Whether the last step has still to be evaluated and told to the policies: the run was interrupted then.
    #[serde(default)]
    pub unevaluated: bool,
    /// Why the run is over, when it is.
    pub ended: Option<String>,
}

impl State {
    /// Where the run is, as roles are told.
    pub fn progress(&self, total: u64) -> Progress {
        Progress { epoch: self.position.epoch, step: self.step, total_steps: Some(total) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_mean_of_equal_losses_is_that_loss_from_the_first_on() {
        let mut smoothed = Smoothed::default();
        assert_eq!(smoothed.get(), None);
        for _ in 0..5 {
            smoothed.add(2.5);
            assert!((smoothed.get().unwrap() - 2.5).abs() < 1e-12);
        }
    }

    #[test]
    fn patience_counts_evaluations_that_were_not_better_by_enough() {
        let rule = EarlyStopping { patience: 2, min_delta: 0.1 };
        let mut patience = Patience::default();
        let mut ended = |value| patience.exhausted(1, value, Mode::Max, rule);
        assert_eq!([0.5, 0.55, 0.7, 0.75].map(&mut ended), [false, false, false, false]);
        assert!(ended(f64::NAN));
    }

    #[test]
    fn not_a_number_is_never_best() {
        assert!(!Leader::beaten_by(None, f64::NAN, Mode::Min, 0.0));
        let leader = Leader { step: 1, value: Exact(1.0) };
        assert!(Leader::beaten_by(Some(&leader), 0.5, Mode::Min, 0.0));
        assert!(!Leader::beaten_by(Some(&leader), 1.0, Mode::Min, 0.0));
    }
}
