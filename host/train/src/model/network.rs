//! One network for all families: embeddings, blocks of attention and feed-forward, a head.
//!
//! [`Shape`] says which parts there are. Hidden states are `[tokens, hidden]` without padding; a document's results
//! do not depend on what else the batch holds, nor on the sequence it was packed into.
//!
//! Layers: the embeddings at depth 0; both halves of block *i* at depth *i* + 1; the last norm, where there is one, below
//! the head, which is deepest.

use burn::tensor::Tensor;
use retune_roles::LayerKind;
use retune_tensor::AnyTensor;

use super::dropout::Dropout;
use super::inventory::Inventory;
use super::layout::indices;
use super::mask::Site;
use super::nn::{Attention, Documents, Embedding, FeedForward, Linear, Norm, Rope, Stream, lookup};
use super::rotary::Rotary;
use super::shape::{LanguageHeadShape, NormPlacement, Pooling, Shape};
use super::{Input, Weights};

/// Dropout sites: embeddings and classifier first, then three in each block.
const EMBEDDINGS: Site = 0;
const CLASSIFIER: Site = 1;
const PER_BLOCK: Site = 4;

/// What a network is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// So many classes.
    Classify(usize),
    /// The next token.
    Language(LanguageHeadShape),
}

/// What a network computes.
pub(super) struct Output {
    /// `[documents, classes]`, or `[sequences, longest, vocab]`.
    pub(super) logits: AnyTensor,
    /// `[tokens, hidden]`.
    pub(super) hidden: Tensor<2>,
    /// `[documents, hidden]`: what the classifier reads, before its dropout.
    pub(super) pooled: Option<Tensor<2>>,
}

/// The parts of a model, each with the indices of its parameters.
#[derive(Clone, Debug)]
pub(super) struct Network {
    tokens: Embedding,
    positions: Option<Embedding>,
    segments: Option<Embedding>,
    embedding_norm: Option<Norm>,
    embedding_dropout: f64,
    rotary: Option<(usize, Rotary)>,
    blocks: Vec<Block>,
    last_norm: Option<Norm>,
    head: Head,
}

#[derive(Clone, Debug)]
enum Head {
    Language(Linear),
    Classifier {
        pooling: Pooling,
        /// Before the classifier, with tanh.
        pooler: Option<Linear>,
        classifier: Linear,
        dropout: f64,
    },
}

#[derive(Clone, Debug)]
struct Block {
    attention: Attention,
    attention_norm: Norm,
    feed_forward: FeedForward,
    feed_forward_norm: Norm,
    placement: NormPlacement,
    dropout: f64,
    site: Site,
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
        let blocks = (0..shape.num_hidden_layers)
            .map(|i| Block::describe(shape, &format!("{prefix}{}.{i}", shape.blocks), i, inventory))
            .collect();

        let mut depth = shape.num_hidden_layers + 1;
        let last_norm = shape.last_norm.map(|called| {
            inventory.layer(name(called), depth, LayerKind::Norm);
            depth += 1;
            Norm::describe(inventory, &name(called), hidden, shape.norm)
        });
        let head = match purpose {
            Purpose::Language(head) if head.tied => Head::Language(Linear::tied(tokens.table())),
            Purpose::Language(head) => {
                inventory.layer(head.name, depth, LayerKind::Head);
                Head::Language(Linear::describe(inventory, head.name, hidden, shape.vocab_size, false))
            }
            Purpose::Classify(classes) => {
                let pooler = match shape.classifier.pooling {
                    Pooling::FirstToken { layer, projection } => {
                        inventory.layer(name(layer), depth, LayerKind::Head);
                        Some(Linear::describe(inventory, &name(projection), hidden, hidden, true))
                    }
                    Pooling::LastToken => None,
                };
                let classifier = shape.classifier;
                inventory.layer(classifier.name, depth, LayerKind::Head);
                Head::Classifier {
                    pooling: classifier.pooling,
                    pooler,
                    classifier: Linear::describe(inventory, classifier.name, hidden, classes, classifier.bias),
                    dropout: classifier.dropout,
                }
            }
        };
        Self {
            tokens,
            positions,
            segments,
            embedding_norm,
            embedding_dropout: embeddings.dropout,
            rotary: shape.attention.rotary.clone().map(|rotary| (shape.attention.head_dim, rotary)),
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
        let rope = self.rotary.as_ref().map(|(width, rotary)| Rope::new(layout, *width, rotary, device));
        for block in &self.blocks {
            stream = block.forward(weights, stream, &documents, rope.as_ref(), dropout);
        }
        let x = match &self.last_norm {
            Some(norm) => stream.normed(norm, weights).0,
            None => stream.states(),
        };
        match &self.head {
            Head::Language(head) => Output { logits: head.lazy(weights, x.clone(), layout), hidden: x, pooled: None },
            Head::Classifier { pooling, pooler, classifier, dropout: probability } => {
                let starts = layout.spans().map(|span| span.start);
                let places = match pooling {
                    Pooling::FirstToken { .. } => starts.map(|start| start as i64).collect(),
                    Pooling::LastToken => {
                        let last = layout.rows().iter().map(|row| input.last_tokens()[*row]);
                        starts.zip(last).map(|(start, last)| (start + last) as i64).collect()
                    }
                };
                let read = lookup(x.clone(), indices(places, device));
                let pooled = match pooler {
                    Some(pooler) => pooler.forward(weights, read).tanh(),
                    None => read,
                };
                let kept = dropout.lines(pooled.clone(), *probability, CLASSIFIER);
                let logits = AnyTensor::from(classifier.forward(weights, kept));
                Output { logits, hidden: x, pooled: Some(pooled) }
            }
        }
    }

