//! One network for all families: embeddings, blocks of attention and feed-forward, a head.
//!
//! [`Shape`] says which parts there are. Hidden states are `[tokens, hidden]` without padding; a document's results
//! do not depend on what else the batch holds, nor on the sequence it was packed into.
//!
//! Layers: the embeddings at depth 0; both halves of block *i* at depth *i* + 1; the last norm, where there is one, below
//! the head, which is deepest.

use std::sync::Arc;

use burn::tensor::Tensor;
use retune_roles::LayerKind;

use super::dropout::Dropout;
use super::head::{Head, Output};
use super::inventory::Inventory;
use super::key_value_cache::KeyValueCache;
use super::layout::indices;
use super::mask::Site;
use super::nn::{Attention, Documents, Embedding, FeedForward, Norm, Rope, Stored, Stream, lookup};
use super::recompute::recomputed;
use super::rotary::Rotary;
use super::segments::Chain;
use super::shape::{LanguageHeadShape, MaskedHeadShape, NormPlacement, Shape, TokenClassifierShape};
use super::{Input, Weights};

/// Dropout sites: embeddings and heads first, then four in each block.
const EMBEDDINGS: Site = 0;
const PER_BLOCK: Site = 4;

/// What a network is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// So many classes.
    Classify(usize),
    /// The next token.
    Language(LanguageHeadShape),
    /// So many classes of each token.
    Tag(TokenClassifierShape, usize),
    /// Tokens that a mask hides.
    Unmask(MaskedHeadShape),
}

/// The parts of a model, each with the indices of its parameters.
#[derive(Clone, Debug)]
pub(super) struct Network {
    tokens: Embedding,
    embedding_scale: Option<f64>,
    positions: Option<Embedding>,
    /// Of a model whose positions begin behind it.
    positions_after: Option<u32>,
    segments: Option<Embedding>,
    embedding_norm: Option<Norm>,
    embedding_dropout: f64,
    head_dim: usize,
    /// Different ones; a block knows which is its.
    rotaries: Vec<Rotary>,
    blocks: Vec<Arc<Block>>,
    last_norm: Option<Norm>,
    head: Head,
}

#[derive(Clone, Debug)]
struct Block {
    attention: Attention,
    attention_norm: Option<Norm>,
    feed_forward: FeedForward,
    feed_forward_norm: Norm,
    norms: BlockNorms,
    /// Of those of the network.
    rotary: Option<usize>,
    dropout: [f64; 2],
    site: Site,
}

/// [`NormPlacement`] with the norms that it names.
#[derive(Clone, Debug)]
enum BlockNorms {
    Before,
    After,
    OfOutput,
    Around([Norm; 2]),
}

impl Network {
    /// Writes down every parameter, in the order of the Hugging Face model; `padding` is the row of the token table
    /// that starts at zero, `prefix` the base model's.
    pub(super) fn describe(
        shape: &Shape,
        prefix: &str,
        purpose: Purpose,
        padding: Option<u32>,
        inventory: &mut Inventory,
    ) -> Self {
        let hidden = shape.hidden_size;
        let embeddings = &shape.embeddings;
        let name = |name: &str| format!("{prefix}{name}");
        inventory.layer(name(embeddings.layer), 0, LayerKind::Embedding);
        let tokens = Embedding::describe(inventory, &name(embeddings.tokens), shape.vocab_size, hidden, padding);
        let mut table = |called: &str, rows| Embedding::describe(inventory, &name(called), rows, hidden, None);
        let positions = embeddings.positions.map(|called| table(called, shape.max_position_embeddings));
        let segments = embeddings.segments.map(|(called, count)| table(called, count));
        let embedding_norm = embeddings.norm.map(|called| Norm::describe(inventory, &name(called), hidden, shape.norm));
        let mut rotaries: Vec<Rotary> = Vec::new();
        let blocks = (0..shape.num_hidden_layers)
            .map(|i| {
                let rotary = shape.attention.rotary.get(i).and_then(Option::as_ref).map(|rotary| {
                    rotaries.iter().position(|known| known == rotary).unwrap_or_else(|| {
                        rotaries.push(rotary.clone());
                        rotaries.len() - 1
                    })
                });
                Arc::new(Block::describe(shape, &format!("{prefix}{}.{i}", shape.blocks), (i, rotary), inventory))
            })
            .collect();

        let mut depth = shape.num_hidden_layers + 1;
        let last_norm = shape.last_norm.map(|called| {
            inventory.layer(name(called), depth, LayerKind::Norm);
            depth += 1;
            Norm::describe(inventory, &name(called), hidden, shape.norm)
        });
        let head = match purpose {
            Purpose::Language(head) => Head::language(head, shape, &tokens, depth, inventory),
            Purpose::Unmask(head) => Head::masked(head, shape, &tokens, depth, inventory),
            Purpose::Tag(head, classes) => Head::tags(head, classes, shape, depth, inventory),
            Purpose::Classify(classes) => Head::classifier(classes, shape, prefix, depth, inventory),
        };
        Self {
            tokens,
            embedding_scale: embeddings.scale,
            positions,
            positions_after: embeddings.positions_after,
            segments,
            embedding_norm,
            embedding_dropout: embeddings.dropout,
            head_dim: shape.attention.head_dim,
            rotaries,
            blocks,
            last_norm,
            head,
        }
    }

