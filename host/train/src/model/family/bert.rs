//! BERT (Devlin et al. 2018): sees both sides of a token, learned positions, norms after.
//!
//! Layers: `bert.embeddings` at depth 0; block *i* at depth *i* + 1 as `bert.encoder.layer.i.attention`
//! (projections, output and its norm) and `bert.encoder.layer.i.mlp` (the parameters under `intermediate` and
//! `output`); `bert.pooler` and `classifier`, the head, share the greatest depth.

use super::Family;
use crate::model::keys::Keys;
use crate::model::shape::{
    Activation, AttentionShape, ClassifierShape, EmbeddingsShape, FeedForwardShape, NormPlacement, NormShape, Pooling,
    Shape,
};
use crate::model::{ModelError, Sizes};

pub(super) static BERT: Family = Family {
    model_type: "bert",
    class: "Bert",
    prefix: "bert.",
    // The names of the first release, for TensorFlow.
    aliases: &[("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")],
    pad_token_id: Some(0),
    shape,
};

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    let sizes = Sizes::read(keys)?;
    keys.only("position_embedding_type", &["absolute"])?;
    keys.must_be_off("is_decoder")?;
    keys.must_be_off("add_cross_attention")?;
    let activations = [
        ("gelu", Activation::Gelu),
        ("gelu_new", Activation::GeluTanh),
        ("gelu_pytorch_tanh", Activation::GeluTanh),
        ("relu", Activation::Relu),
        ("silu", Activation::Silu),
        ("swish", Activation::Silu),
    ];
    let dropout = keys.probability("hidden_dropout_prob")?.unwrap_or(0.1);
    Ok(Shape {
        vocab_size: sizes.vocab_size,
        hidden_size: sizes.hidden_size,
        num_hidden_layers: sizes.num_hidden_layers,
        max_position_embeddings: keys.size("max_position_embeddings")?,
        embeddings: EmbeddingsShape {
            layer: "embeddings",
            tokens: "embeddings.word_embeddings",
            positions: Some("embeddings.position_embeddings"),
            segments: Some(("embeddings.token_type_embeddings", keys.optional_size("type_vocab_size")?.unwrap_or(2))),
            norm: Some("embeddings.LayerNorm"),
            dropout,
        },
        blocks: "encoder.layer",
        norm: NormShape::Layer { epsilon: keys.positive("layer_norm_eps")?.unwrap_or(1e-12) },
        placement: NormPlacement::After,
        attention: AttentionShape {
            layer: "attention",
            projections: ["attention.self.query", "attention.self.key", "attention.self.value"],
            output: "attention.output.dense",
            norm: "attention.output.LayerNorm",
            head_norms: None,
            num_attention_heads: sizes.num_attention_heads,
            num_key_value_heads: sizes.num_key_value_heads,
            head_dim: sizes.head_dim,
            bias: true,
            output_bias: true,
            causal: false,
            rotary: None,
            windows: Vec::new(),
            dropout: keys.probability("attention_probs_dropout_prob")?.unwrap_or(0.1),
        },
        feed_forward: FeedForwardShape {
            layer: "mlp",
            gate: None,
            up: "intermediate.dense",
            down: "output.dense",
            norm: "output.LayerNorm",
            intermediate_size: sizes.intermediate_size,
            bias: true,
            activation: keys.one_of("hidden_act", &activations)?.unwrap_or(Activation::Gelu),
        },
        dropout,
        last_norm: None,
        classifier: ClassifierShape {
            name: "classifier",
            bias: true,
            pooling: Pooling::FirstToken { layer: "pooler", projection: "pooler.dense" },
            dropout: keys.probability("classifier_dropout")?.unwrap_or(dropout),
        },
        language_head: None,
        initializer_range: sizes.initializer_range,
    })
}
