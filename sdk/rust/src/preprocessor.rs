//! Raw samples in, training samples out: map, filter, flat-map.
//!
//! Data is prepared once, before training, file by file.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// A field of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Absent.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// Text.
    Text(String),
    /// Opaque bytes.
    Bytes(Vec<u8>),
    /// Token ids and anything shaped like them.
    Ids(Vec<u32>),
    /// A vector.
    Numbers(Vec<f32>),
    /// Nested data, as JSON.
    Json(String),
}

impl Value {
    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Integer(_) => "integer",
            Self::Number(_) => "number",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Ids(_) => "ids",
            Self::Numbers(_) => "numbers",
            Self::Json(_) => "json",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Named fields, in column order.
pub type Fields = Vec<(String, Value)>;

/// One row on its way in.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Stable across runs, workers and restarts: `train.csv:17`.
    pub key: String,
    /// The only source of chance: a hash of run seed, plugin, key and epoch, which is 0.
    pub seed: u64,
    /// The row.
    pub fields: Fields,
}

impl Sample {
    /// The field called `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// The text in the field called `name`.
    ///
    /// # Errors
    /// When there is no such field or it holds something else.
    pub fn text(&self, name: &str) -> Result<&str> {
        match self.get(name) {
            Some(Value::Text(text)) => Ok(text),
            Some(other) => {
                Err(Error::input(format!("field `{name}` of {} holds {}, not text", self.key, other.kind())))
            }
            None => {
                let names: Vec<_> = self.fields.iter().map(|(field, _)| format!("`{field}`")).collect();
                Err(Error::input(format!("{} has no field `{name}`; it has {}", self.key, names.join(", "))))
            }
        }
    }

    /// Sets a field, in its place when it exists.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.fields.iter_mut().find(|(field, _)| field == name) {
            Some((_, slot)) => *slot = value,
            None => self.fields.push((name.into(), value)),
        }
    }
}

/// One row on its way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Index into the batch of the sample this came from.
    pub source: u32,
    /// The new row.
    pub fields: Fields,
}

/// A sample that was dropped, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Index into the batch.
    pub source: u32,
    /// A short code, counted in the data report: `too-long`, `duplicate`.
    pub reason: String,
}

/// What became of a batch. A sample in neither list counts as filtered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchResult {
    /// Rows that go on.
    pub outputs: Vec<Output>,
    /// Rows that do not.
    pub rejected: Vec<Rejection>,
}

impl BatchResult {
    /// Lets a row go on. A sample may give several.
    pub fn keep(&mut self, source: usize, fields: Fields) {
        self.outputs.push(Output { source: source as u32, fields });
    }

    /// Drops a sample for `reason`, a short code.
    pub fn reject(&mut self, source: usize, reason: impl Into<String>) {
        self.rejected.push(Rejection { source: source as u32, reason: reason.into() });
    }
}

/// What a preprocessor promises.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreprocessorContract {
    /// Fields it reads; checked against the data before the run.
    pub reads: Vec<String>,
    /// Fields every output has.
    pub writes: Vec<String>,
    /// Keeps state between batches: one instance sees a file's rows in order, then `finish`.
    pub stateful: bool,
    /// Gives the same outputs for the same rows, so that the host may keep them for later runs.
    pub cacheable: bool,
}

/// Raw samples in, training samples out.
pub trait Preprocessor: Sized {
    /// The settings in the recipe; `()` for none.
    type Config: DeserializeOwned + JsonSchema;

    /// Makes the preprocessor, once for each file and worker.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    fn new(config: Self::Config, seed: u64) -> Result<Self>;

    /// What it promises.
    fn describe(&self) -> PreprocessorContract;

    /// Works on some rows. What becomes of one must not depend on its
    /// neighbours, unless the contract says `stateful`.
    ///
    /// # Errors
    /// Fails the run; to lose one sample, reject it.
    fn process(&mut self, batch: Vec<Sample>) -> Result<BatchResult>;

    /// After a file's last row, for a stateful one: rows that were held back. `source`
    /// of these rows is ignored.
    ///
    /// # Errors
    /// Fails the run.
    fn finish(&mut self) -> Result<Vec<Output>> {
        Ok(Vec::new())
    }
}
