//! What reads the hidden states: the next token of each, the class of each document or of each token, or the token that a mask hides.

use burn::tensor::{Tensor, TensorData};
use retune_roles::LayerKind;
use retune_tensor::{AnyTensor, transfer};

use super::dropout::Dropout;
use super::inventory::Inventory;
use super::layout::indices;
use super::mask::Site;
use super::nn::{Embedding, Linear, Norm, activate, lookup};
use super::shape::{Activation, LanguageHeadShape, MaskedHeadShape, PoolerShape, Pooling, Shape, TokenClassifierShape};
use super::{Input, Layout, Weights};

/// Dropout sites; the embeddings have number 0, and blocks begin at 4.
const CLASSIFIER: Site = 1;
const POOLER: Site = 2;

/// What a network computes.
pub(super) struct Output {
    /// `[documents, classes]`, or `[sequences, longest, vocab]`, or `[sequences, longest, classes]`.
    pub(super) logits: AnyTensor,
    /// `[tokens, hidden]`.
    pub(super) hidden: Tensor<2>,
    /// `[documents, hidden]`: what the classifier reads, before its dropout.
    pub(super) pooled: Option<Tensor<2>>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) enum Head {
    Language { projection: Linear, soft_cap: Option<f64> },
    Masked { transform: Pooler, projection: Linear },
    Classifier { pooling: Pooling, pooler: Option<Pooler>, classifier: Linear, dropout: f64 },
    Tags { transform: Option<Pooler>, classifier: Linear, dropout: f64 },
}

/// What is done to what is classified, or predicted from, before it is.
#[derive(Clone, Debug)]
pub(super) struct Pooler {
    projection: Linear,
    activation: Option<Activation>,
    norm: Option<Norm>,
    dropout: bool,
}

impl Head {
    /// Over the vocabulary: a layer at `depth`, or the table of `tokens`.
    pub(super) fn language(
        head: LanguageHeadShape,
        shape: &Shape,
        tokens: &Embedding,
        depth: usize,
        inventory: &mut Inventory,
    ) -> Self {
        let projection = if head.tied {
            if inventory.adapts(head.name) {
                inventory.layer(head.name, depth, LayerKind::Head);
            }
            Linear::tied(inventory, head.name, tokens.table(), shape.hidden_size, shape.vocab_size)
        } else {
            inventory.layer(head.name, depth, LayerKind::Head);
            Linear::describe_output(inventory, head.name, shape.hidden_size, shape.vocab_size)
        };
        Self::Language { projection, soft_cap: head.soft_cap }
    }

    /// Over so many classes: layers at `depth`.
    pub(super) fn classifier(
        classes: usize,
        shape: &Shape,
        prefix: &str,
        depth: usize,
        inventory: &mut Inventory,
    ) -> Self {
        let (hidden, classifier) = (shape.hidden_size, &shape.classifier);
        let pooler = classifier.pooler.map(|pooler| Pooler::describe(pooler, shape, prefix, depth, inventory));
        inventory.layer(classifier.name, depth, LayerKind::Head);
        Self::Classifier {
            pooling: classifier.pooling,
            pooler,
            classifier: Linear::describe(inventory, classifier.name, hidden, classes, classifier.bias),
            dropout: classifier.dropout,
        }
    }

    /// Logits over the vocabulary of hidden states `[rows, hidden]`: `[rows, vocab]`; `None` of a head over classes.
    pub(super) fn next_token(&self, weights: &Weights, x: Tensor<2>, dropout: &Dropout) -> Option<Tensor<2>> {
        let Self::Language { projection, soft_cap } = self else { return None };
        let logits = projection.forward(weights, x, dropout);
        Some(match soft_cap {
            Some(cap) => (logits / *cap).tanh() * *cap,
            None => logits,
        })
    }

    /// Over so many classes at every token: layers at `depth`.
    pub(super) fn tags(
        head: TokenClassifierShape,
        classes: usize,
        shape: &Shape,
        depth: usize,
        inventory: &mut Inventory,
    ) -> Self {
        let transform = head.transform.map(|transform| Pooler::describe(transform, shape, "", depth, inventory));
        inventory.layer(head.name, depth, LayerKind::Head);
        let classifier = Linear::describe(inventory, head.name, shape.hidden_size, classes, head.bias);
        Self::Tags { transform, classifier, dropout: head.dropout }
    }

