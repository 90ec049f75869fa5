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

mod learning;

use retune_tensor::fused;

pub use learning::Learning;

use super::shape::{Activation, Gate, NormPlacement, Pooling, Projections, Shape};
use learning::{DROPPED, Half};

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

/// How a pass is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// What the head gives.
    pub head: HeadKind,
    /// A block keeps what it reads alone, and computes the rest again in the backward pass.
    pub recomputing: bool,
    /// Units drop out.
    pub dropout: bool,
    /// On the CPU.
    pub host: bool,
    /// Scalars of the largest matrix of a block that is kept in bfloat16, and of which a product makes float32.
    pub widened: u64,
}

/// What is made of the hidden states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// Classes or numbers of a row, so many.
    Rows(usize),
    /// Classes of a token, so many.
    Tokens(usize),
    /// The next token.
    Language,
    /// Tokens that were hidden.
    Masked,
}

/// Bytes of a training pass, without the gradients of parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// What stays below the blocks until the backward pass is there.
    pub below: u64,
    /// The same of each block, from the first one on.
    pub blocks: Vec<u64>,
    /// What a block keeps while it is computed again; nothing where blocks are not.
    pub again: u64,
    /// What stays above the blocks until the backward pass begins.
    pub above: u64,
    /// What passes through one block on top of that.
    pub workspace: u64,
    /// What the head's logits take, and gradients of what it reads, while everything else is kept.
    pub head: u64,
}

/// Numbers per token.
type PerToken = usize;

/// Ids, positions and labels of a token, as numbers.
const INPUT: PerToken = 8;

impl Footprint {
    /// Of one micro-batch.
    pub fn of(shape: &Shape, learning: &Learning, load: Load, pass: Pass) -> Self {
        let (tokens, hidden) = (load.tokens, shape.hidden_size);
        let numbers = |per_token: PerToken| 4 * tokens * per_token as u64;
        let mut tracked = learning.embeddings;
        let mut below = INPUT + if tracked && shape.embeddings.norm.is_some() { hidden } else { 0 };
        // Cosines and sines, of each kind of rotation.
        let mut kinds: Vec<_> = shape.attention.rotary.iter().flatten().collect();
        kinds.dedup();
        below += kinds.len().min(2) * shape.attention.head_dim;
        let (mut blocks, mut again) = (Vec::with_capacity(learning.blocks.len()), 0);
        for halves in &learning.blocks {
            let block = block(shape, *halves, &mut tracked, pass.dropout);
            again = again.max(block);
            blocks.push(numbers(if pass.recomputing { block.min(hidden) } else { block }));
        }
        tracked |= learning.last_norm;
        // A norm keeps what the last block gave. Without one that stays where blocks are computed again, as the start of a graph of its
        // own; a head over tokens reads it, and is counted with it.
        let starts = pass.recomputing && matches!(pass.head, HeadKind::Rows(_));
        let above = if tracked && (shape.last_norm.is_some() || starts) { hidden } else { 0 };
        let passes = tracked || learning.head || learning.head_rank > 0;
        let [head_keeps, head] = match pass.head {
            HeadKind::Language | HeadKind::Masked => vocabulary(shape, learning, load, pass),
            HeadKind::Rows(classes) => rows(shape, load, tracked, classes as u64),
            HeadKind::Tokens(classes) => tags(shape, load, classes as u64),
        };
        let beside = learning.head_beside as u64
            * match pass.head {
                HeadKind::Rows(_) => load.documents,
                _ => load.tokens,
            };
        // While a block goes back there are at most the gradients of its inner tensors and of the stream; of an adapter with DoRA, the
        // matrix whose rows are measured, and its square.
        let backward = numbers(inner(shape) + 2 * hidden) + 4 * pass.widened * products(shape);
        let forward = 4 * 3 * learning.dora as u64;
        Self {
            below: numbers(below),
            blocks,
            again: if pass.recomputing { numbers(again) } else { 0 },
            above: numbers(above) + if passes { head_keeps + 4 * beside } else { 0 },
            workspace: if passes { backward.max(forward) } else { 0 },
            head: if passes { head } else { 0 },
        }
    }

