//! Keeps some layers frozen until a step is reached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Action, Change, ErrorKind, Event, Layer, Policy, PolicyContract, Refusal, Result, Trigger};

const NAME: &str = "thaw";

/// Settings of [`Thaw`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThawConfig {
    /// A glob over layer names.
    #[schemars(length(min = 1))]
    pub layers: String,
    /// The number of optimiser steps after which they learn; at least one.
    #[schemars(range(min = 1))]
    pub step: u32,
}

/// Freezes `layers` at the start and unfreezes them when `step` steps are done.
///
/// What it decides is a function of the step alone, so it needs no state in the
/// checkpoint: asked at a restart, it finds out whether the layers are thawed already.
/// Its answer is not applied there, because another policy may have had the last word
/// on these layers.
#[derive(Clone, Debug)]
pub struct Thaw {
    config: ThawConfig,
    thawed: bool,
}

impl Thaw {
    /// With these settings.
    ///
    /// # Errors
    /// When `step` is zero or `layers` empty.
    pub fn new(config: ThawConfig) -> std::result::Result<Self, Refusal> {
        if config.step == 0 {
            return Err(Refusal::new(
                ErrorKind::Config,
                "`step` is 0: the layers would never be frozen; give at least 1",
            ));
        }
        if config.layers.trim().is_empty() {
            return Err(Refusal::new(ErrorKind::Config, "`layers` is empty; give a glob over layer names"));
        }
        Ok(Self { config, thawed: false })
    }

    fn change(&self, action: Action, reason: String) -> Vec<Change> {
        vec![Change { layers: self.config.layers.clone(), action, reason }]
    }
}

impl Policy for Thaw {
    fn name(&self) -> &str {
        NAME
    }

    fn describe(&self) -> PolicyContract {
        PolicyContract { every_steps: Some(self.config.step), ..PolicyContract::default() }
    }

    fn attach(&mut self, _layers: &[Layer]) -> Result<()> {
        Ok(())
    }

    fn decide(&mut self, event: &Event) -> Result<Vec<Change>> {
        let (step, until) = (event.at.step, u64::from(self.config.step));
        let start = event.trigger == Trigger::Start;
        if step < until {
            self.thawed = false;
            let frozen = self.change(Action::Freeze, format!("frozen until step {until}"));
            return Ok(if start { frozen } else { Vec::new() });
        }
        if self.thawed && !start {
            return Ok(Vec::new());
        }
        self.thawed = true;
        Ok(self.change(Action::Unfreeze, format!("step {until} is reached")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Progress;

    fn at(step: u64, trigger: Trigger) -> Event {
        let at = Progress { step, ..Progress::default() };
        Event { trigger, at, train_loss: None, layers: Vec::new() }
    }

    fn policy() -> Thaw {
        Thaw::new(ThawConfig { layers: "encoder.**".into(), step: 10 }).unwrap()
    }

    fn actions(policy: &mut Thaw, event: &Event) -> Vec<Action> {
        policy.decide(event).unwrap().into_iter().map(|c| c.action).collect()
    }

    #[test]
    fn layers_are_frozen_at_the_start_and_learn_from_the_step_on() {
        let mut policy = policy();
        assert_eq!(policy.describe().every_steps, Some(10));
        assert_eq!(actions(&mut policy, &at(0, Trigger::Start)), [Action::Freeze]);
        assert_eq!(actions(&mut policy, &at(7, Trigger::Epoch)), []);
        assert_eq!(actions(&mut policy, &at(10, Trigger::Steps)), [Action::Unfreeze]);
        assert_eq!(actions(&mut policy, &at(20, Trigger::Steps)), []);
    }

    #[test]
    fn a_restart_says_again_what_holds_at_its_step() {
        assert_eq!(actions(&mut policy(), &at(4, Trigger::Start)), [Action::Freeze]);
        let mut late = policy();
        assert_eq!(actions(&mut late, &at(15, Trigger::Start)), [Action::Unfreeze]);
        assert_eq!(actions(&mut late, &at(20, Trigger::Steps)), []);
    }

    #[test]
    fn a_step_of_zero_and_an_empty_glob_are_refused() {
        assert!(Thaw::new(ThawConfig { layers: "a".into(), step: 0 }).is_err());
        assert!(Thaw::new(ThawConfig { layers: " ".into(), step: 1 }).is_err());
    }
}