    /// Over the vocabulary, by way of a transform: layers at `depth`, the projection perhaps the table of `tokens`.
    pub(super) fn masked(
        head: MaskedHeadShape,
        shape: &Shape,
        tokens: &Embedding,
        depth: usize,
        inventory: &mut Inventory,
    ) -> Self {
        let transform = Pooler::describe(head.transform, shape, "", depth, inventory);
        let bias = head.bias.map(|[tied, own]| if head.tied { tied } else { own });
        if head.layer != head.transform.layer && !(head.tied && bias.is_none()) {
            inventory.layer(head.layer, depth, LayerKind::Head);
        }
        // No adapter beside it: what it would add to the token table could not be taken out of the embeddings again.
        let weight = match head.tied {
            true => tokens.table(),
            false => inventory.matrix(format!("{}.weight", head.name), shape.vocab_size, shape.hidden_size),
        };
        let projection = Linear::of(weight, bias.map(|name| inventory.bias(name, shape.vocab_size)));
        Self::Masked { transform, projection }
    }

    /// `x`: the hidden states, `[tokens, hidden]`.
    pub(super) fn forward(&self, weights: &Weights, x: Tensor<2>, input: &Input, dropout: &Dropout) -> Output {
        match self {
            Self::Language { projection, soft_cap } => {
                let logits = projection.lazy(weights, x.clone(), input.layout(), *soft_cap, dropout);
                Output { logits, hidden: x, pooled: None }
            }
            Self::Masked { transform, projection } => {
                let read = transform.forward(weights, x.clone(), dropout, 0.0);
                let logits = projection.lazy(weights, read, input.layout(), None, dropout);
                Output { logits, hidden: x, pooled: None }
            }
            Self::Tags { transform, classifier, dropout: probability } => {
                let read = match transform {
                    Some(transform) => transform.forward(weights, x.clone(), dropout, *probability),
                    None => x.clone(),
                };
                let kept = dropout.lines(read, *probability, CLASSIFIER);
                let logits = input.layout().pad(classifier.forward(weights, kept, dropout)).into();
                Output { logits, hidden: x, pooled: None }
            }
            Self::Classifier { pooling, pooler, classifier, dropout: probability } => {
                let read = pool(*pooling, x.clone(), input);
                let pooled = match pooler {
                    Some(pooler) => pooler.forward(weights, read, dropout, *probability),
                    None => read,
                };
                let kept = dropout.lines(pooled.clone(), *probability, CLASSIFIER);
                let logits = AnyTensor::from(classifier.forward(weights, kept, dropout));
                Output { logits, hidden: x, pooled: Some(pooled) }
            }
        }
    }
}

impl Pooler {
    /// A layer at `depth`.
    fn describe(pooler: PoolerShape, shape: &Shape, prefix: &str, depth: usize, inventory: &mut Inventory) -> Self {
        let hidden = shape.hidden_size;
        let name = |name: &str| format!("{}{name}", if pooler.in_base { prefix } else { "" });
        inventory.layer(name(pooler.layer), depth, LayerKind::Head);
        Self {
            projection: Linear::describe(inventory, &name(pooler.projection), hidden, hidden, pooler.bias),
            activation: pooler.activation,
            norm: pooler.norm.map(|called| Norm::describe(inventory, &name(called), hidden, shape.norm)),
            dropout: pooler.dropout,
        }
    }

    /// `x`: `[documents, hidden]`, or of tokens; gives the same.
    fn forward(&self, weights: &Weights, x: Tensor<2>, dropout: &Dropout, probability: f64) -> Tensor<2> {
        let x = if self.dropout { dropout.lines(x, probability, POOLER) } else { x };
        let x = self.projection.forward(weights, x, dropout);
        let x = match self.activation {
            Some(activation) => activate(activation, x),
            None => x.tanh(),
        };
        match &self.norm {
            Some(norm) => norm.forward(weights, x),
            None => x,
        }
    }
}

/// `[documents, hidden]` of `x` `[tokens, hidden]`.
fn pool(pooling: Pooling, x: Tensor<2>, input: &Input) -> Tensor<2> {
    let layout = input.layout();
    let starts = layout.spans().map(|span| span.start);
    let places: Vec<i64> = match pooling {
        Pooling::FirstToken => starts.map(|start| start as i64).collect(),
        Pooling::LastToken => starts.zip(input.last_tokens()).map(|(start, last)| (start + last) as i64).collect(),
        Pooling::Mean => return means(layout, x),
    };
    lookup(x, indices(places, input.device()))
}

/// The mean of each document's tokens: a product with a matrix of shares, `[documents, tokens]`.
fn means(layout: &Layout, x: Tensor<2>) -> Tensor<2> {
    let (documents, tokens) = (layout.rows().len(), layout.tokens());
    let mut shares = vec![0.0f32; documents * tokens];
    for (row, span) in shares.chunks_exact_mut(tokens.max(1)).zip(layout.spans()) {
        let share = 1.0 / span.len() as f32;
        row[span].fill(share);
    }
    transfer::sent::<f32>(shares.len());
    let device = x.device();
    Tensor::<2>::from_data(TensorData::new(shares, [documents, tokens]), &device).matmul(x)
}
