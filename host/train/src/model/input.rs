//! Rows to tensors: one micro-batch.
//!
//! Token ids and segments are flat lists of real tokens; the [`Layout`] says which row each
//! belongs to, and a row's results do not depend on its neighbours. The sequences of a language model's row are documents that
//! were packed into one. `labels` and `weights` are tensors as the roles
//! read them, and made when they are first asked for: those of tokens are padded on the right to the longest row;
//! padding carries no label and no weight.

use std::sync::{Arc, OnceLock};

use burn::tensor::{Bool, Int, Tensor, TensorData};
use retune_roles::{Example, IGNORE_INDEX, Sequence, Target, Task, TaskKind};
use retune_tensor::{AnyTensor, Device, from_float32, from_int64, transfer};

use super::layout::indices;
use super::{Layout, ModelConfig, ModelError};

/// A micro-batch on a device.
#[derive(Clone, Debug)]
pub struct Input {
    keys: Vec<String>,
    lengths: Vec<usize>,
    seq_len: usize,
    pub(super) layout: Arc<Layout>,
    /// `[tokens]`.
    pub(super) input_ids: Tensor<1, Int>,
    /// `[tokens]`; absent when every token is in segment 0.
    pub(super) token_type_ids: Option<Tensor<1, Int>>,
    /// For each token whether it is the one whose row learns nothing; empty when none is.
    padding: Vec<bool>,
    device: Device,
    targets: Option<Targets>,
    labels: OnceLock<AnyTensor>,
    weights: OnceLock<AnyTensor>,
    /// Of each document.
    last_tokens: Vec<usize>,
}

/// What is to be learnt, without padding.
#[derive(Clone, Debug)]
enum Targets {
    /// One for each row.
    Classes(Vec<i64>),
    /// One for each token, -100 where there is none.
    Tokens(Vec<i64>),
    /// So many numbers for each row: 1 and 0 of labels that hold or not, or what is to be predicted.
    Numbers(Vec<f32>, usize),
}