    /// Runs it; `dropout` is none at evaluation.
    pub(super) fn forward(&self, weights: &Weights, input: &Input, dropout: &Dropout) -> Output {
        let (layout, device) = (input.layout(), input.device());
        let x = self.embed(weights, input);
        let mut stream = Stream::new(dropout.lines(x, self.embedding_dropout, EMBEDDINGS));

        let documents: Documents = layout.spans().collect();
        let ropes: Vec<Rope> =
            self.rotaries.iter().map(|rotary| Rope::new(layout, self.head_dim, rotary, device)).collect();
        if weights.recomputes() {
            stream = self.recomputed_blocks(weights, stream, &documents, &ropes, dropout);
        } else {
            for block in &self.blocks {
                let rope = block.rotary.map(|index| &ropes[index]);
                stream = block.forward(weights, stream, &documents, rope, dropout);
            }
        }
        let x = match &self.last_norm {
            Some(norm) => stream.normed(norm, weights).0,
            None => stream.states(),
        };
        self.head.forward(weights, x, input, dropout)
    }

    /// Reads tokens that follow those in `caches`, one for each document, and gives the logits of the last one of each,
    /// `[documents, vocab]`. `None` of a network without a head over the vocabulary.
    pub(super) fn extend(
        &self,
        weights: &Weights,
        input: &Input,
        caches: &mut [&mut KeyValueCache],
    ) -> Option<Tensor<2>> {
        let (layout, device) = (input.layout(), input.device());
        let dropout = Dropout::new(None, input.layout.clone());
        let mut stream = Stream::new(self.embed(weights, input));
        let documents: Documents = layout.spans().collect();
        let ropes: Vec<Rope> =
            self.rotaries.iter().map(|rotary| Rope::new(layout, self.head_dim, rotary, device)).collect();
        for (index, block) in self.blocks.iter().enumerate() {
            let rope = block.rotary.map(|index| &ropes[index]);
            let mut stored: Vec<&mut Stored> = caches.iter_mut().map(|cache| cache.block(index)).collect();
            let attend = |x| block.attention.extend(weights, x, &documents, rope, &mut stored, &dropout);
            stream = block.around(weights, stream, attend, &dropout);
        }
        // Nobody looks at the others.
        let last = layout.spans().map(|span| span.end as i64 - 1).collect();
        let x = lookup(stream.states(), indices(last, device));
        let x = match &self.last_norm {
            Some(norm) => norm.forward(weights, x),
            None => x,
        };
        self.head.next_token(weights, x, &dropout)
    }

    /// Whether what was computed of the first `read` tokens of a document holds in one of `length`: rotary positions that are
    /// scaled by length turn all of a longer document otherwise.
    pub(super) fn keeps(&self, read: usize, length: usize) -> bool {
        self.rotaries.iter().all(|rotary| rotary.keeps(read, length))
    }

    /// The blocks, each of which keeps the states that it reads and nothing else.
    fn recomputed_blocks(
        &self,
        weights: &Weights,
        stream: Stream,
        documents: &Documents,
        ropes: &[Rope],
        dropout: &Dropout,
    ) -> Stream {
        let mut x = stream.states();
        let mut chain = Chain::new(x.clone());
        for block in &self.blocks {
            let (block, documents, dropout) = (Arc::clone(block), documents.clone(), dropout.clone());
            let rope = block.rotary.map(|index| ropes[index].clone());
            x = recomputed(weights, &mut chain, x, move |weights, x| {
                block.forward(weights, Stream::new(x), &documents, rope.as_ref(), &dropout).states()
            });
        }
        weights.keep(chain);
        Stream::new(x)
    }

    /// `[tokens, hidden]`: the sum of the tables, and its norm.
    fn embed(&self, weights: &Weights, input: &Input) -> Tensor<2> {
        // As `padding_idx` of torch: the row learns nothing from where it is read, whatever else the token means.
        let read = |table: &Embedding, ids| {
            let x = table.forward(weights, ids);
            match input.padding().filter(|_| table.learns(weights)) {
                Some(padding) => {
                    let shape = x.dims();
                    x.clone().mask_where(padding.unsqueeze_dim::<2>(1).expand(shape), x.detach())
                }
                None => x,
            }
        };
        let mut x = read(&self.tokens, input.input_ids.clone());
        if let Some(scale) = self.embedding_scale {
            x = x * scale;
        }
        // transformers adds segments before positions; the order matters to the last bit.
        if let Some(segments) = &self.segments {
            x = match &input.token_type_ids {
                Some(ids) => x + segments.forward(weights, ids.clone()),
                None => x + segments.first(weights, 1),
            };
        }
        if let Some(positions) = &self.positions {
            x = x + match self.positions_after {
                Some(padding) => read(positions, indices(input.positions_after(padding), input.device())),
                None => {
                    let places = input.layout().positions().iter().map(|position| i64::from(*position)).collect();
                    positions.forward(weights, indices(places, input.device()))
                }
            };
        }
        match &self.embedding_norm {
            Some(norm) => norm.forward(weights, x),
            None => x,
        }
    }
}

