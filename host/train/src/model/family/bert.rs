//! BERT (Devlin et al. 2018): sees both sides of a token, learned positions, norms after.
//!
//! Layers: `bert.embeddings` at depth 0; block *i* at depth *i* + 1 as `bert.encoder.layer.i.attention`
//! (projections, output and its norm) and `bert.encoder.layer.i.mlp` (the parameters under `intermediate` and
//! `output`); `bert.pooler` and `classifier`, the head, share the greatest depth. Words are labelled by `classifier` alone, and
//! masked tokens found by `cls.predictions`.

use super::Family;
use super::decoder::ACTIVATIONS;
use super::family::DefaultValue::Size;
use crate::model::keys::Keys;
use crate::model::shape::{
    Activation, AttentionShape, ClassifierShape, EmbeddingsShape, FeedForwardShape, Gate, MaskedHeadShape,
    NormPlacement, NormShape, PoolerShape, Pooling, Projections, Shape, TokenClassifierShape,
};
use crate::model::{ModelError, Sizes};

/// The names of BERT's first release, for TensorFlow, and those of tied biases.
pub(super) const TENSORFLOW: &[(&str, &str)] = &[
    ("LayerNorm.weight", "LayerNorm.gamma"),
    ("LayerNorm.bias", "LayerNorm.beta"),
    // The bias of a head that finds masked tokens is stored under either name, or both.
    ("cls.predictions.bias", "cls.predictions.decoder.bias"),
    ("cls.predictions.decoder.bias", "cls.predictions.bias"),
    ("lm_head.bias", "lm_head.decoder.bias"),
    ("lm_head.decoder.bias", "lm_head.bias"),
];

pub(super) static BERT: Family = Family {
    aliases: TENSORFLOW,
    defaults: &[("pad_token_id", Size(0))],
    ..Family::new("bert", "Bert", "bert.", shape)
};

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    encoder(
        keys,
        PoolerShape {
            layer: "pooler",
            projection: "pooler.dense",
            in_base: true,
            bias: true,
            activation: None,
            norm: None,
            dropout: false,
        },
    )
}

/// A BERT of these keys that classifies its first token by way of `pooler`.
pub(super) fn encoder(keys: &Keys, pooler: PoolerShape) -> Result<Shape, ModelError> {
    let sizes = Sizes::read(keys)?;
    keys.only("position_embedding_type", &["absolute"])?;
    keys.must_be_off("is_decoder")?;
    keys.must_be_off("add_cross_attention")?;
    let dropout = keys.probability("hidden_dropout_prob")?.unwrap_or(0.1);
    let activation = keys.one_of("hidden_act", &ACTIVATIONS)?.unwrap_or(Activation::Gelu);
    Ok(Shape {
        vocab_size: sizes.vocab_size,
        hidden_size: sizes.hidden_size,
        num_hidden_layers: sizes.num_hidden_layers,
        max_position_embeddings: keys.size("max_position_embeddings")?,
        embeddings: EmbeddingsShape {
            layer: "embeddings",
            tokens: "embeddings.word_embeddings",
            scale: None,
            positions: Some("embeddings.position_embeddings"),
            positions_after: None,
            padding_learns: false,
            segments: Some(("embeddings.token_type_embeddings", keys.optional_size("type_vocab_size")?.unwrap_or(2))),
            norm: Some("embeddings.LayerNorm"),
            dropout,
        },
        blocks: "encoder.layer",
        norm: NormShape::Layer { epsilon: keys.positive("layer_norm_eps")?.unwrap_or(1e-12) },
        placement: NormPlacement::After,
        first_unnormed: false,
        transposed: false,
        attention: AttentionShape {
            layer: "attention",
            projections: Projections::Apart(["attention.self.query", "attention.self.key", "attention.self.value"]),
            output: "attention.output.dense",
            norm: "attention.output.LayerNorm",
            query_key_norms: None,
            num_attention_heads: sizes.num_attention_heads,
            num_key_value_heads: sizes.num_key_value_heads,
            head_dim: sizes.head_dim,
            bias: true,
            output_bias: true,
            causal: false,
            rotary: Vec::new(),
            scale: None,
            scale_by_depth: false,
            soft_cap: None,
            windows: Vec::new(),
            dropout: keys.probability("attention_probs_dropout_prob")?.unwrap_or(0.1),
        },
        feed_forward: FeedForwardShape {
            layer: "mlp",
            gate: Gate::None,
            up: "intermediate.dense",
            down: "output.dense",
            norm: "output.LayerNorm",
            intermediate_size: sizes.intermediate_size,
            bias: true,
            activation,
            dropout: 0.0,
        },
        dropout: [dropout; 2],
        last_norm: None,
        classifier: ClassifierShape {
            name: "classifier",
            bias: true,
            pooling: Pooling::FirstToken,
            pooler: Some(pooler),
            dropout: keys.probability("classifier_dropout")?.unwrap_or(dropout),
        },
        language_head: None,
        token_classifier: Some(TokenClassifierShape {
            name: "classifier",
            bias: true,
            transform: None,
            dropout: keys.probability("classifier_dropout")?.unwrap_or(dropout),
        }),
        masked_head: Some(MaskedHeadShape {
            transform: PoolerShape {
                layer: "cls.predictions",
                projection: "cls.predictions.transform.dense",
                in_base: false,
                bias: true,
                activation: Some(activation),
                norm: Some("cls.predictions.transform.LayerNorm"),
                dropout: false,
            },
            layer: "cls.predictions",
            name: "cls.predictions.decoder",
            tied: keys.flag("tie_word_embeddings")?.unwrap_or(true),
            bias: Some(["cls.predictions.bias", "cls.predictions.decoder.bias"]),
        }),
        initializer_range: sizes.initializer_range,
    })
}