impl Input {
    /// Puts `examples` one after the other.
    ///
    /// Labels are there when every row has one of the same kind: `[batch]` for
    /// classes; for a causal language model `[batch, seq]`, the next token where it is learnt,
    /// else -100, as on padding; where tokens have labels of their own, these. `[batch, outputs]` for any number
    /// of labels a row, of which there are `outputs`, and for numbers.
    ///
    /// # Errors
    /// Names the row when it is empty, longer than the model's positions, holds an
    /// id outside the vocabulary, has as many labels or segments as it has not
    /// tokens, or mixes with rows of another kind of target.
    pub fn from_examples(
        examples: &[&Example],
        task: &Task,
        config: &ModelConfig,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let Some(first) = examples.first() else {
            return Err(ModelError::request("a batch needs at least one row"));
        };
        for example in examples {
            check(example, config)?;
            if std::mem::discriminant(&example.target) != std::mem::discriminant(&first.target) {
                return Err(refuse(example, format!("its target is of another kind than that of {}", first.key)));
            }
            if example.sequences.len() > 1 && task.kind() != TaskKind::CausalLm {
                let count = example.sequences.len();
                return Err(refuse(example, format!("it has {count} sequences, expected one for {}", task.kind())));
            }
        }
        let sequences: Vec<&Sequence> = examples.iter().flat_map(|e| &e.sequences).collect();
        let lengths: Vec<usize> = examples.iter().map(|e| e.tokens()).collect();
        let seq_len = lengths.iter().copied().max().unwrap_or(0);
        let layout = Layout::packed(examples.iter().map(|e| e.sequences.iter().map(Sequence::len).collect()));
        let ids = sequences.iter().flat_map(|s| s.ids.iter().map(|id| i64::from(*id))).collect();
        let segmented = config.shape.embeddings.segments.is_some()
            && sequences.iter().any(|s| s.segments.iter().any(|segment| *segment != 0));
        let token_type_ids = segmented.then(|| {
            // Without segments, all of a row's tokens are in segment 0.
            let segments = sequences.iter().flat_map(|s| match s.segments.is_empty() {
                true => vec![0; s.len()],
                false => s.segments.iter().map(|segment| i64::from(*segment)).collect(),
            });
            indices(segments.collect(), device)
        });
        let mut padding: Vec<bool> =
            sequences.iter().flat_map(|s| s.ids.iter().map(|id| Some(*id) == config.unlearnt_token)).collect();
        if !padding.contains(&true) {
            padding.clear();
        }
        let outputs = task.labels().len();
        let targets = match (task.kind(), &first.target) {
            (TaskKind::SequenceClassification, Target::Class(_)) => {
                let classes =
                    examples.iter().map(|e| if let Target::Class(c) = e.target { i64::from(c) } else { IGNORE_INDEX });
                Some(Targets::Classes(classes.collect()))
            }
            (TaskKind::CausalLm, _) => {
                Some(Targets::Tokens(sequences.iter().flat_map(|s| s.next_token_labels()).collect()))
            }
            (TaskKind::TokenClassification | TaskKind::MaskedLm, Target::Labels(_)) => {
                let mut labels = Vec::with_capacity(layout.tokens());
                for (example, length) in examples.iter().zip(&lengths) {
                    let Target::Labels(of_row) = &example.target else { continue };
                    if of_row.len() != *length {
                        return Err(refuse(example, format!("{length} tokens but {} labels", of_row.len())));
                    }
                    labels.extend(of_row.iter().map(|label| i64::from(*label)));
                }
                Some(Targets::Tokens(labels))
            }
            (TaskKind::MultiLabelClassification, Target::Classes(_)) => {
                let mut labels = vec![0.0; examples.len() * outputs];
                for (example, row) in examples.iter().zip(labels.chunks_exact_mut(outputs.max(1))) {
                    let Target::Classes(classes) = &example.target else { continue };
                    for class in classes {
                        *row.get_mut(*class as usize).ok_or_else(|| {
                            refuse(example, format!("it has class {class}, but the model has {outputs} labels"))
                        })? = 1.0;
                    }
                }
                Some(Targets::Numbers(labels, outputs))
            }
            (TaskKind::Regression, Target::Values(_)) => {
                let mut numbers = Vec::with_capacity(examples.len() * outputs);
                for example in examples {
                    let Target::Values(values) = &example.target else { continue };
                    if values.len() != outputs {
                        let found = values.len();
                        return Err(refuse(example, format!("it has {found} numbers, but the model gives {outputs}")));
                    }
                    numbers.extend(values);
                }
                Some(Targets::Numbers(numbers, outputs))
            }
            _ => None,
        };

        Ok(Self {
            keys: examples.iter().map(|e| e.key.clone()).collect(),
            seq_len,
            input_ids: indices(ids, device),
            layout: Arc::new(layout),
            token_type_ids,
            padding,
            device: device.clone(),
            targets,
            labels: OnceLock::new(),
            weights: OnceLock::new(),
            last_tokens: sequences.iter().map(|s| last_token(s, config.pad_token_id)).collect(),
            lengths,
        })
    }

