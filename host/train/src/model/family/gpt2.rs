//! GPT-2 (Radford et al. 2019): causal, learned positions, norms before with shifts; query, key and value projection are one,
//! and matrices are stored the other way round (`Conv1D`).
//!
//! Layers: `transformer.embeddings` (`wte` and `wpe`) at depth 0; block *i* at depth *i* + 1 as `transformer.h.i.attn` (with
//! `ln_1`) and `transformer.h.i.mlp` (with `ln_2`); `transformer.ln_f`; then the head, `lm_head` or `score`, or
//! `classifier` for words.

use retune_roles::TaskKind;

use super::decoder::{ACTIVATIONS, token_dropout};
use super::family::DefaultValue::{Flag, Number, Size};
use super::{Family, Initial};
use crate::model::ModelError;
use crate::model::keys::Keys;
use crate::model::shape::{
    Activation, AttentionShape, ClassifierShape, EmbeddingsShape, FeedForwardShape, Gate, LanguageHeadShape,
    NormPlacement, NormShape, Pooling, Projections, Shape, TokenClassifierShape,
};

pub(super) static GPT2: Family = Family {
    classes: &[(TaskKind::CausalLm, "GPT2LMHeadModel")],
    buffers: &[".attn.bias", ".attn.masked_bias"],
    defaults: &[
        ("n_positions", Size(1024)),
        ("resid_pdrop", Number(0.1)),
        ("embd_pdrop", Number(0.1)),
        ("attn_pdrop", Number(0.1)),
        ("layer_norm_epsilon", Number(1e-5)),
        ("scale_attn_weights", Flag(true)),
        ("tie_word_embeddings", Flag(true)),
    ],
    initial: Initial { outward: true, ..Initial::PLAIN },
    ..Family::new("gpt2", "GPT2", "transformer.", shape)
};

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    keys.must_be_off("add_cross_attention")?;
    let (hidden_size, heads) = (keys.size("n_embd")?, keys.size("n_head")?);
    let head_dim = keys.head_width(("n_head", heads), ("n_embd", hidden_size))?;
    let dropout = |key: &str| Ok::<f64, ModelError>(keys.probability(key)?.unwrap_or(0.0));
    let scaled = keys.flag("scale_attn_weights")?.unwrap_or(true);
    Ok(Shape {
        vocab_size: keys.size("vocab_size")?,
        hidden_size,
        num_hidden_layers: keys.blocks("n_layer")?,
        max_position_embeddings: keys.size("n_positions")?,
        embeddings: EmbeddingsShape {
            layer: "embeddings",
            tokens: "wte",
            scale: None,
            positions: Some("wpe"),
            positions_after: None,
            padding_learns: true,
            segments: None,
            norm: None,
            dropout: dropout("embd_pdrop")?,
        },
        blocks: "h",
        norm: NormShape::Layer { epsilon: keys.positive("layer_norm_epsilon")?.unwrap_or(1e-5) },
        placement: NormPlacement::Before,
        first_unnormed: false,
        transposed: true,
        attention: AttentionShape {
            layer: "attn",
            projections: Projections::Fused("attn.c_attn"),
            output: "attn.c_proj",
            norm: "ln_1",
            query_key_norms: None,
            num_attention_heads: heads,
            num_key_value_heads: heads,
            head_dim,
            bias: true,
            output_bias: true,
            causal: true,
            rotary: Vec::new(),
            scale: (!scaled).then_some(1.0),
            scale_by_depth: keys.flag("scale_attn_by_inverse_layer_idx")?.unwrap_or(false),
            soft_cap: None,
            windows: Vec::new(),
            dropout: dropout("attn_pdrop")?,
        },
        feed_forward: FeedForwardShape {
            layer: "mlp",
            gate: Gate::None,
            up: "mlp.c_fc",
            down: "mlp.c_proj",
            norm: "ln_2",
            intermediate_size: keys.optional_size("n_inner")?.unwrap_or(4 * hidden_size),
            bias: true,
            activation: keys.one_of("activation_function", &ACTIVATIONS)?.unwrap_or(Activation::GeluTanh),
            dropout: 0.0,
        },
        dropout: [dropout("resid_pdrop")?; 2],
        last_norm: Some("ln_f"),
        classifier: ClassifierShape {
            name: "score",
            bias: false,
            pooling: Pooling::LastToken,
            pooler: None,
            dropout: 0.0,
        },
        language_head: Some(LanguageHeadShape {
            name: "lm_head",
            tied: keys.flag("tie_word_embeddings")?.unwrap_or(false),
            soft_cap: None,
        }),
        token_classifier: Some(TokenClassifierShape {
            name: "classifier",
            bias: true,
            transform: None,
            dropout: token_dropout(keys)?,
        }),
        masked_head: None,
        initializer_range: keys.positive("initializer_range")?.unwrap_or(0.02),
    })
}
