//! What the model trains on: one tokenised row.

/// The label that carries no loss (PyTorch's and Hugging Face's convention).
pub const IGNORE_INDEX: i64 = -100;

/// One tokenised row, before it is padded into a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Stable across runs, workers and restarts; named in every error.
    pub key: String,
    /// Token ids with the special tokens of the tokenizer, cut to `max_length`.
    pub input_ids: Vec<u32>,
    /// Segment of each token (BERT's sentence A and B); empty means all zero.
    pub token_type_ids: Vec<u8>,
    /// What is to be learnt.
    pub target: Target,
    /// Further numeric columns, in the order of the data set's `extra_columns`.
    pub extra: Vec<f32>,
}

/// What a row teaches.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Nothing: the row is for prediction only.
    None,
    /// Index into the label set (sequence classification).
    Class(u32),
    /// One label a token, already shifted so that `labels[t]` is what
    /// `logits[t]` should predict; [`IGNORE_INDEX`] where there is none.
    Tokens(Vec<i64>),
}
