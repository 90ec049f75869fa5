//! Writing the checkpoints of a run, and going on from one.
//!
//! A resumed run ends with the same bytes as one that was never stopped: a
//! checkpoint holds all that decides how the run goes on, and says for which
//! settings, data and roles it was made, so that it cannot be taken for another's.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    error::TrainError,
    files::checkpoint::{Contents, Name, Opened, optimizer_steps},
    spec::{CheckpointSpec, Every, TrainSpec},
    training::state::{Leader, State},
    training::trainer::Trainer,
    training::workers::any,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `state.json` of a checkpoint to go on from.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// What the run was asked to do, without what does not decide its result.
    spec: Value,
    /// How many workers trained.
    #[serde(default = "one")]
    workers: usize,
    /// Digest of the training rows.
    data: String,
    /// Digest of the validation rows.
    validation: String,
    /// Names of loss and policies.
    roles: Vec<String>,
    /// Names of the parameters that learn.
    trainable: Vec<String>,
    /// Updates of each parameter with optimiser state.
    optimizer_steps: BTreeMap<String, u64>,
    state: State,
}

/// Checkpoints that do not say it are of one.
fn one() -> usize {
    1
}

impl Trainer<'_> {
    /// Goes back to the newest intact checkpoint in the directory and gives its
    /// step, or `None` when there is none. Torn ones are skipped; the observer of
    /// [`Trainer::run`] is told of each.
    ///
    /// # Errors
    /// When the newest intact one belongs to other settings, data or roles.
    pub fn resume(&mut self) -> Result<Option<u64>, TrainError> {
        self.resuming = true;
        if self.workers.rank() == 0 {
            self.store.recover()?;
        }
        // The others look when the first has put the directory right.
        any(&*self.workers, false)?;
        for name in self.store.list()?.into_iter().rev() {
            let Name::Step(step) = name else { continue };
            match self.open_whole(name) {
                Ok((opened, saved)) => {
                    self.restore(&opened, saved)?;
                    self.resumed_from = Some(step);
                    return Ok(Some(step));
                }
                Err(reason) => {
                    let path = self.store.path(name);
                    self.warnings.push(format!("the checkpoint {} is torn and was skipped: {reason}", path.display()));
                }
            }
        }
        Ok(None)
    }

    /// A checkpoint and, where it points to one, its best weights: both whole.
    fn open_whole(&self, name: Name) -> Result<(Opened, Saved), String> {
        let opened = self.store.open(name)?;
        let saved: Saved = opened.state().map_err(|error| error.to_string())?;
        if let Some(leader) = &saved.state.best {
            self.store.open(Name::Best(leader.step)).map_err(|reason| format!("its best weights: {reason}"))?;
        }
        Ok((opened, saved))
    }

    fn restore(&mut self, opened: &Opened, saved: Saved) -> Result<(), TrainError> {
        if let Some((path, then, now)) = difference("", &saved.spec, &self.deciding_spec()?) {
            return Err(opened.unfit(format!("it was made with {path} = {then}, this run has {now}")));
        }
        if saved.workers != self.workers.size() {
            let (then, now) = (saved.workers, self.workers.size());
            return Err(opened.unfit(format!(
                "it was made by {then} workers and this run has {now}, so that a step would have other rows"
            )));
        }
        if saved.roles != self.role_names() {
            let (then, now) = (saved.roles.join(", "), self.role_names().join(", "));
            return Err(opened.unfit(format!("it was made with the roles {then}; this run has {now}")));
        }
        if saved.data != self.digests.train {
            return Err(opened.unfit("it was made with other training rows".into()));
        }
        if self.validation_decides() && saved.validation != self.digests.validation {
            return Err(opened.unfit("it was made with other validation rows".into()));
        }
        opened.restore_weights(&mut self.model)?;
        let trainable: std::collections::BTreeSet<&str> = saved.trainable.iter().map(String::as_str).collect();
        for index in 0..self.model.parameters().len() {
            let learns = self.model.parameters().at(index).is_some_and(|p| trainable.contains(p.name.as_str()));
            self.model.parameters_mut().set_trainable(index, learns);
        }
        opened.restore_optimizer(&self.model, &mut self.optimizer, &saved.optimizer_steps)?;
        self.state = saved.state;
        if let Some(bytes) = opened.role("loss")? {
            self.loss.load(&bytes)?;
        }
        self.policies.attach(&self.model.layers())?;
        let states = (0..self.policies.len()).map(|index| opened.role(&format!("policy.{index}")));
        let states = states.collect::<Result<Vec<_>, _>>()?;
        self.policies.load(&states)?;
        match self.state.frozen.verify(&mut self.model, self.state.step) {
            // The checkpoint has no values of it, so they are another base's.
            Err(TrainError::FrozenChanged { parameter, .. }) if self.model.holds_name(&parameter) => Err(opened.unfit(
                format!("it was made with another base: `{parameter}` does not have the digest that it had then"),
            )),
            verified => verified,
        }
    }

    /// Writes where the run is, and removes what is no longer to be kept; rank 0 does, for all workers.
    pub(crate) fn write_checkpoint(&mut self) -> Result<PathBuf, TrainError> {
        if self.workers.rank() != 0 {
            return Ok(self.store.path(Name::Step(self.state.step)));
        }
        self.check_weights()?;
        let mut roles = Vec::new();
        if let Some(bytes) = self.loss.save()? {
            roles.push(("loss".to_string(), bytes));
        }
        for (index, state) in self.policies.save()?.into_iter().enumerate() {
            roles.extend(state.map(|bytes| (format!("policy.{index}"), bytes)));
        }
        let parameters = self.model.parameters();
        let saved = Saved {
            spec: self.deciding_spec()?,
            workers: self.workers.size(),
            data: self.digests.train.clone(),
            validation: self.digests.validation.clone(),
            roles: self.role_names(),
            trainable: parameters.iter().filter(|p| p.trainable).map(|p| p.name.clone()).collect(),
            optimizer_steps: optimizer_steps(parameters, &self.optimizer),
            state: self.state.clone(),
        };
        let contents = Contents { model: &self.model, optimizer: Some(&self.optimizer), roles: &roles, state: &saved };
        let path = self.store.write(Name::Step(self.state.step), &contents)?;
        self.prune()?;
        Ok(path)
    }

    /// Writes the weights that did best, and removes those that they replace.
    ///
    /// Checkpoints stay, and with them the best weights that they point to: until the next checkpoint is
    /// written, a killed run goes on from these.
    pub(crate) fn write_best(&mut self, leader: Leader) -> Result<(), TrainError> {
        if self.workers.rank() != 0 {
            self.state.best = Some(leader);
            return Ok(());
        }
        self.check_weights()?;
        let contents = Contents { model: &self.model, optimizer: None, roles: &[], state: &leader };
        self.store.write(Name::Best(leader.step), &contents)?;
        self.state.best = Some(leader);
        let best = self.pointed_to(&self.steps()?);
        self.store.prune(|name| match name {
            Name::Step(_) => true,
            Name::Best(step) => best.contains(&step),
        })
    }

    /// Keeps the newest checkpoints, and the best weights that any of them points to.
    fn prune(&self) -> Result<(), TrainError> {
        let mut steps = self.steps()?;
        steps.retain(|&step| step <= self.state.step);
        steps.drain(..steps.len().saturating_sub(self.spec.checkpoint.keep));
        let best = self.pointed_to(&steps);
        self.store.prune(|name| match name {
            Name::Step(step) => steps.contains(&step),
            Name::Best(step) => best.contains(&step),
        })
    }

    /// The steps that there are checkpoints of, in ascending order.
    fn steps(&self) -> Result<Vec<u64>, TrainError> {
        let steps = self.store.list()?.into_iter().filter_map(|name| match name {
            Name::Step(step) => Some(step),
            Name::Best(_) => None,
        });
        Ok(steps.collect())
    }

    /// The best weights that the run and its checkpoints of `steps` point to.
    fn pointed_to(&self, steps: &[u64]) -> Vec<u64> {
        let peeked = steps.iter().filter_map(|&step| self.store.peek::<Saved>(Name::Step(step))?.state.best);
        self.state.best.iter().cloned().chain(peeked).map(|leader| leader.step).collect()
    }

    /// Refuses to start where another run has left checkpoints.
    pub(crate) fn refuse_old_checkpoints(&self) -> Result<(), TrainError> {
        match self.store.list()?.into_iter().rev().find(|name| matches!(name, Name::Step(_))) {
            None => Ok(()),
            Some(name) => Err(TrainError::Checkpoint {
                path: self.store.path(name),
                problem: "an earlier run has left this checkpoint here".into(),
                help: Some("resume that run, or train in another directory".into()),
            }),
        }
    }

    /// The settings that decide the result, as JSON.
    fn deciding_spec(&self) -> Result<Value, TrainError> {
        // Where checkpoints go decides nothing, and a path need not be text.
        let spec = TrainSpec { checkpoint: CheckpointSpec::default(), ..self.spec.clone() };
        let mut value =
            serde_json::to_value(&spec).map_err(|error| TrainError::field("training", error.to_string()))?;
        if let Some(map) = value.as_object_mut() {
            map.retain(|key, _| key != "checkpoint" && key != "logging_steps");
        }
        // Through text, so that numbers are those that come back from a file.
        serde_json::from_str(&value.to_string()).map_err(|error| TrainError::field("training", error.to_string()))
    }

    /// Whether the result depends on the validation rows: values of other rows cannot be compared with
    /// those that the checkpoint holds.
    fn validation_decides(&self) -> bool {
        let evaluation = &self.spec.evaluation;
        let told = evaluation.every != Every::Never && self.policies.wants_evaluations();
        evaluation.best.is_some() || evaluation.early_stopping.is_some() || told
    }

    fn role_names(&self) -> Vec<String> {
        std::iter::once(self.loss.name().to_string()).chain(self.policies.names()).collect()
    }
}

/// The first place where two JSON values differ: its name, then and now.
fn difference(path: &str, then: &Value, now: &Value) -> Option<(String, String, String)> {
    match (then, now) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.into_iter().find_map(|key| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                difference(&path, a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null))
            })
        }
        _ if then == now => None,
        _ => Some((path.to_string(), then.to_string(), now.to_string())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_difference_is_named_by_its_dotted_path() {
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let (then, now) = (json(r#"{"a": 1, "b": {"c": 8, "d": [1]}}"#), json(r#"{"a": 1, "b": {"c": 16, "d": [1]}}"#));
        assert_eq!(difference("", &then, &now), Some(("b.c".into(), "8".into(), "16".into())));
        assert_eq!(difference("", &then, &then), None);
    }
}
