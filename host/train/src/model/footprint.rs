//! How many bytes a training pass holds, counted from what the kernels keep.
//!
//! Of a token and a block, with `h` the hidden width, `q` and `k` those of all query and all key heads, `i` the inner width, and
//! all weights learning (a Llama):
//!
//! | kept for the backward pass | numbers |
//! |---|---|
//! | sums of the residual stream, which the norms keep | 2 h |
//! | what the projections read: norms, attention's result, the gated product | 2 h + q + i |
//! | queries, keys and values as attention sees them | q + 2 k |
//! | gate and up | 2 i |
//!
//! No `[seq, seq]` is kept, and no logits: the head's are made in chunks, forward and backward. A projection whose weight is
//! frozen does not keep what it reads, and a block above nothing that learns keeps nothing. `host/train/tests/footprint.rs`
//! holds this to what an allocator counts.

use retune_roles::{Layer, LayerKind};
use retune_tensor::fused;

use super::shape::{Activation, Gate, NormPlacement, Pooling, Projections, Shape};

/// What of a batch passes through a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Tokens of a micro-batch.
    pub tokens: u64,
    /// Those of them that carry a label, for a head over the vocabulary.
    pub targets: u64,
    /// Rows, for a classifier.
    pub documents: u64,
}

/// Which parts of a model learn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learning {
    embeddings: bool,
    /// Attention and feed-forward half of each block.
    blocks: Vec<[bool; 2]>,
    last_norm: bool,
    head: bool,
}

/// How a pass is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The head is one over the vocabulary.
    pub language: bool,
    /// A block keeps what it reads alone, and computes the rest again in the backward pass.
    pub recomputing: bool,
    /// On the CPU.
    pub host: bool,
}

/// Bytes of a training pass, at the moments when there are most of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// What the backward pass needs of one micro-batch, when it begins.
    pub kept: u64,
    /// What passes through one block on top of that.
    pub workspace: u64,
    /// The head's logits and the gradient of its matrix, while everything else is kept.
    pub head: u64,
}

/// Numbers per token.
type PerToken = usize;

impl Learning {
    /// As the `trainable` of each layer says.
    pub fn of(layers: &[Layer], shape: &Shape) -> Self {
        let mut learning = Self { blocks: vec![[false; 2]; shape.num_hidden_layers], ..Self::default() };
        for layer in layers.iter().filter(|layer| layer.trainable) {
            let block = (layer.depth as usize).checked_sub(1).and_then(|index| learning.blocks.get_mut(index));
            match (layer.kind, block) {
                (LayerKind::Attention, Some(block)) => block[0] = true,
                (LayerKind::Mlp, Some(block)) => block[1] = true,
                (LayerKind::Embedding, _) => learning.embeddings = true,
                (LayerKind::Head, _) => learning.head = true,
                _ => learning.last_norm = true,
            }
        }
        learning
    }
}

impl Footprint {
    /// Of one micro-batch.
    pub fn of(shape: &Shape, learning: &Learning, load: Load, pass: Pass) -> Self {
        let Pass { language, recomputing, host } = pass;
        let tokens = load.tokens as usize;
        let hidden = shape.hidden_size;
        let mut tracked = learning.embeddings;
        let mut kept = if tracked && shape.embeddings.norm.is_some() { hidden } else { 0 };
        let mut largest = 0;
        for learns in &learning.blocks {
            let block = block(shape, *learns, &mut tracked);
            largest = largest.max(block);
            kept += if recomputing { block.min(hidden) } else { block };
        }
        if recomputing {
            kept += largest;
        }
        tracked |= learning.last_norm;
        if tracked && shape.last_norm.is_some() {
            kept += hidden;
        }
        // Cosines and sines, of each kind of rotation.
        let mut kinds: Vec<_> = shape.attention.rotary.iter().flatten().collect();
        kinds.dedup();
        kept += kinds.len().min(2) * shape.attention.head_dim;
        let inner = match shape.feed_forward.gate {
            Gate::None => 2,
            Gate::Apart(_) | Gate::Fused => 4,
        } * shape.feed_forward.intermediate_size;
        let head = if language { language_head(shape, learning, load, host) } else { classifier(shape, load) };
        let passes = tracked || learning.head;
        // The matrix that takes means over rows.
        let shares = match shape.classifier.pooling {
            Pooling::Mean if tracked && !language => load.documents * load.tokens,
            _ => 0,
        };
        Self {
            kept: 4 * ((tokens * kept) as u64 + shares),
            workspace: if passes { 4 * (tokens * (inner + 2 * hidden)) as u64 } else { 0 },
            head,
        }
    }
}

