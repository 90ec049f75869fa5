//! Raw samples in, training samples out: map, filter, flat-map.

use crate::Result;

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

/// The most bytes of text of one row: of one value that a plugin gives, and of all that is tokenised of a row. A tokenizer
/// takes hundreds of bytes of memory for each byte of text. The longest novels have half of it.
pub const LONGEST_TEXT: usize = 8 << 20;

impl Value {
    /// Bytes of what is inside.
    pub fn byte_len(&self) -> usize {
        match self {
            Self::Null | Self::Boolean(_) | Self::Integer(_) | Self::Number(_) => 0,
            Self::Text(text) | Self::Json(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Ids(ids) => size_of_val(&ids[..]),
            Self::Numbers(numbers) => size_of_val(&numbers[..]),
        }
    }

    /// The text inside, when this is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

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

/// Named fields, in column order.
pub type Fields = Vec<(String, Value)>;

/// One row on its way into a preprocessor.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Stable across runs, workers and restarts: `train.csv:17`.
    pub key: String,
    /// Hash of run seed, plugin, key and epoch (0: data is prepared once): the only source of chance.
    pub seed: u64,
    /// The row.
    pub fields: Fields,
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

/// What a preprocessor promises.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreprocessorContract {
    /// Fields it reads; checked against the data before the run.
    pub reads: Vec<String>,
    /// Fields every output has.
    pub writes: Vec<String>,
    /// Keeps state between batches: one instance a file, in order, then `finish`.
    pub stateful: bool,
    /// Same outputs for the same rows, so that they may be kept for later runs.
    pub cacheable: bool,
}

/// Raw samples in, training samples out.
pub trait Preprocessor: Send {
    /// Who this is, for messages.
    fn name(&self) -> &str;
    /// What it promises.
    fn describe(&self) -> &PreprocessorContract;
    /// Output must not depend on batch boundaries unless `stateful`.
    fn process(&mut self, batch: &[Sample]) -> Result<BatchResult>;
    /// After a file's last batch; `source` of these outputs is ignored.
    fn finish(&mut self) -> Result<Vec<Output>>;
}

/// A preprocessor's place in the data path: how to make instances of it, and
/// what identifies its results in the cache.
pub struct Stage {
    /// Name in the data report.
    pub name: String,
    /// Digest over code, settings and seed: equal fingerprints, equal outputs.
    pub fingerprint: String,
    /// Makes an instance; called once per worker thread.
    #[allow(clippy::type_complexity, reason = "one factory, named by its field")]
    pub make: Box<dyn Fn() -> Result<Box<dyn Preprocessor>> + Send + Sync>,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage")
            .field("name", &self.name)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}
