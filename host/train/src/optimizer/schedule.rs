//! How the learning rate moves over a run.
//!
//! Counts optimiser steps, never micro-batches. Formulas are those of
//! `transformers.get_{constant,linear,cosine}_schedule_with_warmup`: the factor
//! of step `k` (the first is 0) multiplies the peak rate, so with warm-up the
//! first step has rate zero.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::error::{TrainError, in_range};

/// A schedule and its warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LrScheduler {
    /// What follows the warm-up. Default `linear`.
    pub name: SchedulerName,
    /// Steps over which the rate climbs from zero. Default 0.
    pub warmup_steps: Option<u64>,
    /// The same as a share of all steps, rounded up; not together with `warmup_steps`.
    pub warmup_ratio: Option<f64>,
}

/// What follows the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchedulerName {
    /// Down to zero in a straight line.
    #[default]
    Linear,
    /// Down to zero along half a cosine.
    Cosine,
    /// Stays at the peak.
    Constant,
}

impl LrScheduler {
    /// Refuses a warm-up that cannot be.
    pub fn check(&self) -> Result<(), TrainError> {
        if let Some(ratio) = self.warmup_ratio {
            in_range("lr_scheduler.warmup_ratio", ratio, (0.0..=1.0).contains(&ratio), "a number from 0 to 1")?;
            if self.warmup_steps.is_some() {
                return Err(TrainError::field(
                    "lr_scheduler.warmup_ratio",
                    "warmup_steps is given too; keep one of the two",
                ));
            }
        }
        Ok(())
    }

    /// Warm-up steps of a run of `total` optimiser steps.
    pub fn warmup(&self, total: u64) -> u64 {
        match (self.warmup_steps, self.warmup_ratio) {
            (Some(steps), _) => steps,
            (None, Some(ratio)) => (total as f64 * ratio).ceil() as u64,
            (None, None) => 0,
        }
    }

    /// What multiplies the peak rate at optimiser step `step` (from 0) of `total`.
    pub fn factor(&self, step: u64, total: u64) -> f64 {
        let warmup = self.warmup(total);
        if step < warmup {
            return step as f64 / warmup as f64;
        }
        let length = total.saturating_sub(warmup).max(1) as f64;
        match self.name {
            SchedulerName::Constant => 1.0,
            SchedulerName::Linear => (total.saturating_sub(step) as f64 / length).max(0.0),
            SchedulerName::Cosine => {
                let progress = (step - warmup) as f64 / length;
                (0.5 * (1.0 + (PI * progress).cos())).max(0.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(name: SchedulerName, warmup: u64) -> LrScheduler {
        LrScheduler { name, warmup_steps: Some(warmup), warmup_ratio: None }
    }

    #[track_caller]
    fn follows(name: SchedulerName, warmup: u64, total: u64, reference: &[f64]) {
        for (step, expected) in reference.iter().enumerate() {
            let got = schedule(name, warmup).factor(step as u64, total);
            assert!((got - expected).abs() < 1e-12, "{name:?} step {step}: {got} is not {expected}");
        }
    }

    // Reference values: transformers 5.23.0.
    #[test]
    fn linear_is_that_of_transformers() {
        let warm = [
            0.0,
            0.3333333333333333,
            0.6666666666666666,
            1.0,
            0.8571428571428571,
            0.7142857142857143,
            0.5714285714285714,
            0.42857142857142855,
            0.2857142857142857,
            0.14285714285714285,
            0.0,
            0.0,
        ];
        follows(SchedulerName::Linear, 3, 10, &warm);
        let cold = [
            1.0,
            0.8571428571428571,
            0.7142857142857143,
            0.5714285714285714,
            0.42857142857142855,
            0.2857142857142857,
            0.14285714285714285,
            0.0,
            0.0,
        ];
        follows(SchedulerName::Linear, 0, 7, &cold);
    }

    #[test]
    fn cosine_is_that_of_transformers() {
        let warm = [
            0.0,
            0.3333333333333333,
            0.6666666666666666,
            1.0,
            0.9504844339512095,
            0.8117449009293668,
            0.6112604669781572,
            0.38873953302184283,
            0.18825509907063326,
            0.04951556604879048,
            0.0,
        ];
        follows(SchedulerName::Cosine, 3, 10, &warm);
        let cold = [
            1.0,
            0.9504844339512095,
            0.8117449009293668,
            0.6112604669781572,
            0.38873953302184283,
            0.18825509907063326,
            0.04951556604879048,
            0.0,
        ];
        follows(SchedulerName::Cosine, 0, 7, &cold);
    }

    #[test]
    fn constant_is_that_of_transformers() {
        follows(SchedulerName::Constant, 3, 10, &[0.0, 0.3333333333333333, 0.6666666666666666, 1.0, 1.0, 1.0]);
        follows(SchedulerName::Constant, 0, 7, &[1.0, 1.0]);
    }

    #[test]
    fn a_ratio_is_rounded_up_to_whole_steps() {
        let ratio = |warmup_ratio| LrScheduler { warmup_ratio: Some(warmup_ratio), ..LrScheduler::default() };
        assert_eq!(ratio(0.1).warmup(101), 11);
        assert_eq!(ratio(0.1).warmup(100), 10);
        assert_eq!(ratio(0.0).warmup(100), 0);
    }

    #[test]
    fn a_warm_up_longer_than_the_run_never_passes_the_peak() {
        for name in [SchedulerName::Linear, SchedulerName::Cosine, SchedulerName::Constant] {
            assert!((0..10).all(|step| schedule(name, 40).factor(step, 10) <= 0.25));
        }
    }
}
