//! ModernBERT (Warner et al. 2024): sees both sides of a token, rotary positions, norms before and without shifts, a gated
//! feed-forward half; some blocks see a window around a token, and turn by positions of their own.
//!
//! Layers: `model.embeddings` at depth 0; block *i* at depth *i* + 1 as `model.layers.i.attn` (with `attn_norm`, but for block
//! 0) and `model.layers.i.mlp` (with `mlp_norm`); `model.final_norm`; then `head` and `classifier`, the head, or `decoder` in its place
//! where masked tokens are found.

use super::decoder::{ACTIVATIONS, local};
use super::family::DefaultValue::{Size, Text};
use super::{Family, Initial};
use crate::model::keys::Keys;
use crate::model::rotary::Rotary;
use crate::model::shape::{
    Activation, AttentionShape, ClassifierShape, EmbeddingsShape, FeedForwardShape, Gate, MaskedHeadShape,
    NormPlacement, NormShape, PoolerShape, Pooling, Projections, Shape, TokenClassifierShape,
};
use crate::model::{ModelError, Sizes};

pub(super) static MODERNBERT: Family = Family {
    defaults: &[
        ("max_position_embeddings", Size(8192)),
        ("hidden_activation", Text("gelu")),
        ("classifier_activation", Text("gelu")),
        ("classifier_pooling", Text("cls")),
        ("local_attention", Size(128)),
        ("global_attn_every_n_layers", Size(3)),
        ("pad_token_id", Size(50_283)),
    ],
    initial: Initial { outward: true, classifier: true, cutoff: Some(("initializer_cutoff_factor", 2.0)) },
    ..Family::new("modernbert", "ModernBert", "model.", shape)
};

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    let sizes = Sizes::read(keys)?;
    if sizes.head_dim % 2 != 0 {
        let reason = format!("heads of {} are odd; rotary positions turn pairs", sizes.head_dim);
        return Err(keys.wrong("num_attention_heads", reason));
    }
    let global = Rotary::read_kind(keys, "full_attention", ("global_rope_theta", 160_000.0), true)?;
    let near = Rotary::read_kind(keys, "sliding_attention", ("local_rope_theta", 10_000.0), true)?;
    let every = keys.size("global_attn_every_n_layers")?.max(1);
    let local = local(keys, |block| block % every != 0)?;
    // So many on both sides, and the token itself.
    let window = keys.size("local_attention")? / 2 + 1;
    let epsilon = keys.positive("norm_eps")?.unwrap_or(1e-5);
    let shifted = keys.flag("norm_bias")?.unwrap_or(false);
    let attention_dropout = keys.probability("attention_dropout")?.unwrap_or(0.0);
    let attention_bias = keys.flag("attention_bias")?.unwrap_or(false);
    let head = PoolerShape {
        layer: "head",
        projection: "head.dense",
        in_base: false,
        bias: keys.flag("classifier_bias")?.unwrap_or(false),
        activation: Some(keys.one_of("classifier_activation", &ACTIVATIONS)?.unwrap_or(Activation::Gelu)),
        norm: Some("head.norm"),
        dropout: false,
    };
    let classifier_dropout = keys.probability("classifier_dropout")?.unwrap_or(0.0);
    let decoder_bias = keys.flag("decoder_bias")?.unwrap_or(true);
    let pooling = [("cls", Pooling::FirstToken), ("mean", Pooling::Mean)];
    Ok(Shape {
        vocab_size: sizes.vocab_size,
        hidden_size: sizes.hidden_size,
        num_hidden_layers: sizes.num_hidden_layers,
        max_position_embeddings: keys.size("max_position_embeddings")?,
        embeddings: EmbeddingsShape {
            layer: "embeddings",
            tokens: "embeddings.tok_embeddings",
            scale: None,
            positions: None,
            positions_after: None,
            padding_learns: false,
            segments: None,
            norm: Some("embeddings.norm"),
            dropout: keys.probability("embedding_dropout")?.unwrap_or(0.0),
        },
        blocks: "layers",
        norm: if shifted { NormShape::Layer { epsilon } } else { NormShape::Unshifted { epsilon } },
        placement: NormPlacement::Before,
        first_unnormed: true,
        transposed: false,
        attention: AttentionShape {
            layer: "attn",
            projections: Projections::Fused("attn.Wqkv"),
            output: "attn.Wo",
            norm: "attn_norm",
            query_key_norms: None,
            num_attention_heads: sizes.num_attention_heads,
            num_key_value_heads: sizes.num_key_value_heads,
            head_dim: sizes.head_dim,
            bias: attention_bias,
            output_bias: attention_bias,
            causal: false,
            rotary: local.iter().map(|local| Some(if *local { near.clone() } else { global.clone() })).collect(),
            scale: None,
            scale_by_depth: false,
            soft_cap: None,
            windows: local.iter().map(|local| local.then_some(window)).collect(),
            dropout: attention_dropout,
        },
        feed_forward: FeedForwardShape {
            layer: "mlp",
            gate: Gate::Fused,
            up: "mlp.Wi",
            down: "mlp.Wo",
            norm: "mlp_norm",
            intermediate_size: sizes.intermediate_size,
            bias: keys.flag("mlp_bias")?.unwrap_or(false),
            activation: keys.one_of("hidden_activation", &ACTIVATIONS)?.unwrap_or(Activation::Gelu),
            dropout: keys.probability("mlp_dropout")?.unwrap_or(0.0),
        },
        dropout: [attention_dropout, 0.0],
        last_norm: Some("final_norm"),
        classifier: ClassifierShape {
            name: "classifier",
            bias: true,
            pooling: keys.one_of("classifier_pooling", &pooling)?.unwrap_or(Pooling::FirstToken),
            pooler: Some(head),
            dropout: classifier_dropout,
        },
        language_head: None,
        token_classifier: Some(TokenClassifierShape {
            name: "classifier",
            bias: true,
            transform: Some(head),
            dropout: classifier_dropout,
        }),
        masked_head: Some(MaskedHeadShape {
            transform: head,
            layer: "decoder",
            name: "decoder",
            tied: keys.flag("tie_word_embeddings")?.unwrap_or(true),
            bias: decoder_bias.then_some(["decoder.bias"; 2]),
        }),
        initializer_range: sizes.initializer_range,
    })
}
