//! BERT for sequence classification (Devlin et al. 2018), post-norm, as
//! `BertForSequenceClassification` computes it and names its parameters.
//!
//! Layers: `bert.embeddings` at depth 0; block *i* at depth *i* + 1 as
//! `bert.encoder.layer.i.attention` (projections, output and its norm) and
//! `bert.encoder.layer.i.mlp` (the parameters under `intermediate` and `output`);
//! `bert.pooler` and `classifier`, the head, share the greatest depth.

use burn::tensor::Tensor;
use retune_roles::LayerKind;
use retune_tensor::AnyTensor;

use super::dropout::{Dropout, Site};
use super::inventory::Inventory;
use super::layout::indices;
use super::model::Output;
use super::nn::{Attention, Documents, Embedding, Heads, LayerNorm, Linear, Pattern, activate, lookup};
use super::{Activation, Input, ModelConfig, Weights};

/// Dropout sites: embeddings and classifier first, then three a block.
const EMBEDDINGS: Site = 0;
const CLASSIFIER: Site = 1;
const PER_BLOCK: Site = 4;

#[derive(Clone, Debug)]
pub(super) struct Bert {
    words: Embedding,
    positions: Embedding,
    segments: Embedding,
    norm: LayerNorm,
    blocks: Vec<Block>,
    pooler: Linear,
    classifier: Linear,
    hidden_dropout: f64,
    classifier_dropout: f64,
}

#[derive(Clone, Debug)]
struct Block {
    attention: Attention,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    activation: Activation,
    output: Linear,
    norm: LayerNorm,
    dropout: f64,
    site: Site,
}

impl Bert {
    /// Writes down every parameter, in the order of the Hugging Face model.
    pub(super) fn describe(config: &ModelConfig, classes: usize, inventory: &mut Inventory) -> Self {
        let (hidden, epsilon) = (config.hidden_size, config.norm_eps);
        inventory.layer("bert.embeddings", 0, LayerKind::Embedding);
        let table = |inventory: &mut Inventory, name: &str, rows, padding| {
            Embedding::describe(inventory, &format!("bert.embeddings.{name}_embeddings"), rows, hidden, padding)
        };
        let words = table(inventory, "word", config.vocab_size, config.pad_token_id);
        let positions = table(inventory, "position", config.max_position_embeddings, None);
        let segments = table(inventory, "token_type", config.type_vocab_size, None);
        let norm = LayerNorm::describe(inventory, "bert.embeddings.LayerNorm", hidden, epsilon);
        let blocks = (0..config.num_hidden_layers).map(|i| Block::describe(config, i, inventory)).collect();
        let depth = config.num_hidden_layers + 1;
        inventory.layer("bert.pooler", depth, LayerKind::Head);
        let pooler = Linear::describe(inventory, "bert.pooler.dense", hidden, hidden, true);
        inventory.layer("classifier", depth, LayerKind::Head);
        let classifier = Linear::describe(inventory, "classifier", hidden, classes, true);
        Self {
            words,
            positions,
            segments,
            norm,
            blocks,
            pooler,
            classifier,
            hidden_dropout: config.hidden_dropout,
            classifier_dropout: config.classifier_dropout,
        }
    }

    pub(super) fn forward(&self, weights: &Weights, input: &Input, dropout: &Dropout) -> Output {
        let layout = input.layout();
        let words = self.words.forward(weights, input.input_ids.clone());
        let positions = layout.positions().iter().map(|position| i64::from(*position)).collect();
        let positions = self.positions.forward(weights, indices(positions, input.device()));
        // transformers adds words and segments first; the order matters to the last bit.
        let x = match &input.token_type_ids {
            Some(ids) => words + self.segments.forward(weights, ids.clone()) + positions,
            None => words + self.segments.first(weights, 1) + positions,
        };
        let x = self.norm.forward(weights, x);
        let mut x = dropout.lines(x, self.hidden_dropout, EMBEDDINGS);

        let documents = Documents::of(layout);
        for block in &self.blocks {
            x = block.forward(weights, x, &documents, dropout);
        }
        let starts = layout.sequences()[..layout.len()].iter().map(|start| *start as i64).collect();
        let first = lookup(x.clone(), indices(starts, input.device()));
        let pooled = self.pooler.forward(weights, first).tanh();
        let kept = dropout.lines(pooled.clone(), self.classifier_dropout, CLASSIFIER);
        let logits = self.classifier.forward(weights, kept);
        Output { logits: AnyTensor::from(logits), hidden: layout.pad(x), pooled: Some(pooled) }
    }
}

impl Block {
    fn describe(config: &ModelConfig, index: usize, inventory: &mut Inventory) -> Self {
        let (hidden, inner, epsilon) = (config.hidden_size, config.intermediate_size, config.norm_eps);
        let name = format!("bert.encoder.layer.{index}");
        let heads = Heads {
            queries: config.num_attention_heads,
            keys: config.num_attention_heads,
            width: config.head_dim,
            dropout: config.attention_dropout,
            pattern: Pattern::FULL,
            scale: 1.0 / (config.head_dim as f32).sqrt(),
            soft_cap: None,
        };
        inventory.layer(format!("{name}.attention"), index + 1, LayerKind::Attention);
        let projections = ["query", "key", "value"].map(|kind| format!("{name}.attention.self.{kind}"));
        let attention = Attention::describe(inventory, projections.each_ref().map(String::as_str), hidden, heads, true);
        let attention_output =
            Linear::describe(inventory, &format!("{name}.attention.output.dense"), hidden, hidden, true);
        let attention_norm =
            LayerNorm::describe(inventory, &format!("{name}.attention.output.LayerNorm"), hidden, epsilon);
        inventory.layer(format!("{name}.mlp"), index + 1, LayerKind::Mlp);
        Self {
            attention,
            attention_output,
            attention_norm,
            intermediate: Linear::describe(inventory, &format!("{name}.intermediate.dense"), hidden, inner, true),
            activation: config.hidden_act,
            output: Linear::describe(inventory, &format!("{name}.output.dense"), inner, hidden, true),
            norm: LayerNorm::describe(inventory, &format!("{name}.output.LayerNorm"), hidden, epsilon),
            dropout: config.hidden_dropout,
            site: PER_BLOCK * (index as Site + 1),
        }
    }

    /// `x`: `[tokens, hidden]`.
    fn forward(&self, weights: &Weights, x: Tensor<2>, documents: &Documents, dropout: &Dropout) -> Tensor<2> {
        let attended = self.attention.forward(weights, x.clone(), documents, None, dropout, self.site);
        let attended = self.attention_output.forward(weights, attended);
        let dropped = |site| dropout.of_lines(x.dims()[0], self.dropout, site);
        let (first, second) = (dropped(self.site + 1), dropped(self.site + 2));
        let x = self.attention_norm.forward_residual(weights, attended, x, first);
        let inner = activate(self.activation, self.intermediate.forward(weights, x.clone()));
        self.norm.forward_residual(weights, self.output.forward(weights, inner), x, second)
    }
}
