//! DistilBERT (Sanh et al. 2019): a BERT without segments and with keys and names of its own; what attention adds has no dropout.
//!
//! Layers: `distilbert.embeddings` at depth 0; block *i* at depth *i* + 1 as `distilbert.transformer.layer.i.attention` (with
//! `sa_layer_norm`) and `distilbert.transformer.layer.i.ffn` (with `output_layer_norm`); `pre_classifier` and `classifier`,
//! the head, share the greatest depth. Words are labelled by `classifier` alone; masked tokens are found by `vocab_transform` (with
//! `vocab_layer_norm`) and `vocab_projector`.

use super::Family;
use super::decoder::ACTIVATIONS;
use super::family::DefaultValue::{Number, Size};
use crate::model::ModelError;
use crate::model::keys::Keys;
use crate::model::shape::{
    Activation, AttentionShape, ClassifierShape, EmbeddingsShape, FeedForwardShape, Gate, MaskedHeadShape,
    NormPlacement, NormShape, PoolerShape, Pooling, Projections, Shape, TokenClassifierShape,
};

pub(super) static DISTILBERT: Family = Family {
    defaults: &[
        ("pad_token_id", Size(0)),
        ("dropout", Number(0.1)),
        ("attention_dropout", Number(0.1)),
        ("seq_classif_dropout", Number(0.2)),
    ],
    ..Family::new("distilbert", "DistilBert", "distilbert.", shape)
};

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    let (hidden_size, heads) = (keys.size("dim")?, keys.size("n_heads")?);
    let head_dim = keys.head_width(("n_heads", heads), ("dim", hidden_size))?;
    let dropout = keys.probability("dropout")?.unwrap_or(0.0);
    let activation = keys.one_of("activation", &ACTIVATIONS)?.unwrap_or(Activation::Gelu);
    Ok(Shape {
        vocab_size: keys.size("vocab_size")?,
        hidden_size,
        num_hidden_layers: keys.blocks("n_layers")?,
        max_position_embeddings: keys.size("max_position_embeddings")?,
        embeddings: EmbeddingsShape {
            layer: "embeddings",
            tokens: "embeddings.word_embeddings",
            scale: None,
            // With `sinusoidal_pos_embds` they only start as sines: transformers stores and trains them all the same.
            positions: Some("embeddings.position_embeddings"),
            positions_after: None,
            padding_learns: false,
            segments: None,
            norm: Some("embeddings.LayerNorm"),
            dropout,
        },
        blocks: "transformer.layer",
        norm: NormShape::Layer { epsilon: 1e-12 },
        placement: NormPlacement::After,
        first_unnormed: false,
        transposed: false,
        attention: AttentionShape {
            layer: "attention",
            projections: Projections::Apart(["attention.q_lin", "attention.k_lin", "attention.v_lin"]),
            output: "attention.out_lin",
            norm: "sa_layer_norm",
            query_key_norms: None,
            num_attention_heads: heads,
            num_key_value_heads: heads,
            head_dim,
            bias: true,
            output_bias: true,
            causal: false,
            rotary: Vec::new(),
            scale: None,
            scale_by_depth: false,
            soft_cap: None,
            windows: Vec::new(),
            dropout: keys.probability("attention_dropout")?.unwrap_or(0.0),
        },
        feed_forward: FeedForwardShape {
            layer: "ffn",
            gate: Gate::None,
            up: "ffn.lin1",
            down: "ffn.lin2",
            norm: "output_layer_norm",
            intermediate_size: keys.size("hidden_dim")?,
            bias: true,
            activation,
            dropout: 0.0,
        },
        dropout: [0.0, dropout],
        last_norm: None,
        classifier: ClassifierShape {
            name: "classifier",
            bias: true,
            pooling: Pooling::FirstToken,
            pooler: Some(PoolerShape {
                layer: "pre_classifier",
                projection: "pre_classifier",
                in_base: false,
                bias: true,
                activation: Some(Activation::Relu),
                norm: None,
                dropout: false,
            }),
            dropout: keys.probability("seq_classif_dropout")?.unwrap_or(0.0),
        },
        language_head: None,
        token_classifier: Some(TokenClassifierShape { name: "classifier", bias: true, transform: None, dropout }),
        masked_head: Some(MaskedHeadShape {
            transform: PoolerShape {
                layer: "vocab_transform",
                projection: "vocab_transform",
                in_base: false,
                bias: true,
                activation: Some(activation),
                norm: Some("vocab_layer_norm"),
                dropout: false,
            },
            layer: "vocab_projector",
            name: "vocab_projector",
            tied: keys.flag("tie_word_embeddings")?.unwrap_or(true),
            bias: Some(["vocab_projector.bias"; 2]),
        }),
        initializer_range: keys.positive("initializer_range")?.unwrap_or(0.02),
    })
}
