//! Carries out what the policies decided.
//!
//! All changes of one moment are worked out first and applied as one difference,
//! later ones winning: a layer that is frozen and thawed in one answer keeps its
//! optimiser state. A pattern that matches no layer, a rate that is no number and
//! a model in which nothing learns are errors of the policy that caused them; so is an answer whose layers take
//! longer to find than the policy may take, and a panic on the way. Each pattern of an answer is compiled once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use retune_roles::{Action, Change, Failure, InitScheme, Progress, RoleKind, Trigger};
use serde::{Deserialize, Serialize};

use crate::{
    error::{TrainError, list},
    event::{LayerState, TrainEvent},
    files::exact::Exact,
    freeze::authors::{Authors, describe, sign},
    freeze::frozen::Frozen,
    freeze::policies::{Decisions, trigger_name},
    freeze::statistics::trainable,
    freeze::strategy::select_layers,
    freeze::told::Told,
    model::{Model, Parameter},
    optimizer::adamw::{Optimizer, Rate},
    seeds::{Purpose, seed_of},
};

/// The most layers that the event of a change names.
const SHOWN: usize = 32;

/// What policies set for one layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LayerSetting {
    /// Multiplies the learning rate.
    pub lr_scale: Exact,
    /// Replaces the weight decay of what decays.
    pub weight_decay: Option<Exact>,
}

impl Default for LayerSetting {
    fn default() -> Self {
        Self { lr_scale: Exact(1.0), weight_decay: None }
    }
}

impl LayerSetting {
    /// Rate and decay of a parameter of this layer.
    pub fn rate(&self, parameter: &Parameter, learning_rate: f64, weight_decay: f64) -> Rate {
        let decay = self.weight_decay.map_or(weight_decay, |decay| decay.0);
        Rate {
            learning_rate: learning_rate * self.lr_scale.0 * parameter.lr_scale,
            weight_decay: if parameter.decay { decay } else { 0.0 },
        }
    }
}

/// What changes touch.
pub(crate) struct Target<'a> {
    pub model: &'a mut Model,
    pub settings: &'a mut [LayerSetting],
    pub authors: &'a mut Authors,
    pub optimizer: &'a mut Optimizer,
    pub frozen: &'a mut Frozen,
    pub told: &'a mut Told,
    pub seed: u64,
}

/// What a moment comes to, before any weight is touched.
struct Plan {
    /// Whether each parameter will learn.
    learns: Vec<bool>,
    /// Layers that get new weights.
    anew: BTreeMap<usize, InitScheme>,
    events: Vec<TrainEvent>,
}

