//! Carries out what the policies decided.
//!
//! All changes of one moment are worked out first and applied as one difference,
//! later ones winning: a layer that is frozen and thawed in one answer keeps its
//! optimiser state. A pattern that matches no layer, a rate that is no number and
//! a model in which nothing learns are errors of the policy that caused them.

use std::collections::{BTreeMap, BTreeSet};

use retune_roles::{Action, Change, Failure, InitScheme, Progress, RoleKind, Trigger};
use serde::{Deserialize, Serialize};

use crate::{
    error::{TrainError, list},
    event::{LayerState, TrainEvent},
    files::exact::Exact,
    freeze::frozen::Frozen,
    freeze::policies::{Decision, trigger_name},
    freeze::statistics::trainable,
    freeze::strategy::select_layers,
    model::{Model, Parameter},
    optimizer::adamw::{Optimizer, Rate},
    seeds::{Purpose, seed_of},
    training::finite::{Authors, sign},
};

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
    pub seed: u64,
}

impl Target<'_> {
    /// Applies the decisions of one moment and gives the events that tell of them.
    pub fn apply(
        &mut self,
        decisions: &[Decision],
        trigger: &Trigger,
        at: Progress,
    ) -> Result<Vec<TrainEvent>, TrainError> {
        let names: Vec<String> = self.model.layers().into_iter().map(|layer| layer.name).collect();
        let mut learns: Vec<bool> = self.model.parameters().iter().map(|p| p.trainable).collect();
        let mut anew: BTreeMap<usize, InitScheme> = BTreeMap::new();
        let mut events = Vec::new();
        let mut cause = String::new();
        for Decision { policy, change } in decisions {
            let field = format!("policy {policy} at step {}", at.step);
            let selected = select_layers(&field, &change.layers, names.iter().map(String::as_str))?;
            check(policy, change, at)?;
            for &layer in &selected {
                sign(self.authors, layer, policy, change.action, at.step);
                match change.action {
                    Action::LrScale(scale) => self.settings[layer].lr_scale = Exact(scale),
                    Action::WeightDecay(decay) => self.settings[layer].weight_decay = Some(Exact(decay)),
                    Action::Freeze | Action::Unfreeze => {
                        let of_layer =
                            self.model.parameters().iter().zip(&mut learns).filter(|(p, _)| p.layer == layer);
                        // What the recipe freezes stays frozen.
                        of_layer.for_each(|(p, learns)| {
                            *learns = change.action == Action::Unfreeze && p.may_learn;
                        });
                    }
                    Action::Reinit(scheme) => {
                        anew.insert(layer, scheme);
                    }
                }
            }
            let message = match (change.action, trigger) {
                (Action::Unfreeze, _) => self.still_frozen(policy, &selected, &names),
                (Action::Freeze, Trigger::Start) => self.frozen_already(policy, &selected, &names),
                _ => None,
            };
            events.extend(message.map(|message| TrainEvent::Warning { step: at.step, message }));
            cause = field;
            events.push(TrainEvent::PolicyChange {
                step: at.step,
                policy: policy.clone(),
                trigger: trigger_name(trigger).into(),
                layers: change.layers.clone(),
                selected: selected.iter().map(|&layer| names[layer].clone()).collect(),
                action: describe(change.action),
                reason: change.reason.clone(),
            });
        }
        if !learns.contains(&true) {
            return Err(TrainError::NothingLearns { cause });
        }
        self.set(&learns, &anew, at)?;
        if !events.is_empty() {
            events.push(layers_event(self.model, self.settings, at.step));
        }
        Ok(events)
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
    Err(Failure::new(policy, RoleKind::Policy, "decide", reason).at(format!("step {}", at.step)).into())
}

pub(crate) fn describe(action: Action) -> String {
    match action {
        Action::Freeze => "freeze".into(),
        Action::Unfreeze => "unfreeze".into(),
        Action::LrScale(scale) => format!("lr_scale {scale}"),
        Action::WeightDecay(decay) => format!("weight_decay {decay}"),
        Action::Reinit(InitScheme::Zeros) => "reinit zeros".into(),
        Action::Reinit(InitScheme::Normal(std)) => format!("reinit normal {std}"),
        Action::Reinit(InitScheme::KaimingUniform) => "reinit kaiming-uniform".into(),
        Action::Reinit(InitScheme::XavierUniform) => "reinit xavier-uniform".into(),
        Action::Reinit(InitScheme::Pretrained) => "reinit pretrained".into(),
    }
}