    /// Of a pass without a tape.
    pub fn without_tape(shape: &Shape, load: Load, pass: Pass) -> Self {
        let hidden = shape.hidden_size;
        let (queries, keys) = attention_widths(shape);
        // The stream and its norm, and what the larger half makes of it.
        let attends = 2 * queries + 2 * keys;
        let feeds = match shape.feed_forward.gate {
            Gate::None => 2,
            Gate::Apart(_) | Gate::Fused => 3,
        } * shape.feed_forward.intermediate_size;
        let rotary = shape.attention.head_dim;
        let per_token = 2 * hidden + rotary + attends.max(feeds);
        let [_, head] = match pass.head {
            HeadKind::Language | HeadKind::Masked => vocabulary(shape, &Learning::default(), load, pass),
            HeadKind::Rows(classes) => rows(shape, load, false, classes as u64),
            HeadKind::Tokens(classes) => tags(shape, load, classes as u64),
        };
        Self {
            workspace: 4 * load.tokens * per_token as u64 + 4 * pass.widened * products(shape),
            head,
            ..Self::default()
        }
    }

    /// Everything that is kept when the backward pass begins.
    pub fn kept(&self) -> u64 {
        self.below + self.blocks.iter().sum::<u64>() + self.above
    }
}

/// Widths of all query heads and of all key heads.
fn attention_widths(shape: &Shape) -> (usize, usize) {
    let attention = &shape.attention;
    (attention.num_attention_heads * attention.head_dim, attention.num_key_value_heads * attention.head_dim)
}

/// Numbers of the inner width that a feed-forward half holds while it goes back, beside what it kept: the gradient of the product, and
/// those of its factors.
fn inner(shape: &Shape) -> PerToken {
    let tensors = match shape.feed_forward.gate {
        Gate::None => 2,
        Gate::Apart(_) | Gate::Fused => 3,
    };
    tensors * shape.feed_forward.intermediate_size
}

/// Matrices of a block that one kernel reads together.
fn products(shape: &Shape) -> u64 {
    if matches!(shape.feed_forward.gate, Gate::Apart(_)) { 2 } else { 1 }
}

/// What one block keeps, of a token. `tracked` is whether something below it learns, and becomes whether something up to it does.
fn block(shape: &Shape, [attends, feeds]: [Half; 2], tracked: &mut bool, dropout: bool) -> PerToken {
    let (hidden, attention) = (shape.hidden_size, &shape.attention);
    let (queries, keys) = attention_widths(shape);
    let when = |flag: bool, numbers: PerToken| if flag { numbers } else { 0 };
    let before = matches!(shape.placement, NormPlacement::Before | NormPlacement::Around { .. });
    let mut kept = attends.beside + feeds.beside;

    let reads = *tracked || attends.learns;
    // The norm before it keeps the stream; the norm after it what it adds, or the sum.
    kept += when(reads && before, hidden) + when(attends.reads, hidden);
    if reads {
        kept += queries + 2 * keys;
        kept += when(attention.query_key_norms.is_some(), queries + keys);
        // The values are a view of all that a fused projection gave, beside queries and keys that were turned.
        let fused = matches!(attention.projections, Projections::Fused(_));
        kept += when(fused && !attention.rotary.is_empty(), queries + keys);
    }
    kept += when(attends.returns, queries);
    *tracked = reads;
    kept += when(*tracked && !matches!(shape.placement, NormPlacement::Before), hidden);

    let reads = *tracked || feeds.learns;
    kept += when(reads && before, hidden) + when(feeds.reads, hidden);
    if reads {
        let inner = shape.feed_forward.intermediate_size;
        kept += inner * activation(shape.feed_forward.gate, shape.feed_forward.activation, feeds.parted);
        kept += when(feeds.returns, inner);
    }
    *tracked = reads;
    kept += when(*tracked && !matches!(shape.placement, NormPlacement::Before), hidden);
    let sites = [shape.dropout[0], shape.dropout[1], shape.feed_forward.dropout];
    kept + when(*tracked && dropout, DROPPED * sites.iter().filter(|probability| **probability > 0.0).count())
}