    /// Tokens that follow others of their documents: for each its ids, and how many were read before. No labels.
    ///
    /// # Errors
    /// Names the place in the list of one that is empty or does not fit the model.
    pub(super) fn continuing(
        pieces: &[(&[u32], usize)],
        config: &ModelConfig,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let examples: Vec<Example> = pieces
            .iter()
            .enumerate()
            .map(|(place, (ids, _))| Example::new(format!("text {place}"), Sequence::of(ids.to_vec()), Target::None))
            .collect();
        let longest = config.shape.longest_row();
        for (example, (ids, read)) in examples.iter().zip(pieces) {
            if ids.len() + read > longest {
                let reason = format!("{} tokens are more than the model's {longest} positions", ids.len() + read);
                return Err(refuse(example, reason));
            }
        }
        let input = Self::from_examples(&examples.iter().collect::<Vec<_>>(), &Task::CausalLm, config, device)?;
        let layout = Layout::continued(pieces.iter().map(|(ids, read)| (ids.len(), *read)));
        Ok(Self { layout: Arc::new(layout), ..input })
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

    /// Int64 `[batch]` (classes) or `[batch, seq]` (tokens, -100 for none); float32 `[batch, outputs]` (1 and 0 for any
    /// number of labels a row, or numbers).
    ///
    /// # Errors
    /// When the device has no room for them.
    pub fn labels(&self) -> Result<Option<&AnyTensor>, ModelError> {
        let Some(targets) = &self.targets else { return Ok(None) };
        made(&self.labels, || match targets {
            Targets::Classes(classes) => Ok(from_int64(classes.clone(), &[classes.len()], &self.device)?),
            Targets::Numbers(numbers, outputs) => {
                Ok(from_float32(numbers.clone(), &[self.lengths.len(), *outputs], &self.device)?)
            }
            Targets::Tokens(labels) => {
                Ok(from_int64(self.layout.pad_values(labels, IGNORE_INDEX), &self.padded(), &self.device)?)
            }
        })
        .map(Some)
    }

    /// Float32 `[batch, seq]`: one on tokens, zero on padding.
    ///
    /// # Errors
    /// When the device has no room for them.
    pub fn weights(&self) -> Result<&AnyTensor, ModelError> {
        made(&self.weights, || {
            let ones = vec![1.0; self.layout.tokens()];
            Ok(from_float32(self.layout.pad_values(&ones, 0.0), &self.padded(), &self.device)?)
        })
    }

    /// `[batch, seq]`.
    fn padded(&self) -> [usize; 2] {
        [self.layout.len(), self.layout.longest()]
    }

    /// `[tokens]`: where the padding token stands, when it does; its embedding learns nothing there.
    pub(super) fn padding(&self) -> Option<Tensor<1, Bool>> {
        let (pads, tokens) = (&self.padding, self.padding.len());
        (tokens > 0).then(|| {
            transfer::sent::<bool>(tokens);
            Tensor::from_data(TensorData::new(pads.clone(), [tokens]), &self.device)
        })
    }

    /// `[tokens]`: positions of a model in which they count the tokens that are not padding, from behind its id on.
    pub(super) fn positions_after(&self, padding: u32) -> Vec<i64> {
        let first = i64::from(padding) + 1;
        let mut places = Vec::with_capacity(self.layout.tokens());
        for span in self.layout.spans() {
            let mut next = first;
            for token in span {
                let pads = self.padding.get(token).copied().unwrap_or(false);
                places.push(if pads { first - 1 } else { next });
                next += i64::from(!pads);
            }
        }
        places
    }

    /// The padded tensors that somebody has asked for.
    #[cfg(test)]
    pub(crate) fn asked_for(&self) -> Vec<&'static str> {
        let each = [("labels", &self.labels), ("weights", &self.weights)];
        each.into_iter().filter(|(_, made)| made.get().is_some()).map(|(name, _)| name).collect()
    }

    /// Where its tokens lie, without padding.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// For each document, where in it a causal classifier reads it.
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
fn last_token(sequence: &Sequence, padding: Option<u32>) -> usize {
    match padding {
        Some(padding) => sequence.ids.iter().rposition(|id| *id != padding).unwrap_or(0),
        None => sequence.len() - 1,
    }
}

fn refuse(example: &Example, reason: impl Into<String>) -> ModelError {
    ModelError::Input { key: example.key.clone(), reason: reason.into() }
}

fn check(example: &Example, config: &ModelConfig) -> Result<(), ModelError> {
    if example.sequences.is_empty() {
        return Err(refuse(example, "it has no sequence"));
    }
    example.sequences.iter().try_for_each(|sequence| check_sequence(example, sequence, config))
}

fn check_sequence(example: &Example, sequence: &Sequence, config: &ModelConfig) -> Result<(), ModelError> {
    let Sequence { ids, segments: types, .. } = sequence;
    let length = ids.len();
    if length == 0 {
        return Err(refuse(example, "it has no tokens"));
    }
    if length > config.shape.longest_row() {
        let limit = config.shape.longest_row();
        return Err(refuse(
            example,
            format!("it has {length} tokens, but the model has {limit} positions; lower max_length"),
        ));
    }
    if let Some(id) = ids.iter().find(|id| **id as usize >= config.shape.vocab_size) {
        let size = config.shape.vocab_size;
        return Err(refuse(
            example,
            format!("token id {id} is outside the model's vocabulary of {size}; the tokenizer does not fit the model"),
        ));
    }
    if !types.is_empty() && types.len() != length {
        return Err(refuse(example, format!("{length} tokens but {} token types", types.len())));
    }
    if let Some((_, segments)) = config.shape.embeddings.segments
        && let Some(segment) = types.iter().find(|s| usize::from(**s) >= segments)
    {
        return Err(refuse(example, format!("token type {segment}, but the model has {segments}")));
    }
    Ok(())
}

/// What is in `slot`, or what `make` gives, kept there.
fn made(
    slot: &OnceLock<AnyTensor>,
    make: impl FnOnce() -> Result<AnyTensor, ModelError>,
) -> Result<&AnyTensor, ModelError> {
    if let Some(made) = slot.get() {
        return Ok(made);
    }
    let made = make()?;
    Ok(slot.get_or_init(|| made))
}
