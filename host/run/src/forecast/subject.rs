//! A model to be, what of it may learn, and what a run takes with it.

use retune_roles::{Layer, LayerKind};
use retune_train::model::adapter::{Module, Placed};
use retune_train::model::footprint::{Footprint, HeadKind, Learning, Load, Pass};
use retune_train::model::shape::Shape;
use retune_train::model::{Model, Outline, OutlineParameter, Parameter, StoredDtype, Task};
use retune_train::training::traffic::Traffic;
use retune_train::{Strategy, TrainError};

use super::memory::{MAPPED, Memory, Moment, Moments, Parts};

/// A model to be, and what of it may learn.
#[derive(Clone, Debug)]
pub struct Subject {
    pub(super) shape: Shape,
    pub(super) head: HeadKind,
    pub(super) host: bool,
    pub(super) recomputing: bool,
    pub(super) dropout: bool,
    pub(super) layers: Vec<Layer>,
    pub(super) parts: Vec<Part>,
    pub(super) modules: Vec<Module>,
    pub(super) placed: Vec<Placed>,
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

/// What stands beside the model.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around {
    /// Bytes of the program, its tokenizer and its plugins.
    pub process: u64,
    /// Bytes of prepared rows.
    pub rows: u64,
    /// Rows of a micro-batch.
    pub batch: u64,
    /// Rows of an evaluation's batch.
    pub evaluated: u64,
    /// Whether a step has several micro-batches.
    pub accumulates: bool,
    /// Whether the best weights are read back at the end.
    pub restores: bool,
    /// Answers that are written together, the most tokens of a question, and of an answer; nothing where none are.
    pub answers: Option<[u64; 3]>,
}

impl Subject {
    /// Of a model that is not loaded, with what `strategy` leaves to learn.
    ///
    /// # Errors
    /// The strategy does not fit the model.
    pub fn of_outline(outline: &Outline, strategy: &Strategy, task: &Task, host: bool) -> Result<Self, TrainError> {
        let learns = retune_train::learning(strategy, outline)?;
        let part = |(parameter, learns): (&OutlineParameter, bool)| Part {
            numel: parameter.numel(),
            layer: parameter.layer,
            learns,
            narrow: parameter.stored == Some(StoredDtype::Bfloat16) && parameter.shape.len() == 2,
        };
        let parts = outline.parameters.iter().zip(learns).map(part).collect();
        let mut subject = Self::new(outline.config.shape.clone(), task, host, outline.layers.clone(), parts);
        (subject.modules, subject.placed) = (outline.modules.clone(), outline.placed.clone());
        Ok(subject)
    }

    /// Of a loaded model, with all that may ever learn: policies let more of it learn as a run goes on.
    pub fn of_model(model: &Model) -> Self {
        let part = |parameter: &Parameter| Part {
            numel: parameter.numel(),
            layer: parameter.layer,
            learns: parameter.may_learn,
            narrow: parameter.stored_dtype() == StoredDtype::Bfloat16 && parameter.shape().len() == 2,
        };
        let parts = model.parameters().iter().map(part).collect();
        let host = retune_tensor::device::is_host(model.device());
        let mut subject = Self::new(model.config().shape.clone(), model.task(), host, model.layers(), parts);
        if let Some(adapter) = model.adapter() {
            (subject.modules, subject.placed) = (model.modules().to_vec(), adapter.placed.clone());
        }
        subject
    }

    fn new(shape: Shape, task: &Task, host: bool, mut layers: Vec<Layer>, parts: Vec<Part>) -> Self {
        // A layer learns when any of its parameters does.
        layers.iter_mut().for_each(|layer| layer.trainable = false);
        parts.iter().for_each(|part: &Part| layers[part.layer].trainable |= part.learns);
        let head = match task {
            Task::CausalLm => HeadKind::Language,
            Task::MaskedLm => HeadKind::Masked,
            Task::TokenClassification { labels } => HeadKind::Tokens(labels.len()),
            Task::SequenceClassification { .. } | Task::MultiLabelClassification { .. } | Task::Regression { .. } => {
                HeadKind::Rows(task.labels().len())
            }
        };
        let (modules, placed) = (Vec::new(), Vec::new());
        Self { shape, head, host, recomputing: false, dropout: true, layers, parts, modules, placed }
    }

    /// The same, trained as a recipe says: with blocks that are computed again, and units that drop out.
    #[must_use]
    pub fn trained(mut self, recomputing: bool, dropout: bool) -> Self {
        (self.recomputing, self.dropout) = (recomputing, dropout);
        self
    }

