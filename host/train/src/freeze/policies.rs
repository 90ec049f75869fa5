//! Asks the freezing policies when they want to be asked.
//!
//! In a run's order: `attach` with the layers, the saved state when the run goes
//! on from a checkpoint, then the start; after that at the steps, evaluations and
//! epochs of each policy's contract. Answers are gathered from all policies and
//! applied together, before the next step; only those to the start of a resumed run
//! are not, because the checkpoint holds what they once came to.

use std::time::Duration;

use retune_roles::{Change, Event, Failure, Layer, Policy, PolicyContract, Progress, RoleKind, Trigger};

use crate::{error::TrainError, freeze::statistics::Watch, model::Model};

/// What one policy answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decisions {
    /// The policy's name.
    pub policy: String,
    /// What it wants, in order.
    pub changes: Vec<Change>,
    /// How long finding the layers that they select may take.
    pub deadline: Option<Duration>,
}

/// The policies of a run, in order; later ones win.
pub struct Policies {
    list: Vec<Box<dyn Policy>>,
    contracts: Vec<PolicyContract>,
}

impl Policies {
    /// Asks each for its contract.
    ///
    /// # Errors
    /// When a contract asks for a call every zero steps.
    pub fn new(list: Vec<Box<dyn Policy>>) -> Result<Self, TrainError> {
        let contracts: Vec<PolicyContract> = list.iter().map(|policy| policy.describe()).collect();
        for (policy, contract) in list.iter().zip(&contracts) {
            if contract.every_steps == Some(0) {
                let reason = "it asks to be called every 0 steps; the least is 1";
                return Err(Failure::new(policy.name(), RoleKind::Policy, "describe", reason).into());
            }
        }
        Ok(Self { list, contracts })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Who they are.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.list.iter().map(|policy| policy.name().to_string())
    }

    /// True without policies.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether any wants layer statistics.
    pub fn wants_stats(&self) -> bool {
        self.contracts.iter().any(|contract| contract.stats)
    }

    /// Whether any is asked after evaluations.
    pub fn wants_evaluations(&self) -> bool {
        self.contracts.iter().any(|contract| contract.after_evaluation)
    }

    /// Shows each the layers.
    pub fn attach(&mut self, layers: &[Layer]) -> Result<(), TrainError> {
        self.list.iter_mut().try_for_each(|policy| policy.attach(layers).map_err(TrainError::from))
    }

    /// State of each, for the checkpoint.
    pub fn save(&mut self) -> Result<Vec<Option<Vec<u8>>>, TrainError> {
        self.list.iter_mut().map(|policy| policy.save().map_err(TrainError::from)).collect()
    }

    /// Restores what [`Policies::save`] gave.
    pub fn load(&mut self, states: &[Option<Vec<u8>>]) -> Result<(), TrainError> {
        for (policy, state) in self.list.iter_mut().zip(states) {
            if let Some(state) = state {
                policy.load(state)?;
            }
        }
        Ok(())
    }

    /// Asks those whose contract names this moment.
    pub(crate) fn decide(
        &mut self,
        trigger: &Trigger,
        at: Progress,
        train_loss: Option<f64>,
        watch: &mut Watch,
        model: &Model,
    ) -> Result<Vec<Decisions>, TrainError> {
        let mut all = Vec::new();
        for (index, (policy, contract)) in self.list.iter_mut().zip(&self.contracts).enumerate() {
            if !due(contract, trigger, at.step) {
                continue;
            }
            let layers =
                if contract.stats { watch.stats(index, model, *trigger == Trigger::Start)? } else { Vec::new() };
            let event = Event { trigger: trigger.clone(), at, train_loss, layers };
            let changes = policy.decide(&event).map_err(|failure| failure.at(format!("step {}", at.step)))?;
            let (policy, deadline) = (policy.name().to_string(), policy.deadline());
            all.push(Decisions { policy, changes, deadline });
        }
        Ok(all)
    }
}

fn due(contract: &PolicyContract, trigger: &Trigger, step: u64) -> bool {
    match trigger {
        Trigger::Start => true,
        Trigger::Epoch => contract.every_epoch,
        Trigger::Steps => contract.every_steps.is_some_and(|every| step.is_multiple_of(u64::from(every))),
        Trigger::Evaluation(_) => contract.after_evaluation,
    }
}

/// The contract's word for a moment.
pub(crate) fn trigger_name(trigger: &Trigger) -> &'static str {
    match trigger {
        Trigger::Start => "start",
        Trigger::Epoch => "epoch",
        Trigger::Steps => "steps",
        Trigger::Evaluation(_) => "evaluation",
    }
}
