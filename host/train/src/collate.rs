//! Which tensors the roles of a run want, and how a micro-batch gives them.
//!
//! Wants are checked once, before training: a required tensor that the run cannot
//! supply is an error that names the nearest one it can. After that a batch holds
//! what somebody asked for and nothing else, and a tensor that has to be padded is padded
//! here, when it is put into the batch: `[batch, seq, …]` of what no role wants is never made.

use std::collections::BTreeSet;
use std::sync::Arc;

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
    classes: Arc<[String]>,
}

impl Collation {
    /// For a task, and examples whose `extra` numbers are called `columns`. Nothing is wanted yet.
    pub fn new(task: &Task, columns: &[String]) -> Self {
        let further = columns.iter().map(|name| format!("{COLUMN}{name}"));
        let available = task.info().inputs.iter().map(ToString::to_string).chain(further).collect();
        Self { available, columns: columns.to_vec(), wanted: BTreeSet::new(), classes: task.labels().into() }
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
        let mut batch = Batch::new(input.keys().to_vec()).of_classes(Arc::clone(&self.classes));
        for name in &self.wanted {
            let tensor = match name.as_str() {
                "logits" | "predictions" => Some(forward.logits.clone()),
                "labels" | "targets" => input.labels()?.cloned(),
                "weights" => Some(input.weights()?.clone()),
                "hidden" => Some(forward.hidden().clone()),
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

    const ALL: [&str; 4] = ["logits", "labels", "weights", "hidden"];

    fn model(config: &str, task: &Task) -> crate::model::Model {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("config.json");
        let sizes = r#""vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 12, "max_position_embeddings": 32"#;
        std::fs::write(&path, format!("{{{sizes}, {config}}}")).unwrap();
        crate::model::Model::load(&crate::model::Base::Config(path), task, 5, &Device::flex()).unwrap().0
    }

    fn rows(target: &retune_roles::Target) -> Vec<Example> {
        let row = |length: u32| {
            let mut sequence = retune_roles::Sequence::of((0..length).map(|i| 1 + (7 * i + length) % 39).collect());
            sequence.learnt = std::iter::once(1..length).collect();
            Example::new(format!("row of {length}"), sequence, target.clone())
        };
        [5, 2, 9].map(row).into()
    }

    /// What `wants` gets, and the padded tensors that were made for it.
    fn batch(model: &crate::model::Model, rows: &[Example], wants: &[&str]) -> (Batch, Vec<&'static str>) {
        let mut collation = Collation::new(model.task(), &[]);
        let wants: Vec<InputSpec> = wants.iter().map(|name| InputSpec::required(*name)).collect();
        collation.want(RoleKind::Loss, "some", &wants).unwrap();
        let rows: Vec<&Example> = rows.iter().collect();
        let input = model.input(&rows).unwrap();
        let forward = model.forward(&model.weights(true), &input, None).unwrap();
        let batch = collation.batch(&forward, &input, &rows, model.device()).unwrap();
        let mut made = input.asked_for();
        made.extend(forward.is_padded().then_some("hidden"));
        (batch, made)
    }

    #[test]
    fn a_padded_tensor_is_made_for_the_role_that_wants_it_and_for_no_other() {
        let classes = Task::SequenceClassification { labels: vec!["no".into(), "yes".into()] };
        let bert = model(r#""model_type": "bert""#, &classes);
        let llama = model(r#""model_type": "llama", "num_key_value_heads": 1"#, &Task::CausalLm);
        let of = [(bert, rows(&retune_roles::Target::Class(1))), (llama, rows(&retune_roles::Target::None))];
        for (model, rows) in &of {
            assert!(batch(model, rows, &["logits"]).1.is_empty());
            assert!(batch(model, rows, &[]).1.is_empty());
            for name in ["labels", "weights", "hidden"] {
                assert_eq!(batch(model, rows, &["logits", name]).1, [name]);
            }
        }
    }

    #[test]
    fn what_is_padded_on_request_has_a_rows_values_in_its_place_and_nothing_beside_them() {
        let llama = model(r#""model_type": "llama", "num_key_value_heads": 1"#, &Task::CausalLm);
        let rows = rows(&retune_roles::Target::None);
        let (batch, _) = batch(&llama, &rows, &ALL);
        let shape = |name| batch.get(name).unwrap().shape();
        assert_eq!([shape("labels"), shape("weights")], [[3, 9], [3, 9]]);
        assert_eq!([shape("hidden"), shape("logits")], [[3, 9, 8], [3, 9, 40]]);
        let labels = batch.get("labels").unwrap().to_int64().unwrap();
        let [weights, hidden] = ["weights", "hidden"].map(|name| batch.get(name).unwrap().to_float32().unwrap());
        for (row, example) in rows.iter().enumerate() {
            let length = example.sequences[0].len();
            let mut expected = example.sequences[0].next_token_labels();
            expected.resize(9, -100);
            assert_eq!(labels[9 * row..9 * (row + 1)], expected);
            for place in 0..9 {
                let real = place < length;
                assert_eq!(weights[9 * row + place], f32::from(u8::from(real)));
                let states = &hidden[8 * (9 * row + place)..][..8];
                assert_eq!(states.iter().any(|x| *x != 0.0), real, "row {row}, place {place}");
            }
        }
    }
}
