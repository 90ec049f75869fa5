//! Which tensors the roles of a run want, and how a micro-batch gives them.
//!
//! Wants are checked once, before training: a required tensor that the run cannot
//! supply is an error that names the nearest one it can. After that a batch holds
//! what somebody asked for and nothing else.

use std::collections::BTreeSet;

use retune_roles::{Batch, Example, InputSpec, RoleKind, Task, nearest::nearest};
use retune_tensor::{Device, from_float32};

use crate::{
    error::TrainError,
    model::{Forward, Input},
};

/// The prefix of a further column of the data.
const COLUMN: &str = "column.";

/// What a run can supply, and what its roles want of it.
#[derive(Clone, Debug)]
pub struct Collation {
    available: Vec<String>,
    columns: Vec<String>,
    wanted: BTreeSet<String>,
}

impl Collation {
    /// For a task, and examples whose `extra` numbers are called `columns`. Nothing is wanted yet.
    pub fn new(task: &Task, columns: &[String]) -> Self {
        let further = columns.iter().map(|name| format!("{COLUMN}{name}"));
        let available = task.info().inputs.iter().map(ToString::to_string).chain(further).collect();
        Self { available, columns: columns.to_vec(), wanted: BTreeSet::new() }
    }

    /// Adds what `who` asks for, or says what it cannot have.
    pub fn want(&mut self, role: RoleKind, who: &str, inputs: &[InputSpec]) -> Result<(), TrainError> {
        for input in inputs {
            if self.available.contains(&input.name) {
                self.wanted.insert(input.name.clone());
            } else if !input.optional {
                return Err(TrainError::Want {
                    role,
                    who: who.to_string(),
                    wanted: input.name.clone(),
                    available: self.available.clone(),
                    nearest: nearest(&input.name, self.available.iter().map(String::as_str)).map(str::to_owned),
                });
            }
        }
        Ok(())
    }

    /// The wanted tensors of one micro-batch; `examples` are its rows.
    pub fn batch(
        &self,
        forward: &Forward,
        input: &Input,
        examples: &[&Example],
        device: &Device,
    ) -> Result<Batch, TrainError> {
        let mut batch = Batch::new(input.keys().to_vec());
        for name in &self.wanted {
            let tensor = match name.as_str() {
                "logits" => Some(forward.logits.clone()),
                "labels" => input.labels().cloned(),
                "weights" => Some(input.weights()?),
                "hidden" => Some(forward.hidden()),
                "pooled" => forward.pooled.clone(),
                column => Some(self.column(column, examples, device)?),
            };
            if let Some(tensor) = tensor {
                batch.insert(name.clone(), tensor);
            }
        }
        Ok(batch)
    }

    fn column(
        &self,
        name: &str,
        examples: &[&Example],
        device: &Device,
    ) -> Result<retune_tensor::AnyTensor, TrainError> {
        let place =
            self.columns.iter().position(|column| name.strip_prefix(COLUMN) == Some(column)).unwrap_or(usize::MAX);
        let values: Option<Vec<f32>> = examples.iter().map(|example| example.extra.get(place).copied()).collect();
        let values = values
            .ok_or_else(|| TrainError::Data { problem: format!("a row has no value for `{name}`"), help: None })?;
        from_float32(values, &[examples.len()], device).map_err(TrainError::tensor(format!("making `{name}`")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn collation() -> Collation {
        let task = Task::SequenceClassification { labels: vec!["no".into(), "yes".into()] };
        Collation::new(&task, &["price".into()])
    }

    #[test]
    fn an_unknown_want_names_the_nearest_tensor() {
        let error = collation().want(RoleKind::Loss, "focal", &[InputSpec::required("column.prise")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "loss focal asks for the tensor `column.prise`, which this run cannot supply; it has \
             `logits`, `labels`, `weights`, `hidden`, `pooled` and `column.price`"
        );
        assert_eq!(error.help().unwrap(), "did you mean `column.price`?");
    }

    #[test]
    fn an_optional_want_may_be_missing() {
        collation()
            .want(RoleKind::Loss, "distil", &[InputSpec { name: "teacher.logits".into(), optional: true }])
            .unwrap();
    }

    #[test]
    fn token_tasks_have_nothing_pooled() {
        let mut tokens = Collation::new(&Task::CausalLm, &[]);
        assert!(tokens.want(RoleKind::Metric, "m", &[InputSpec::required("pooled")]).is_err());
    }
}