impl Target<'_> {
    /// Applies the decisions of one moment and gives the events that tell of it.
    ///
    /// # Errors
    /// Of the policy that caused it: what cannot be, what takes longer to find than it may, and a panic of the host's.
    pub fn apply(
        &mut self,
        decisions: &[Decisions],
        trigger: &Trigger,
        at: Progress,
    ) -> Result<Vec<TrainEvent>, TrainError> {
        let names: Vec<String> = self.model.layers().into_iter().map(|layer| layer.name).collect();
        let mut plan = Plan {
            learns: self.model.parameters().iter().map(|p| p.trainable).collect(),
            anew: BTreeMap::new(),
            events: Vec::new(),
        };
        let mut last = "";
        for decisions in decisions.iter().filter(|decisions| !decisions.changes.is_empty()) {
            last = &decisions.policy;
            carried_out(last, at, || self.take(decisions, &names, trigger, at, &mut plan))?;
        }
        if last.is_empty() {
            return Ok(Vec::new());
        }
        if !plan.learns.contains(&true) {
            return Err(TrainError::NothingLearns { cause: cause(last, at) });
        }
        carried_out(last, at, || self.set(&plan.learns, &plan.anew, at))?;
        if !plan.events.is_empty() {
            plan.events.push(layers_event(self.model, self.settings, at.step));
        }
        Ok(self.told.bounded(plan.events, at.step))
    }

    /// Works out what one policy wants: settings at once, the rest into `plan`.
    fn take(
        &mut self,
        decisions: &Decisions,
        names: &[String],
        trigger: &Trigger,
        at: Progress,
        plan: &mut Plan,
    ) -> Result<(), TrainError> {
        let policy = decisions.policy.as_str();
        let field = cause(policy, at);
        let began = Instant::now();
        let changes = distinct(&decisions.changes);
        let mut selections: HashMap<&str, Vec<usize>> = HashMap::new();
        for change in &changes {
            if let Some(deadline) = decisions.deadline.filter(|deadline| began.elapsed() > *deadline) {
                return Err(overdue(policy, changes.len(), deadline, at).into());
            }
            let layers = change.layers.as_str();
            if !selections.contains_key(layers) {
                selections.insert(layers, select_layers(&field, layers, names.iter().map(String::as_str))?);
            }
            let selected = selections.get(layers).map(Vec::as_slice).unwrap_or_default();
            check(policy, change, at)?;
            for &layer in selected {
                sign(self.authors, layer, policy, change.action, at.step);
            }
            let altered = self.set_layers(selected, change.action, plan);
            let message = match (change.action, trigger) {
                (Action::Unfreeze, _) => self.still_frozen(policy, selected, names),
                (Action::Freeze, Trigger::Start) => self.frozen_already(policy, selected, names),
                _ => None,
            };
            if let Some(message) = message.filter(|message| self.told.first(&[message])) {
                plan.events.push(TrainEvent::Warning { step: at.step, message });
            }
            let action = describe(change.action);
            if self.told.first(&[policy, layers, &action]) || altered {
                plan.events.push(TrainEvent::PolicyChange {
                    step: at.step,
                    policy: policy.to_owned(),
                    trigger: trigger_name(trigger).into(),
                    layers: layers.to_owned(),
                    selected: selected.iter().take(SHOWN).map(|&layer| names[layer].clone()).collect(),
                    selected_count: selected.len(),
                    action,
                    reason: change.reason.clone(),
                });
            }
        }
        Ok(())
    }

    /// Whether anything of these layers is another now.
    fn set_layers(&mut self, selected: &[usize], action: Action, plan: &mut Plan) -> bool {
        let mut altered = false;
        for &layer in selected {
            let setting = &mut self.settings[layer];
            let before = *setting;
            match action {
                Action::LrScale(scale) => setting.lr_scale = Exact(scale),
                Action::WeightDecay(decay) => setting.weight_decay = Some(Exact(decay)),
                Action::Freeze | Action::Unfreeze => {
                    let parameters = self.model.parameters().iter().zip(&mut plan.learns);
                    for (parameter, learns) in parameters.filter(|(parameter, _)| parameter.layer == layer) {
                        // What the recipe freezes stays frozen.
                        let will = action == Action::Unfreeze && parameter.may_learn;
                        altered |= std::mem::replace(learns, will) != will;
                    }
                }
                Action::Reinit(scheme) => {
                    plan.anew.insert(layer, scheme);
                    altered = true;
                }
            }
            altered |= before != self.settings[layer];
        }
        altered
    }

    /// Says which of the layers that a policy unfreezes have parameters that the recipe keeps frozen.
    fn still_frozen(&self, policy: &str, selected: &[usize], names: &[String]) -> Option<String> {
        let all = self.model.parameters().iter();
        let mut fixed: BTreeSet<usize> = all.clone().filter(|p| !p.may_learn).map(|p| p.layer).collect();
        if self.model.adapter().is_some() {
            // That the base of an adapter stays as it is, is what an adapter is for.
            all.filter(|p| p.may_learn).for_each(|p| {
                fixed.remove(&p.layer);
            });
        }
        let layers: Vec<String> =
            selected.iter().filter(|layer| fixed.contains(layer)).map(|&layer| names[layer].clone()).collect();
        (!layers.is_empty()).then(|| {
            let layers = list(&layers);
            format!(
                "policy {policy} unfreezes {layers}; what the recipe freezes of it (strategy.freeze, \
                 strategy.train_top_layers) stays frozen"
            )
        })
    }

    /// Says that a policy freezes nothing but what the recipe keeps frozen, as one does that means to unfreeze it later.
    fn frozen_already(&self, policy: &str, selected: &[usize], names: &[String]) -> Option<String> {
        let mut of_layers = self.model.parameters().iter().filter(|parameter| selected.contains(&parameter.layer));
        if of_layers.any(|parameter| parameter.may_learn) {
            return None;
        }
        let layers: Vec<String> = selected.iter().map(|&layer| names[layer].clone()).collect();
        let layers = list(&layers);
        Some(format!(
            "policy {policy} freezes {layers}, which the recipe keeps frozen to the end (strategy.freeze, \
             strategy.train_top_layers); to have them unfrozen later, leave them to the policy alone"
        ))
    }

    fn set(&mut self, learns: &[bool], anew: &BTreeMap<usize, InitScheme>, at: Progress) -> Result<(), TrainError> {
        for (index, &learns) in learns.iter().enumerate() {
            let Some(parameter) = self.model.parameters().at(index) else { continue };
            let (learnt, scheme) = (parameter.trainable, anew.get(&parameter.layer).copied());
            if learns && !learnt {
                self.frozen.remove(self.model, index, at.step)?;
            }
            let scheme = scheme.filter(|_| !self.model.holds(index));
            if let Some(scheme) = scheme {
                let seed = seed_of(self.seed, Purpose::Reinitialize, at.step + 1, index as u64);
                self.model.reinitialize(index, scheme, seed)?;
                self.optimizer.forget(index);
            }
            if !learns && (learnt || scheme.is_some()) {
                self.optimizer.forget(index);
                self.frozen.add(self.model, index, at.step)?;
            }
            self.model.parameters_mut().set_trainable(index, learns);
        }
        Ok(())
    }
}

