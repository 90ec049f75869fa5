//! Rows to tensors: one padded micro-batch.
//!
//! Rows are padded on the right to the longest of the batch and never beyond, so a
//! step costs what its rows need. Padding is masked out of attention and carries no
//! label and no weight, so a row's results do not depend on its neighbours.

use burn::tensor::{Int, Tensor, TensorData};
use retune_roles::{Example, IGNORE_INDEX, Target};
use retune_tensor::{AnyTensor, Device, from_float32, from_int64};

use super::{Architecture, ModelConfig, ModelError};

/// A padded micro-batch on a device.
#[derive(Clone, Debug)]
pub struct Input {
    keys: Vec<String>,
    lengths: Vec<usize>,
    seq_len: usize,
    /// `[batch, seq]`.
    pub(super) input_ids: Tensor<2, Int>,
    /// `[batch, seq]`; absent when every token is in segment 0.
    pub(super) token_type_ids: Option<Tensor<2, Int>>,
    device: Device,
    labels: Option<AnyTensor>,
    weights: AnyTensor,
    last_tokens: Vec<usize>,
}

impl Input {
    /// Pads `examples` to the longest of them.
    ///
    /// Labels are there when every row has one of the same kind: `[batch]` for
    /// classes, `[batch, seq]` for tokens with -100 on padding.
    ///
    /// # Errors
    /// Names the row when it is empty, longer than the model's positions, holds an
    /// id outside the vocabulary, has as many labels or segments as it has not
    /// tokens, or mixes with rows of another kind of target.
    pub fn from_examples(examples: &[&Example], config: &ModelConfig, device: &Device) -> Result<Self, ModelError> {
        let Some(first) = examples.first() else {
            return Err(ModelError::request("a batch needs at least one row"));
        };
        for example in examples {
            check(example, config)?;
            if std::mem::discriminant(&example.target) != std::mem::discriminant(&first.target) {
                return Err(refuse(example, format!("its target is of another kind than that of {}", first.key)));
            }
        }
        let lengths: Vec<usize> = examples.iter().map(|e| e.input_ids.len()).collect();
        let (rows, seq_len) = (examples.len(), lengths.iter().copied().max().unwrap_or(0));
        let padding = i64::from(config.pad_token_id.unwrap_or(0));

        let ids = padded(examples, seq_len, padding, |e| e.input_ids.iter().map(|id| i64::from(*id)).collect());
        let segmented = config.architecture == Architecture::Bert
            && examples.iter().any(|e| e.token_type_ids.iter().any(|segment| *segment != 0));
        let token_type_ids = segmented.then(|| {
            let segments = padded(examples, seq_len, 0, |e| e.token_type_ids.iter().map(|s| i64::from(*s)).collect());
            integers(segments, [rows, seq_len], device)
        });
        let weights = padded(examples, seq_len, 0.0, |e| vec![1.0; e.input_ids.len()]);

        let labels = match first.target {
            Target::None => None,
            Target::Class(_) => {
                let classes =
                    examples.iter().map(|e| if let Target::Class(c) = e.target { i64::from(c) } else { IGNORE_INDEX });
                Some(from_int64(classes.collect(), &[rows], device)?)
            }
            Target::Tokens(_) => {
                let labels = padded(examples, seq_len, IGNORE_INDEX, |e| match &e.target {
                    Target::Tokens(labels) => labels.clone(),
                    _ => Vec::new(),
                });
                Some(from_int64(labels, &[rows, seq_len], device)?)
            }
        };

        Ok(Self {
            keys: examples.iter().map(|e| e.key.clone()).collect(),
            seq_len,
            input_ids: integers(ids, [rows, seq_len], device),
            token_type_ids,
            device: device.clone(),
            labels,
            last_tokens: examples.iter().map(|e| last_token(e, config.pad_token_id)).collect(),
            weights: from_float32(weights, &[rows, seq_len], device)?,
            lengths,
        })
    }

    /// Number of rows.
    pub fn batch_size(&self) -> usize {
        self.lengths.len()
    }

    /// Length of the longest row, to which the others are padded.
    pub fn seq_len(&self) -> usize {
        self.seq_len
    }

    /// Length of each row without padding.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Tokens without padding.
    pub fn tokens(&self) -> u64 {
        self.lengths.iter().map(|n| *n as u64).sum()
    }

    /// Keys of the rows.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Int64 `[batch]` (classes) or `[batch, seq]` (tokens, -100 for none).
    pub fn labels(&self) -> Option<&AnyTensor> {
        self.labels.as_ref()
    }

    /// Float32 `[batch, seq]`: one on tokens, zero on padding.
    pub fn weights(&self) -> &AnyTensor {
        &self.weights
    }

    /// For each row, where a causal classifier reads it.
    pub(super) fn last_tokens(&self) -> &[usize] {
        &self.last_tokens
    }

    /// Where the tensors are.
    pub fn device(&self) -> &Device {
        &self.device
    }
}

/// The last token that is not the padding token, as transformers finds it: by id,
/// so that a model whose end token doubles as padding is read before it. Which token
/// pads is settled before training and exported with the model.
fn last_token(example: &Example, padding: Option<u32>) -> usize {
    match padding {
        Some(padding) => example.input_ids.iter().rposition(|id| *id != padding).unwrap_or(0),
        None => example.input_ids.len() - 1,
    }
}

fn refuse(example: &Example, reason: impl Into<String>) -> ModelError {
    ModelError::Input { key: example.key.clone(), reason: reason.into() }
}

fn check(example: &Example, config: &ModelConfig) -> Result<(), ModelError> {
    let length = example.input_ids.len();
    if length == 0 {
        return Err(refuse(example, "it has no tokens"));
    }
    if length > config.max_position_embeddings {
        let limit = config.max_position_embeddings;
        return Err(refuse(
            example,
            format!("it has {length} tokens, but the model has {limit} positions; lower max_length"),
        ));
    }
    if let Some(id) = example.input_ids.iter().find(|id| **id as usize >= config.vocab_size) {
        let size = config.vocab_size;
        return Err(refuse(
            example,
            format!("token id {id} is outside the model's vocabulary of {size}; the tokenizer does not fit the model"),
        ));
    }
    if !example.token_type_ids.is_empty() && example.token_type_ids.len() != length {
        return Err(refuse(example, format!("{length} tokens but {} token types", example.token_type_ids.len())));
    }
    let segments = config.type_vocab_size;
    if config.architecture == Architecture::Bert
        && let Some(segment) = example.token_type_ids.iter().find(|s| usize::from(**s) >= segments)
    {
        return Err(refuse(example, format!("token type {segment}, but the model has {segments}")));
    }
    match &example.target {
        Target::Tokens(labels) if labels.len() != length => {
            Err(refuse(example, format!("{length} tokens but {} labels", labels.len())))
        }
        _ => Ok(()),
    }
}

fn padded<T: Clone>(examples: &[&Example], seq_len: usize, padding: T, row: impl Fn(&Example) -> Vec<T>) -> Vec<T> {
    let mut all = Vec::with_capacity(examples.len() * seq_len);
    for example in examples {
        all.extend(row(example));
        let missing = all.len().next_multiple_of(seq_len).max(seq_len) - all.len();
        all.extend(std::iter::repeat_n(padding.clone(), missing));
    }
    all
}

fn integers(values: Vec<i64>, shape: [usize; 2], device: &Device) -> Tensor<2, Int> {
    Tensor::from_data(TensorData::new(values, shape), device)
}
