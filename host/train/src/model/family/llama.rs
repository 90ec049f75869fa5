//! Llama (Touvron et al. 2023): causal, rotary positions, grouped queries, norms before, a gated feed-forward half.
//!
//! Layers: `model.embed_tokens` at depth 0; block *i* at depth *i* + 1 as `model.layers.i.self_attn` (with
//! `input_layernorm`) and `model.layers.i.mlp` (with `post_attention_layernorm`); `model.norm`; then the head,
//! `lm_head` or `score`. With tied embeddings the head is the token table and there is no `lm_head` layer.

use super::Family;
use crate::model::keys::Keys;
use crate::model::rotary::Rotary;
use crate::model::shape::{
    Activation, AttentionShape, ClassifierShape, EmbeddingsShape, FeedForwardShape, LanguageHeadShape, NormPlacement,
    NormShape, Pooling, Shape,
};
use crate::model::{ModelError, Sizes};

pub(super) static LLAMA: Family =
    Family { model_type: "llama", class: "Llama", prefix: "model.", aliases: &[], pad_token_id: None, shape };

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    let sizes = Sizes::read_grouped(keys)?;
    if sizes.head_dim % 2 != 0 {
        return Err(keys.wrong("head_dim", format!("{} is odd; rotary positions turn pairs", sizes.head_dim)));
    }
    keys.only("hidden_act", &["silu", "swish"])?;
    let positions = keys.optional_size("max_position_embeddings")?.unwrap_or(2048);
    let bias = keys.flag("attention_bias")?.unwrap_or(false);
    Ok(Shape {
        vocab_size: sizes.vocab_size,
        hidden_size: sizes.hidden_size,
        num_hidden_layers: sizes.num_hidden_layers,
        max_position_embeddings: positions,
        embeddings: EmbeddingsShape {
            layer: "embed_tokens",
            tokens: "embed_tokens",
            positions: None,
            segments: None,
            norm: None,
            dropout: 0.0,
        },
        blocks: "layers",
        norm: NormShape::Rms { epsilon: keys.positive("rms_norm_eps")?.unwrap_or(1e-6) },
        placement: NormPlacement::Before,
        attention: AttentionShape {
            layer: "self_attn",
            projections: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
            output: "self_attn.o_proj",
            norm: "input_layernorm",
            head_norms: None,
            num_attention_heads: sizes.num_attention_heads,
            num_key_value_heads: sizes.num_key_value_heads,
            head_dim: sizes.head_dim,
            bias,
            output_bias: bias,
            causal: true,
            rotary: Some(Rotary::read(keys, positions)?),
            windows: Vec::new(),
            dropout: keys.probability("attention_dropout")?.unwrap_or(0.0),
        },
        feed_forward: FeedForwardShape {
            layer: "mlp",
            gate: Some("mlp.gate_proj"),
            up: "mlp.up_proj",
            down: "mlp.down_proj",
            norm: "post_attention_layernorm",
            intermediate_size: sizes.intermediate_size,
            bias: keys.flag("mlp_bias")?.unwrap_or(false),
            activation: Activation::Silu,
        },
        dropout: 0.0,
        last_norm: Some("norm"),
        classifier: ClassifierShape { name: "score", bias: false, pooling: Pooling::LastToken, dropout: 0.0 },
        language_head: Some(LanguageHeadShape {
            name: "lm_head",
            tied: keys.flag("tie_word_embeddings")?.unwrap_or(false),
        }),
        initializer_range: sizes.initializer_range,
    })
}