/// Which layers learn now.
pub(crate) fn layers_event(model: &Model, settings: &[LayerSetting], step: u64) -> TrainEvent {
    let layers = model.layers();
    let learns = trainable(model, layers.len());
    let state = |(index, layer): (usize, retune_roles::Layer)| LayerState {
        name: layer.name,
        trainable: learns[index],
        lr_scale: settings[index].lr_scale.0,
    };
    TrainEvent::Layers { step, layers: layers.into_iter().enumerate().map(state).collect() }
}

/// What no update can be made of; a plugin's numbers are bounded further where they come in.
fn check(policy: &str, change: &Change, at: Progress) -> Result<(), TrainError> {
    let (what, value) = match change.action {
        Action::LrScale(scale) => ("learning-rate scale", scale),
        Action::WeightDecay(decay) => ("weight decay", decay),
        Action::Reinit(InitScheme::Normal(std)) => ("standard deviation", std),
        Action::Freeze | Action::Unfreeze | Action::Reinit(_) => return Ok(()),
    };
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    let reason = format!("it gave `{}` a {what} of {value}, expected a number of at least 0", change.layers);
    Err(failed(policy, at, reason).into())
}

/// Who is to blame for what a moment brings.
fn cause(policy: &str, at: Progress) -> String {
    format!("policy {policy} at step {}", at.step)
}

fn failed(policy: &str, at: Progress, reason: String) -> Failure {
    Failure::new(policy, RoleKind::Policy, "decide", reason).at(format!("step {}", at.step))
}

fn overdue(policy: &str, changes: usize, deadline: Duration, at: Progress) -> Failure {
    let reason = format!("finding the layers of its {changes} changes took longer than {} ms", deadline.as_millis());
    failed(policy, at, reason).help("raise `limits.deadline_ms`, or let the plugin answer with fewer patterns")
}

/// Runs what a policy's answer drives; a panic in it is the failure of that answer.
fn carried_out<T>(policy: &str, at: Progress, work: impl FnOnce() -> Result<T, TrainError>) -> Result<T, TrainError> {
    Failure::guard(policy, RoleKind::Policy, "decide", work)
        .map_err(|failure| failure.at(format!("step {}", at.step)))?
}

/// `changes` without those that are made again later on: what comes between does not read what the earlier one set.
fn distinct(changes: &[Change]) -> Vec<&Change> {
    let mut seen = HashSet::new();
    let mut kept: Vec<&Change> =
        changes.iter().rev().filter(|change| seen.insert((&change.layers, describe(change.action)))).collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_changes_the_last_one_is_made() {
        let change =
            |layers: &str, action, reason: &str| Change { layers: layers.into(), action, reason: reason.into() };
        let (freeze, unfreeze) = (Action::Freeze, Action::Unfreeze);
        let changes = [
            change("a", freeze, "1"),
            change("a", unfreeze, "2"),
            change("b", freeze, "3"),
            change("a", freeze, "4"),
            change("a", Action::LrScale(0.5), "5"),
            change("a", Action::LrScale(0.25), "6"),
        ];
        let kept = distinct(&changes);
        let reasons: Vec<&str> = kept.iter().map(|change| change.reason.as_str()).collect();
        assert_eq!(reasons, ["2", "3", "4", "5", "6"]);
        assert_eq!(distinct(&vec![change("a", freeze, "r"); 10_000]).len(), 1);
    }
}