    /// All scalars.
    pub fn parameters(&self) -> u64 {
        self.parts.iter().map(|part| part.numel).sum()
    }

    /// Those that may learn.
    pub fn trainable(&self) -> u64 {
        self.parts.iter().filter(|part| part.learns).map(|part| part.numel).sum()
    }

    /// What a run takes.
    pub(super) fn memory(&self, traffic: &Traffic, around: Around) -> Memory {
        let mut moments = Moments::default();
        let base = Parts { process: around.process, rows: around.rows, weights: self.weights(), ..Parts::default() };
        let [kept, learnt] = [self.mapped(|part| self.width(part)), self.mapped(|part| 4 * u64::from(part.learns))];
        // A tensor is read, widened and perhaps narrowed on its own; what a recipe freezes is narrowed when all are there.
        let largest = 4 * self.parts.iter().map(|part| part.numel).max().unwrap_or(0);
        let wide = if self.placed.is_empty() { 4 * self.parameters() } else { base.weights };
        let loading = Parts { weights: wide, workspace: 2 * largest, ..base };
        moments.add(Moment::Loading, loading, kept + large(largest, 2));

        let unread = 2 * self.unread(traffic.distinct);
        let lasting = Parts { moments: 2 * 4 * self.trainable() - unread, ..base };
        let lasting_mapped = kept + 2 * learnt - unread;
        self.training(traffic, around, (lasting, lasting_mapped), &mut moments);

        // A copy of a tensor is written; one that is read back is there as bytes and as floats.
        let saved = self.parts.iter().filter(|part| part.learns || self.placed.is_empty());
        let copy = 4 * saved.map(|part| part.numel).max().unwrap_or(0);
        let copies = if around.restores { 2 } else { 1 };
        let saving = Parts { workspace: copies * copy, ..lasting };
        moments.add(Moment::Saving, saving, lasting_mapped + large(copy, copies));

        let pass = self.pass();
        let evaluated = |tokens: u64, targets: u64, parts: Parts| {
            let load = Load { tokens, targets, documents: around.evaluated };
            let footprint = Footprint::without_tape(&self.shape, load, pass);
            Parts { head: footprint.head, workspace: footprint.workspace, ..parts }
        };
        let validation = evaluated(traffic.evaluated, traffic.evaluated_targets, lasting);
        moments.add(Moment::Evaluation, validation, lasting_mapped);
        // After training, when nothing but the weights is left of it.
        moments.add(Moment::Evaluation, evaluated(traffic.tested, traffic.tested_targets, base), kept);
        if let Some([answers, asked, written]) = around.answers {
            // Questions are read together, and then a token of each answer at a time.
            let cache = self.cache(answers * (asked + written));
            let parts = Parts { cache, ..evaluated(answers * asked, answers, lasting) };
            moments.add(Moment::Answers, parts, lasting_mapped);
        }
        moments.memory(self.host && cfg!(all(target_os = "linux", target_env = "gnu")))
    }

    /// The backward pass of the largest micro-batch, from its beginning to its end; `lasting` is there all along, with so many bytes of it
    /// mapped.
    fn training(&self, traffic: &Traffic, around: Around, (lasting, mapped): (Parts, u64), moments: &mut Moments) {
        let mut learning = Learning::of(&self.layers, &self.shape);
        if !self.placed.is_empty() {
            learning = learning.with_adapters(&self.modules, &self.placed, &self.shape);
        }
        let load = Load { tokens: traffic.largest, targets: traffic.targets, documents: around.batch };
        let pass = Footprint::of(&self.shape, &learning, load, self.pass());
        // Of tensors as wide as the inner ones, which are most of it.
        let activations_are_mapped = 4 * traffic.largest * self.shape.feed_forward.intermediate_size as u64 > MAPPED;
        let of_depth = |depth: u32| {
            let learns = |part: &&Part| part.learns && self.layers[part.layer].depth == depth;
            self.parts.iter().filter(learns).fold([0, 0], |[all, mapped], part| {
                let bytes = 4 * part.numel;
                [all + bytes, mapped + large(bytes, 1)]
            })
        };
        let blocks = pass.blocks.len();
        let learnt = self.mapped(|part| 4 * u64::from(part.learns));
        let mut gradients = if around.accumulates { [4 * self.trainable(), learnt] } else { [0, 0] };
        let mut add = |[all, mapped]: [u64; 2]| {
            gradients = [gradients[0] + all, gradients[1] + mapped];
            gradients
        };
        let mut at = |moment, [gradients, gradients_mapped]: [u64; 2], activations, [head, workspace]: [u64; 2]| {
            let parts = Parts { gradients, activations, head, workspace, ..lasting };
            let passing = if activations_are_mapped { activations + workspace } else { 0 };
            moments.add(moment, parts, mapped + gradients_mapped + passing);
        };
        // The head's, which is there as soon as anything is; and the table's, where it is the head.
        let tied = self.tied_table();
        let deepest = self.layers.last().map_or(0, |layer| layer.depth);
        let mut now = add([tied, large(tied, 1)]);
        for depth in blocks as u32 + 1..=deepest {
            now = add(of_depth(depth));
        }
        at(Moment::BackwardBegins, now, pass.kept(), [pass.head, 0]);
        for block in (0..blocks).rev() {
            now = add(of_depth(block as u32 + 1));
            let left = pass.below + pass.blocks[..=block].iter().sum::<u64>() + pass.again;
            at(Moment::Backward, now, left, [0, pass.workspace]);
        }
        // A table that is read from both ends has its two gradients and their sum for a moment.
        now = add(of_depth(0));
        let unread = if around.accumulates { 0 } else { self.unread(traffic.largest.min(traffic.distinct)) };
        now = now.map(|bytes| bytes - unread);
        at(Moment::BackwardEnds, [now[0] + tied, now[1] + large(tied, 1)], pass.below, [0, pass.workspace]);
    }