impl Block {
    fn describe(shape: &Shape, name: &str, (index, rotary): (usize, Option<usize>), inventory: &mut Inventory) -> Self {
        let norm = |inventory: &mut Inventory, called: &str| {
            Norm::describe(inventory, &format!("{name}.{called}"), shape.hidden_size, shape.norm)
        };
        inventory.layer(format!("{name}.{}", shape.attention.layer), index + 1, LayerKind::Attention);
        let attention = Attention::describe(inventory, (name, index), shape);
        let unnormed = shape.first_unnormed && index == 0;
        let attention_norm = (!unnormed).then(|| norm(inventory, shape.attention.norm));
        let around = match shape.placement {
            NormPlacement::Around { attention, feed_forward } => Some((norm(inventory, attention), feed_forward)),
            _ => None,
        };
        inventory.layer(format!("{name}.{}", shape.feed_forward.layer), index + 1, LayerKind::Mlp);
        let feed_forward = FeedForward::describe(inventory, name, shape);
        let feed_forward_norm = norm(inventory, shape.feed_forward.norm);
        let norms = match (around, shape.placement) {
            (Some((attention, called)), _) => BlockNorms::Around([attention, norm(inventory, called)]),
            (None, NormPlacement::After) => BlockNorms::After,
            (None, NormPlacement::OfOutput) => BlockNorms::OfOutput,
            (None, _) => BlockNorms::Before,
        };
        Self {
            attention,
            attention_norm,
            feed_forward,
            feed_forward_norm,
            norms,
            rotary,
            dropout: shape.dropout,
            site: PER_BLOCK * (index as Site + 1),
        }
    }

    fn forward(
        &self,
        weights: &Weights,
        stream: Stream,
        documents: &Documents,
        rope: Option<&Rope>,
        dropout: &Dropout,
    ) -> Stream {
        let attend = |x| self.attention.forward(weights, x, documents, rope, dropout, self.site);
        self.around(weights, stream, attend, dropout)
    }

    /// Both halves, the first around `attend`.
    fn around(
        &self,
        weights: &Weights,
        stream: Stream,
        attend: impl FnOnce(Tensor<2>) -> Tensor<2>,
        dropout: &Dropout,
    ) -> Stream {
        let attended = || dropout.of_tokens(self.dropout[0], self.site + 1);
        let fed = || dropout.of_tokens(self.dropout[1], self.site + 2);
        let feed = |x| self.feed_forward.forward(weights, x, dropout, self.site + 3);
        let normed = |norm: &Option<Norm>, stream: Stream| match norm {
            Some(norm) => stream.normed(norm, weights),
            None => stream.read(),
        };
        let of = |norm: &Option<Norm>, x| match norm {
            Some(norm) => norm.forward(weights, x),
            None => x,
        };
        match &self.norms {
            BlockNorms::Before => {
                let (x, stream) = normed(&self.attention_norm, stream);
                let stream = stream.plus(attend(x), attended());
                let (x, stream) = stream.normed(&self.feed_forward_norm, weights);
                stream.plus(feed(x), fed())
            }
            BlockNorms::After => {
                let x = stream.states();
                let added = attend(x.clone());
                let x = match &self.attention_norm {
                    Some(norm) => norm.of_sum(weights, added, x, attended()),
                    None => Stream::new(x).plus(added, attended()).states(),
                };
                let added = feed(x.clone());
                Stream::new(self.feed_forward_norm.of_sum(weights, added, x, fed()))
            }
            BlockNorms::OfOutput => {
                let (x, stream) = stream.read();
                let stream = stream.plus(of(&self.attention_norm, attend(x)), attended());
                let (x, stream) = stream.read();
                stream.plus(self.feed_forward_norm.forward(weights, feed(x)), fed())
            }
            BlockNorms::Around([second_attention, second_feed_forward]) => {
                let (x, stream) = normed(&self.attention_norm, stream);
                let stream = stream.plus(second_attention.forward(weights, attend(x)), attended());
                let (x, stream) = stream.normed(&self.feed_forward_norm, weights);
                stream.plus(second_feed_forward.forward(weights, feed(x)), fed())
            }
        }
    }
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
