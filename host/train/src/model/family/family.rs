//! What a family is: a row of the table.

use retune_roles::TaskKind;
use serde_json::{Map, Value};

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
    /// Classes that are called otherwise.
    pub classes: &'static [(TaskKind, &'static str)],
    /// What the base model is called inside task models, with its dot: `bert.`.
    pub prefix: &'static str,
    /// Endings of names that are spelled otherwise in some checkpoints: ours, theirs.
    pub aliases: &'static [(&'static str, &'static str)],
    /// Endings of names inside of blocks that are no parameters: some checkpoints have them, every model computes them.
    pub buffers: &'static [&'static str],
    /// What the configuration class of transformers takes where `config.json` lacks a key; `null` in the file stays.
    pub defaults: &'static [(&'static str, DefaultValue)],
    /// How new weights are drawn.
    pub initial: Initial,
    /// Reads what a `config.json` says of the network. Strict where a wrong guess would give wrong numbers: what is
    /// not implemented is an error that names the key and what is supported.
    pub shape: fn(&Keys) -> Result<Shape, ModelError>,
}

/// How the weights of a new model are drawn: normal with the config's `initializer_range`, and what differs from that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Initial {
    /// Projections back to the residual stream, and a pooler, have one over the root of twice the number of blocks of it.
    pub outward: bool,
    /// A classifier has one over the root of the hidden width.
    pub classifier: bool,
    /// Nothing is further out than so many deviations: a key of `config.json`, and its default.
    pub cutoff: Option<(&'static str, f64)>,
}

impl Initial {
    /// Nothing differs.
    pub const PLAIN: Self = Self { outward: false, classifier: false, cutoff: None };
}

/// The value of a key that is not there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DefaultValue {
    /// A whole number.
    Size(u64),
    /// Another number.
    Number(f64),
    /// `true` or `false`.
    Flag(bool),
    /// Text.
    Text(&'static str),
}

impl Family {
    /// One without other names and defaults.
    pub const fn new(
        model_type: &'static str,
        class: &'static str,
        prefix: &'static str,
        shape: fn(&Keys) -> Result<Shape, ModelError>,
    ) -> Self {
        Self {
            model_type,
            class,
            classes: &[],
            prefix,
            aliases: &[],
            buffers: &[],
            defaults: &[],
            initial: Initial::PLAIN,
            shape,
        }
    }

    /// The class of transformers that does a task: `LlamaForCausalLM`.
    pub fn class_for(&self, task: TaskKind) -> String {
        // A class is shared by the tasks of one suffix.
        let suffix = task.info().class_suffix;
        match self.classes.iter().find(|(kind, _)| kind.info().class_suffix == suffix) {
            Some((_, class)) => (*class).to_owned(),
            None => format!("{}{suffix}", self.class),
        }
    }

    /// The task that a class of transformers does.
    pub fn task_of(&self, class: &str) -> Option<TaskKind> {
        let named = self.classes.iter().find(|(_, name)| *name == class).map(|(kind, _)| *kind);
        named.or_else(|| TaskKind::of_class(class))
    }

    /// The keys of a `config.json` with those that it lacks.
    pub(in crate::model) fn filled(&self, raw: &Map<String, Value>) -> Map<String, Value> {
        let mut filled = raw.clone();
        for (key, value) in self.defaults.iter().filter(|(key, _)| !raw.contains_key(*key)) {
            let value = match *value {
                DefaultValue::Size(size) => Value::from(size),
                DefaultValue::Number(number) => Value::from(number),
                DefaultValue::Flag(flag) => Value::from(flag),
                DefaultValue::Text(text) => Value::from(text),
            };
            filled.insert((*key).to_owned(), value);
        }
        filled
    }
}