    /// `[tokens, hidden]`: the sum of the tables, and its norm.
    fn embed(&self, weights: &Weights, input: &Input) -> Tensor<2> {
        let mut x = self.tokens.forward(weights, input.input_ids.clone());
        if weights.learns(self.tokens.table())
            && let Some(padding) = input.padding()
        {
            // As `padding_idx` of torch: the row learns nothing from where it is read, whatever else the token means.
            let shape = x.dims();
            x = x.clone().mask_where(padding.unsqueeze_dim::<2>(1).expand(shape), x.detach());
        }
        // transformers adds segments before positions; the order matters to the last bit.
        if let Some(segments) = &self.segments {
            x = match &input.token_type_ids {
                Some(ids) => x + segments.forward(weights, ids.clone()),
                None => x + segments.first(weights, 1),
            };
        }
        if let Some(positions) = &self.positions {
            let places = input.layout().positions().iter().map(|position| i64::from(*position)).collect();
            x = x + positions.forward(weights, indices(places, input.device()));
        }
        match &self.embedding_norm {
            Some(norm) => norm.forward(weights, x),
            None => x,
        }
    }
}

impl Block {
    fn describe(shape: &Shape, name: &str, index: usize, inventory: &mut Inventory) -> Self {
        let hidden = shape.hidden_size;
        inventory.layer(format!("{name}.{}", shape.attention.layer), index + 1, LayerKind::Attention);
        let attention = Attention::describe(inventory, (name, index), hidden, &shape.attention, shape.norm);
        let norm = |inventory: &mut Inventory, called: &str| {
            Norm::describe(inventory, &format!("{name}.{called}"), hidden, shape.norm)
        };
        let attention_norm = norm(inventory, shape.attention.norm);
        inventory.layer(format!("{name}.{}", shape.feed_forward.layer), index + 1, LayerKind::Mlp);
        Self {
            attention,
            attention_norm,
            feed_forward: FeedForward::describe(inventory, name, hidden, &shape.feed_forward),
            feed_forward_norm: norm(inventory, shape.feed_forward.norm),
            placement: shape.placement,
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
        let dropped = |site| dropout.of_tokens(self.dropout, site);
        let attend = |x| self.attention.forward(weights, x, documents, rope, dropout, self.site);
        let feed = |x| self.feed_forward.forward(weights, x);
        match self.placement {
            NormPlacement::Before => {
                let (normed, stream) = stream.normed(&self.attention_norm, weights);
                let stream = stream.plus(attend(normed), dropped(self.site + 1));
                let (normed, stream) = stream.normed(&self.feed_forward_norm, weights);
                stream.plus(feed(normed), dropped(self.site + 2))
            }
            NormPlacement::After => {
                let x = stream.states();
                let attended = attend(x.clone());
                let x = self.attention_norm.of_sum(weights, attended, x, dropped(self.site + 1));
                let fed = feed(x.clone());
                Stream::new(self.feed_forward_norm.of_sum(weights, fed, x, dropped(self.site + 2)))
            }
        }
    }
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