/// How many tensors of the inner width the non-linearity and the gate keep.
fn activation(gate: Gate, activation: Activation, parted: bool) -> usize {
    match (gate, activation) {
        // Of a projection with an adapter, what is activated is an operation of burn's; a kernel of ours keeps what it read.
        (Gate::None, Activation::GeluTanh) if parted => GELU_TANH,
        (Gate::None, Activation::Silu) if parted => 2,
        (Gate::None, _) => 1,
        (_, Activation::Silu) => 2,
        // What was activated, and the product's two factors.
        (_, Activation::Gelu | Activation::Relu) => 3,
        (_, Activation::GeluTanh) => 2 + GELU_TANH,
    }
}

/// burn composes the tanh approximation of its own operations, which keep this many tensors.
const GELU_TANH: usize = 4;

/// Bytes that a head over the vocabulary keeps, and what it takes beside the gradient of its matrix when the backward pass begins.
/// On the CPU logits are made in tiles of a fixed size; elsewhere in chunks, whose gradient has their size, and whose parts of the
/// matrix's gradient are added up.
fn vocabulary(shape: &Shape, learning: &Learning, load: Load, pass: Pass) -> [u64; 2] {
    let (hidden, mut keeps) = (shape.hidden_size as u64, 0);
    let (tied, soft_cap) = match (pass.head, shape.language_head, shape.masked_head) {
        (HeadKind::Masked, _, Some(head)) => {
            // What the transform reads, what goes into its non-linearity, and into its norm.
            keeps += load.tokens * hidden * (2 + u64::from(head.transform.norm.is_some()));
            (head.tied, false)
        }
        (_, Some(head), _) => (head.tied, head.soft_cap.is_some()),
        _ => return [0, 0],
    };
    let rank = learning.head_rank as u64;
    let (vocabulary, width) = (shape.vocab_size as u64, hidden + rank);
    // An adapter makes `[x, s x Aᵀ]` and `[W, B]`, and the second has a gradient.
    let widened = if rank > 0 { 2 * vocabulary * width + load.tokens * width } else { 0 };
    // Rows that carry a label are copied; so are they for the backward pass, and their gradient is spread over all.
    keeps += load.targets * width;
    let read = 2 * load.targets * width + load.tokens * width + widened;
    if pass.host {
        let tile = load.targets.min(TILE[0]) * vocabulary.min(TILE[1]);
        return [4 * keeps, 4 * (tile + read)];
    }
    let learns = if tied { learning.embeddings } else { learning.head };
    let height = (fused::HEAD_CHUNK as u64 / vocabulary.max(1)).max(1);
    let capped = if soft_cap { 2 } else { 0 };
    let added_up = if learns && load.targets > height { vocabulary * width } else { 0 };
    [4 * keeps, 4 * ((2 + capped) * height.min(load.targets) * vocabulary + added_up + read)]
}

/// Rows and columns of a tile of logits.
const TILE: [u64; 2] = [256, 2048];

/// The same of a head over a row: what is classified, what a pooler makes of it, logits; and the matrix that takes means.
fn rows(shape: &Shape, load: Load, tracked: bool, classes: u64) -> [u64; 2] {
    let shares = match shape.classifier.pooling {
        Pooling::Mean if tracked => load.documents * load.tokens,
        _ => 0,
    };
    let tensors = if shape.classifier.pooler.is_some() { 4 } else { 2 };
    let (hidden, logits) = (tensors * load.documents * shape.hidden_size as u64, load.documents * classes);
    [4 * (shares + hidden + logits), 4 * (hidden + 3 * logits + load.tokens * shape.hidden_size as u64)]
}

/// The same of a head over classes of each token, whose logits are padded.
fn tags(shape: &Shape, load: Load, classes: u64) -> [u64; 2] {
    let hidden = load.tokens * shape.hidden_size as u64;
    let transform = shape.token_classifier.and_then(|head| head.transform);
    let transformed = transform.map_or(0, |transform| 2 + u64::from(transform.norm.is_some()));
    let logits = load.tokens * classes;
    [4 * (hidden * (1 + transformed) + 2 * logits), 4 * (hidden + 3 * logits)]
}
