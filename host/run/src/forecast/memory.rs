//! Memory of a training run, by part.
//!
//! Two moments can be the peak: the backward pass begins (all activations are kept, and the head's gradient is made), or it ends
//! (every gradient is there). Weights and both moments of AdamW are there in either.

use retune_roles::Layer;
use retune_train::model::footprint::{Footprint, Learning, Load, Pass};
use retune_train::model::shape::{LanguageHeadShape, Shape};
use retune_train::model::{Model, Outline, StoredDtype, Task};
use retune_train::training::traffic::Traffic;
use retune_train::{Strategy, TrainError};
use serde::Serialize;

/// The program itself, its threads, and what the system maps for it: measured on Linux with a model of a few kilobytes.
const PROCESS: u64 = 48 << 20;

/// What a tokenizer takes in memory for each byte of its file: vocabulary and merges, in tables for both directions.
const PER_TOKENIZER_BYTE: u64 = 12;

/// Bytes, by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The program, its threads, the tokenizer.
    pub process: u64,
    /// Prepared rows, which are mapped.
    pub rows: u64,
    /// Weights: float32, and bfloat16 where they are stored so and may never learn.
    pub weights: u64,
    /// AdamW's two moments of what may learn.
    pub moments: u64,
    /// The gradient of what may learn.
    pub gradients: u64,
    /// What the backward pass needs of the largest micro-batch.
    pub activations: u64,
    /// The gradient of the head's matrix and its logits, while all activations are kept.
    pub head: u64,
    /// What passes through a block at a time.
    pub workspace: u64,
    /// The most at one time.
    pub peak: u64,
}

/// What stands beside the model.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around {
    /// Bytes of prepared rows.
    pub rows: u64,
    /// Bytes of `tokenizer.json`.
    pub tokenizer: u64,
}

/// A model to be, and what of it may learn.
#[derive(Clone, Debug)]
pub struct Subject {
    pub(super) shape: Shape,
    pub(super) language: bool,
    pub(super) host: bool,
    pub(super) recomputing: bool,
    pub(super) layers: Vec<Layer>,
    pub(super) parts: Vec<Part>,
}

/// A tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub numel: u64,
    pub layer: usize,
    pub learns: bool,
    /// A matrix that is stored in bfloat16.
    pub narrow: bool,
}

impl Subject {
    /// Of a model that is not loaded, with what `strategy` leaves to learn.
    ///
    /// # Errors
    /// The strategy does not fit the model.
    pub fn of_outline(outline: &Outline, strategy: &Strategy, task: &Task, host: bool) -> Result<Self, TrainError> {
        let learns = retune_train::learning(strategy, outline)?;
        let part = |(parameter, learns): (&retune_train::model::OutlineParameter, bool)| Part {
            numel: parameter.numel(),
            layer: parameter.layer,
            learns,
            narrow: parameter.stored == Some(StoredDtype::Bfloat16) && parameter.shape.len() == 2,
        };
        let parts = outline.parameters.iter().zip(learns).map(part).collect();
        Ok(Self::new(outline.config.shape.clone(), task, host, outline.layers.clone(), parts))
    }

    /// Of a loaded model, with all that may ever learn: policies let more of it learn as a run goes on.
    pub fn of_model(model: &Model) -> Self {
        let part = |parameter: &retune_train::model::Parameter| Part {
            numel: parameter.numel(),
            layer: parameter.layer,
            learns: parameter.may_learn,
            narrow: parameter.stored_dtype() == StoredDtype::Bfloat16 && parameter.shape().len() == 2,
        };
        let parts = model.parameters().iter().map(part).collect();
        let host = retune_tensor::device::is_host(model.device());
        Self::new(model.config().shape.clone(), model.task(), host, model.layers(), parts)
    }

    fn new(mut shape: Shape, task: &Task, host: bool, layers: Vec<Layer>, parts: Vec<Part>) -> Self {
        // Hidden tokens are found by a head over the vocabulary too.
        if let (Task::MaskedLm, Some(head)) = (task, shape.masked_head) {
            shape.language_head = Some(LanguageHeadShape { name: head.name, tied: head.tied, soft_cap: None });
        }
        let language = matches!(task, Task::CausalLm | Task::MaskedLm);
        let mut subject = Self { shape, language, host, recomputing: false, layers, parts };
        subject.settle();
        subject
    }

    /// A layer learns when any of its parameters does.
    pub(super) fn settle(&mut self) {
        self.layers.iter_mut().for_each(|layer| layer.trainable = false);
        self.parts.iter().for_each(|part| self.layers[part.layer].trainable |= part.learns);
    }

    /// All scalars.
    pub fn parameters(&self) -> u64 {
        self.parts.iter().map(|part| part.numel).sum()
    }

    /// Those that may learn.
    pub fn trainable(&self) -> u64 {
        self.parts.iter().filter(|part| part.learns).map(|part| part.numel).sum()
    }

    /// What training takes with batches of `rows` rows.
    pub(super) fn memory(&self, traffic: &Traffic, rows: u64, accumulates: bool, around: Around) -> Memory {
        let pass = Pass { language: self.language, recomputing: self.recomputing, host: self.host };
        let learning = Learning::of(&self.layers, &self.shape);
        let load = |tokens| Load { tokens, targets: tokens, documents: rows };
        let training = Footprint::of(&self.shape, &learning, load(traffic.largest), pass);
        let nothing = Learning::default();
        let evaluation = Footprint::of(&self.shape, &nothing, load(traffic.evaluated), pass);
        let bytes = |part: &Part| part.numel * if part.narrow && !part.learns { 2 } else { 4 };
        let weights: u64 = self.parts.iter().map(bytes).sum();
        let gradients = 4 * self.trainable();
        let process = PROCESS + PER_TOKENIZER_BYTE * around.tokenizer;
        let lasting = process + around.rows + weights + 2 * gradients;
        let begins = training.kept + training.head + training.workspace + if accumulates { gradients } else { 0 };
        // A table that is read from both ends has two gradients for a moment.
        let twice = match self.shape.language_head {
            Some(head) if self.language && head.tied && learning_embeddings(&self.layers) => {
                4 * (self.shape.vocab_size * self.shape.hidden_size) as u64
            }
            _ => 0,
        };
        let ends = gradients + twice + training.workspace + if accumulates { gradients } else { 0 };
        let evaluates = evaluation.head + evaluation.workspace;
        Memory {
            process,
            rows: around.rows,
            weights,
            moments: 2 * gradients,
            gradients,
            activations: training.kept,
            head: training.head,
            workspace: training.workspace,
            peak: lasting + begins.max(ends).max(evaluates),
        }
    }
}

fn learning_embeddings(layers: &[Layer]) -> bool {
    layers.iter().any(|layer| layer.kind == retune_roles::LayerKind::Embedding && layer.trainable)
}