/// What one block keeps, of a token. `tracked` is whether something below it learns, and becomes whether something up to it does.
fn block(shape: &Shape, [attention_learns, feed_forward_learns]: [bool; 2], tracked: &mut bool) -> PerToken {
    let (hidden, attention) = (shape.hidden_size, &shape.attention);
    let (queries, keys) =
        (attention.num_attention_heads * attention.head_dim, attention.num_key_value_heads * attention.head_dim);
    let when = |flag: bool, numbers: PerToken| if flag { numbers } else { 0 };
    let before = matches!(shape.placement, NormPlacement::Before | NormPlacement::Around { .. });
    let mut kept = 0;

    let reads = *tracked || attention_learns;
    // The norm before it keeps the stream; the norm after it what it adds, or the sum.
    kept += when(reads && before, hidden) + when(attention_learns, hidden);
    if reads {
        kept += queries + 2 * keys;
        kept += when(attention.query_key_norms.is_some(), queries + keys);
        // The values are a view of all that a fused projection gave, beside queries and keys that were turned.
        let fused = matches!(attention.projections, Projections::Fused(_));
        kept += when(fused && !attention.rotary.is_empty(), queries + keys);
    }
    kept += when(attention_learns, queries);
    *tracked = reads;
    kept += when(*tracked && !matches!(shape.placement, NormPlacement::Before), hidden);

    let reads = *tracked || feed_forward_learns;
    kept += when(reads && before, hidden) + when(feed_forward_learns, hidden);
    if reads {
        let inner = shape.feed_forward.intermediate_size;
        kept += inner * activation(shape.feed_forward.gate, shape.feed_forward.activation);
        kept += when(feed_forward_learns, inner);
    }
    *tracked = reads;
    kept + when(*tracked && !matches!(shape.placement, NormPlacement::Before), hidden)
}

/// How many tensors of the inner width the non-linearity and the gate keep.
fn activation(gate: Gate, activation: Activation) -> usize {
    match (gate, activation) {
        (Gate::None, _) => 1,
        (_, Activation::Silu) => 2,
        // What was activated, and the product's two factors.
        (_, Activation::Gelu | Activation::Relu) => 3,
        (_, Activation::GeluTanh) => 2 + GELU_TANH,
    }
}

/// burn composes the tanh approximation of its own operations, which keep this many tensors.
const GELU_TANH: usize = 4;

/// The gradient of the head's matrix and of what it reads. On the CPU logits are made in tiles of a fixed size; elsewhere in
/// chunks, whose gradient has their size, and whose parts of the matrix's gradient are added up.
fn language_head(shape: &Shape, learning: &Learning, load: Load, host: bool) -> u64 {
    let Some(head) = shape.language_head else { return 0 };
    let (vocabulary, hidden, targets) = (shape.vocab_size as u64, shape.hidden_size as u64, load.targets);
    let learns = if head.tied { learning.embeddings } else { learning.head };
    let matrix = if learns { vocabulary * hidden } else { 0 };
    let read = 2 * targets * hidden;
    if host {
        return TILE + 4 * (matrix + read);
    }
    let height = (fused::HEAD_CHUNK as u64 / vocabulary.max(1)).max(1);
    let capped = if head.soft_cap.is_some() { 2 } else { 0 };
    let several = if targets > height { 2 } else { 1 };
    4 * ((2 + capped) * height.min(targets) * vocabulary + several * matrix + read)
}

/// Bytes of a tile of logits.
const TILE: u64 = 2 << 20;

/// What is classified, and a pooler's result; logits are few.
fn classifier(shape: &Shape, load: Load) -> u64 {
    4 * 4 * load.documents * shape.hidden_size as u64
}
