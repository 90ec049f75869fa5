//! When the next depth joins.

use retune_sdk::{Error, Event, Result, Trigger, state::exact};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The head learns first, the layers below join one depth at a time. Give one of the three schedules;
/// without any, a depth joins after every epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A depth joins after every so many epochs.
    #[schemars(range(min = 1))]
    pub every_epochs: Option<u32>,
    /// A depth joins after every so many optimiser steps.
    #[schemars(range(min = 1))]
    pub every_steps: Option<u32>,
    /// A depth joins when evaluations stop improving.
    pub plateau: Option<Plateau>,
}

/// An evaluation that stops improving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Plateau {
    /// The value to watch: `loss`, or what a metric gives.
    pub metric: String,
    /// Which way is better.
    pub mode: Mode,
    /// Evaluations without improvement until a depth joins.
    #[schemars(range(min = 1))]
    pub patience: u32,
    /// A change below this is no improvement.
    #[schemars(range(min = 0))]
    pub min_delta: f64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self { metric: "loss".into(), mode: Mode::Min, patience: 1, min_delta: 0.0 }
    }
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Less.
    Min,
    /// More.
    Max,
}

/// When the next depth joins.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// After every so many epochs.
    Epochs(u32),
    /// After every so many steps.
    Steps(u32),
    /// When evaluations stop improving.
    Plateau(Plateau),
}

impl Config {
    /// The one schedule that is meant.
    ///
    /// # Errors
    /// When there are two, or one that never comes.
    pub fn schedule(self) -> Result<Schedule> {
        let at_least_one = |name: &str, every: u32| match every {
            0 => Err(Error::config(format!("{name} must be at least 1"))),
            every => Ok(every),
        };
        match (self.every_epochs, self.every_steps, self.plateau) {
            (None, None, None) => Ok(Schedule::Epochs(1)),
            (Some(every), None, None) => Ok(Schedule::Epochs(at_least_one("every_epochs", every)?)),
            (None, Some(every), None) => Ok(Schedule::Steps(at_least_one("every_steps", every)?)),
            (None, None, Some(plateau)) => {
                at_least_one("plateau.patience", plateau.patience)?;
                match plateau.min_delta >= 0.0 {
                    true => Ok(Schedule::Plateau(plateau)),
                    false => Err(Error::config("plateau.min_delta must be at least 0")),
                }
            }
            _ => Err(Error::config("give one of every_epochs, every_steps and plateau, not several")),
        }
    }
}

/// A schedule that does not come to its end within the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Depths that join early enough to learn.
    pub reached: u64,
    /// The end of the run: `epoch 2`.
    pub ends: String,
    /// When the last depth would join: `epoch 3`.
    pub last: String,
}

impl Schedule {
    /// What is known at `event`, and was not before, about `depths` that do not all join before the run is over: a schedule
    /// in steps is compared with the run's at the start, one in epochs when the first epoch has shown how
    /// many steps it has. Of a plateau nobody knows.
    pub fn shortfall(&self, event: &Event, depths: usize) -> Option<Shortfall> {
        let total = event.at.total_steps?;
        let (unit, every, end) = match (self, &event.trigger) {
            (Self::Steps(every), Trigger::Start) if event.at.step == 0 => ("step", *every, total),
            (Self::Epochs(every), Trigger::Epoch) if event.at.epoch == 1 => {
                ("epoch", *every, total.div_ceil(event.at.step.max(1)))
            }
            _ => return None,
        };
        // What joins with the last step learns nothing.
        let reached = end.saturating_sub(1) / u64::from(every);
        let last = u64::from(every).saturating_mul(depths as u64);
        (reached < depths as u64).then(|| Shortfall {
            reached,
            ends: format!("{unit} {end}"),
            last: format!("{unit} {last}"),
        })
    }
}

impl Plateau {
    /// The watched value of an evaluation.
    ///
    /// # Errors
    /// When the evaluation does not give it.
    pub fn value(&self, values: &[(String, f64)]) -> Result<f64> {
        values.iter().find(|(name, _)| *name == self.metric).map(|(_, value)| *value).ok_or_else(|| {
            let there: Vec<_> = values.iter().map(|(name, _)| format!("`{name}`")).collect();
            let metric = &self.metric;
            Error::config(format!("the evaluation gives no `{metric}`; `plateau.metric` can be {}", there.join(", ")))
        })
    }

    fn improves(&self, value: f64, best: f64) -> bool {
        match self.mode {
            Mode::Min => value < best - self.min_delta,
            Mode::Max => value > best + self.min_delta,
        }
    }
}

/// What the evaluations have been so far.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Watch {
    /// The best value; none before the first evaluation.
    best: Option<Best>,
    /// Evaluations since it was reached, or since a depth joined.
    waited: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Best(#[serde(with = "exact")] f64);

impl Watch {
    /// Takes an evaluation in; true when patience is at its end, which begins anew.
    pub fn stalls(&mut self, plateau: &Plateau, value: f64) -> bool {
        let better = match self.best {
            None => true,
            // NaN is never an improvement, and anything improves on it.
            Some(Best(best)) if best.is_nan() => !value.is_nan(),
            Some(Best(best)) => plateau.improves(value, best),
        };
        match better {
            true => (self.best, self.waited) = (Some(Best(value)), 0),
            false => self.waited += 1,
        }
        let stalls = self.waited >= plateau.patience;
        if stalls {
            self.waited = 0;
        }
        stalls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_schedule_is_meant() {
        let two = Config { every_epochs: Some(1), every_steps: Some(5), plateau: None };
        assert_eq!(
            two.schedule().unwrap_err().message,
            "give one of every_epochs, every_steps and plateau, not several"
        );
        assert_eq!(Config::default().schedule().unwrap(), Schedule::Epochs(1));
        assert!(Config { every_steps: Some(0), ..Config::default() }.schedule().is_err());
    }

    #[test]
    fn less_is_better_for_a_loss_and_not_a_number_never_is() {
        let plateau = Plateau { patience: 2, ..Plateau::default() };
        let mut watch = Watch::default();
        let stalls: Vec<bool> = [3.0, 2.0, f64::NAN, 2.5, 1.9, 1.9].map(|loss| watch.stalls(&plateau, loss)).into();
        assert_eq!(stalls, [false, false, false, true, false, false]);
    }
}