    /// Bytes of the gradient that the head has of the token table.
    fn tied_table(&self) -> u64 {
        let tied = match self.head {
            HeadKind::Language => self.shape.language_head.is_some_and(|head| head.tied),
            HeadKind::Masked => self.shape.masked_head.is_some_and(|head| head.tied),
            HeadKind::Rows(_) | HeadKind::Tokens(_) => false,
        };
        let table = self.parts.iter().filter(|part| part.learns && self.is_embedding(part)).map(|part| part.numel);
        if tied && self.placed.is_empty() { 4 * table.max().unwrap_or(0) } else { 0 }
    }

    /// Bytes of a token table's gradient, and of each of its moments, that nobody writes when so many different tokens are read: memory
    /// that was mapped for zeros is taken page by page. A table that is the head has a gradient everywhere, and a small one
    /// lies in a heap that was used before.
    fn unread(&self, distinct: u64) -> u64 {
        const PAGE: f64 = 4096.0;
        if !self.host || self.tied_table() > 0 || !self.placed.is_empty() {
            return 0;
        }
        let tables = self.parts.iter().filter(|part| part.learns && self.is_embedding(part));
        let bytes = large(tables.map(|part| 4 * part.numel).max().unwrap_or(0), 1);
        // Rows begin anywhere in a page, and several may share one.
        let (pages, of_row) = (bytes as f64 / PAGE, 4.0 * self.shape.hidden_size as f64 / PAGE + 1.0);
        (bytes as f64 * (-(distinct as f64) * of_row / pages.max(1.0)).exp()) as u64
    }

    fn is_embedding(&self, part: &Part) -> bool {
        self.layers[part.layer].kind == LayerKind::Embedding
    }

    fn weights(&self) -> u64 {
        self.parts.iter().map(|part| part.numel * self.width(part)).sum()
    }

    /// Bytes of a scalar as it is kept.
    fn width(&self, part: &Part) -> u64 {
        if part.narrow && !part.learns { 2 } else { 4 }
    }

    /// Bytes of all tensors that the allocator maps by themselves, with so many of each scalar.
    fn mapped(&self, width: impl Fn(&Part) -> u64) -> u64 {
        self.parts.iter().map(|part| large(part.numel * width(part), 1)).sum()
    }

    fn pass(&self) -> Pass {
        let narrow = |part: &&Part| {
            let kind = self.layers[part.layer].kind;
            part.narrow && !part.learns && matches!(kind, LayerKind::Attention | LayerKind::Mlp)
        };
        let widened = self.parts.iter().filter(narrow).map(|part| part.numel).max().unwrap_or(0);
        Pass { head: self.head, recomputing: self.recomputing, dropout: self.dropout, host: self.host, widened }
    }

    /// Keys and values of so many tokens in every block, in memory that grows by halves.
    fn cache(&self, tokens: u64) -> u64 {
        let attention = &self.shape.attention;
        let width = (attention.num_key_value_heads * attention.head_dim) as u64;
        3 * 4 * tokens * width * self.shape.num_hidden_layers as u64
    }
}

/// `count` blocks of so many bytes, where the allocator maps such a block by itself.
fn large(bytes: u64, count: u64) -> u64 {
    if bytes > MAPPED { bytes * count } else { 0 }
}
