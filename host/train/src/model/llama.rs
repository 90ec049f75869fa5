//! Llama (Touvron et al. 2023), pre-norm, as `LlamaForCausalLM` and
//! `LlamaForSequenceClassification` compute it and name its parameters.
//!
//! Layers: `model.embed_tokens` at depth 0; block *i* at depth *i* + 1 as
//! `model.layers.i.self_attn` (with `input_layernorm`) and `model.layers.i.mlp` (with
//! `post_attention_layernorm`); `model.norm`; then the head, `lm_head` or `score`.
//! With tied embeddings the head is the token table and there is no `lm_head` layer.

use burn::tensor::Tensor;
use retune_roles::LayerKind;
use retune_tensor::AnyTensor;

use super::dropout::{Dropout, Site};
use super::inventory::Inventory;
use super::layout::indices;
use super::model::Output;
use super::nn::{Attention, Documents, Embedding, Heads, Linear, Pattern, RmsNorm, Rope, add, lookup, swiglu};
use super::{Input, ModelConfig, Weights};

#[derive(Clone, Debug)]
pub(super) struct Llama {
    tokens: Embedding,
    blocks: Vec<Block>,
    norm: RmsNorm,
    head: Linear,
    classifies: bool,
    head_dim: usize,
    rope_theta: f64,
}

#[derive(Clone, Debug)]
struct Block {
    input_norm: RmsNorm,
    attention: Attention,
    output: Linear,
    mlp_norm: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
    site: Site,
}

impl Llama {
    /// Writes down every parameter; `classes` when it is to classify rows.
    pub(super) fn describe(config: &ModelConfig, classes: Option<usize>, inventory: &mut Inventory) -> Self {
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        inventory.layer("model.embed_tokens", 0, LayerKind::Embedding);
        let tokens = Embedding::describe(inventory, "model.embed_tokens", vocab, hidden, config.pad_token_id);
        let blocks = (0..config.num_hidden_layers).map(|i| Block::describe(config, i, inventory)).collect();
        let depth = config.num_hidden_layers + 1;
        inventory.layer("model.norm", depth, LayerKind::Norm);
        let norm = RmsNorm::describe(inventory, "model.norm", hidden, config.norm_eps);
        let head = match classes {
            None if config.tie_word_embeddings => Linear::tied(tokens.table()),
            None => {
                inventory.layer("lm_head", depth + 1, LayerKind::Head);
                Linear::describe(inventory, "lm_head", hidden, vocab, false)
            }
            Some(classes) => {
                inventory.layer("score", depth + 1, LayerKind::Head);
                Linear::describe(inventory, "score", hidden, classes, false)
            }
        };
        Self {
            tokens,
            blocks,
            norm,
            head,
            classifies: classes.is_some(),
            head_dim: config.head_dim,
            rope_theta: config.rope_theta,
        }
    }

    pub(super) fn forward(&self, weights: &Weights, input: &Input, dropout: &Dropout) -> Output {
        let (layout, device) = (input.layout(), input.device());
        let mut x = self.tokens.forward(weights, input.input_ids.clone());
        let documents = Documents::of(layout);
        let rope = Rope::new(layout.positions(), self.head_dim, self.rope_theta, device);
        for block in &self.blocks {
            x = block.forward(weights, x, &documents, &rope, dropout);
        }
        let x = self.norm.forward(weights, x);
        if self.classifies {
            let rows = layout.sequences().iter().zip(input.last_tokens()).map(|(start, last)| (start + last) as i64);
            let pooled = lookup(x.clone(), indices(rows.collect(), device));
            let logits = self.head.forward(weights, pooled.clone());
            return Output { logits: AnyTensor::from(logits), hidden: layout.pad(x), pooled: Some(pooled) };
        }
        let hidden = layout.pad(x);
        let [rows, longest, width] = hidden.dims();
        let places = hidden.clone().reshape([rows * longest, width]);
        Output { logits: self.head.lazy(weights, places, &[rows, longest]), hidden, pooled: None }
    }
}

impl Block {
    fn describe(config: &ModelConfig, index: usize, inventory: &mut Inventory) -> Self {
        let (hidden, inner, epsilon) = (config.hidden_size, config.intermediate_size, config.norm_eps);
        let name = format!("model.layers.{index}");
        let heads = Heads {
            queries: config.num_attention_heads,
            keys: config.num_key_value_heads,
            width: config.head_dim,
            dropout: config.attention_dropout,
            pattern: Pattern::CAUSAL,
            scale: 1.0 / (config.head_dim as f32).sqrt(),
            soft_cap: None,
        };
        inventory.layer(format!("{name}.self_attn"), index + 1, LayerKind::Attention);
        let projections = ["q_proj", "k_proj", "v_proj"].map(|kind| format!("{name}.self_attn.{kind}"));
        let names = projections.each_ref().map(String::as_str);
        let attention = Attention::describe(inventory, names, hidden, heads, config.attention_bias);
        let width = heads.queries * heads.width;
        let output =
            Linear::describe(inventory, &format!("{name}.self_attn.o_proj"), width, hidden, config.attention_bias);
        let input_norm = RmsNorm::describe(inventory, &format!("{name}.input_layernorm"), hidden, epsilon);
        inventory.layer(format!("{name}.mlp"), index + 1, LayerKind::Mlp);
        let mut linear = |kind: &str, from, to| {
            Linear::describe(inventory, &format!("{name}.mlp.{kind}_proj"), from, to, config.mlp_bias)
        };
        let (gate, up, down) =
            (linear("gate", hidden, inner), linear("up", hidden, inner), linear("down", inner, hidden));
        let mlp_norm = RmsNorm::describe(inventory, &format!("{name}.post_attention_layernorm"), hidden, epsilon);
        Self { input_norm, attention, output, mlp_norm, gate, up, down, site: index as Site }
    }

    /// `x`: `[tokens, hidden]`.
    fn forward(
        &self,
        weights: &Weights,
        x: Tensor<2>,
        documents: &Documents,
        rope: &Rope,
        dropout: &Dropout,
    ) -> Tensor<2> {
        let normed = self.input_norm.forward(weights, x.clone());
        let attended = self.attention.forward(weights, normed, documents, Some(rope), dropout, self.site);
        let x = add(self.output.forward(weights, attended), x);
        let normed = self.mlp_norm.forward(weights, x.clone());
        let gated = swiglu(self.gate.forward(weights, normed.clone()), self.up.forward(weights, normed));
        add(self.down.forward(weights, gated), x)
    }
}
