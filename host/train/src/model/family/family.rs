//! What a family is: a row of the table.

use retune_roles::TaskKind;

use crate::model::ModelError;
use crate::model::keys::Keys;
use crate::model::shape::Shape;

/// Models that share a way to be described.
#[derive(Debug)]
pub struct Family {
    /// The `model_type` in `config.json`.
    pub model_type: &'static str,
    /// How its classes begin: `Bert` of `BertForSequenceClassification`.
    pub class: &'static str,
    /// What the base model is called inside task models, with its dot: `bert.`.
    pub prefix: &'static str,
    /// Endings of names that are spelled otherwise in some checkpoints: ours, theirs.
    pub aliases: &'static [(&'static str, &'static str)],
    /// The padding token of a `config.json` that does not speak of one.
    pub pad_token_id: Option<u32>,
    /// Reads what a `config.json` says of the network. Strict where a wrong guess would give wrong numbers: what is
    /// not implemented is an error that names the key and what is supported.
    pub shape: fn(&Keys) -> Result<Shape, ModelError>,
}

impl Family {
    /// The class of transformers that does a task: `LlamaForCausalLM`.
    pub fn class_for(&self, task: TaskKind) -> String {
        format!("{}{}", self.class, task.info().class_suffix)
    }
}
