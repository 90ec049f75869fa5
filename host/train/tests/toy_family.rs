//! What it takes to add a family: one value and one function, in one file.
//!
//! The family is Qwen 3 as transformers computes it, with another non-linearity: norms of query and key heads, a gated
//! feed-forward half with gelu, and a sliding window in some blocks.
#![allow(clippy::unwrap_used)]

mod formula;

use formula::{config, distance, last_logits, model, row};
use retune_roles::InitScheme;
use retune_train::model::family::Family;
use retune_train::model::pattern::Patterns;
use retune_train::model::rotary::Rotary;
use retune_train::model::shape::{
    Activation, AttentionShape, ClassifierShape, EmbeddingsShape, FeedForwardShape, Gate, LanguageHeadShape,
    NormPlacement, NormShape, Pooling, Projections, QueryKeyNorms, Shape,
};
use retune_train::model::{Keys, ModelError, Sizes};
use serde_json::json;

static TOY: Family = Family::new("toy", "Toy", "model.", shape);

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    let (sizes, positions) = (Sizes::read_grouped(keys)?, keys.size("max_position_embeddings")?);
    let window = keys.optional_size("sliding_window")?;
    Ok(Shape {
        vocab_size: sizes.vocab_size,
        hidden_size: sizes.hidden_size,
        num_hidden_layers: sizes.num_hidden_layers,
        max_position_embeddings: positions,
        embeddings: EmbeddingsShape {
            layer: "embed_tokens",
            tokens: "embed_tokens",
            scale: None,
            positions: None,
            positions_after: None,
            padding_learns: false,
            segments: None,
            norm: None,
            dropout: 0.0,
        },
        blocks: "layers",
        norm: NormShape::Rms { epsilon: 1e-6 },
        placement: NormPlacement::Before,
        first_unnormed: false,
        transposed: false,
        attention: AttentionShape {
            layer: "self_attn",
            projections: Projections::Apart(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
            output: "self_attn.o_proj",
            norm: "input_layernorm",
            query_key_norms: Some(QueryKeyNorms::Heads(["self_attn.q_norm", "self_attn.k_norm"])),
            num_attention_heads: sizes.num_attention_heads,
            num_key_value_heads: sizes.num_key_value_heads,
            head_dim: sizes.head_dim,
            bias: false,
            output_bias: false,
            causal: true,
            rotary: vec![Some(Rotary::read(keys)?); sizes.num_hidden_layers],
            scale: None,
            scale_by_depth: false,
            soft_cap: None,
            // Every other block, beginning with the first.
            windows: (0..sizes.num_hidden_layers).map(|i| window.filter(|_| i % 2 == 0)).collect(),
            dropout: 0.0,
        },
        feed_forward: FeedForwardShape {
            layer: "mlp",
            gate: Gate::Apart("mlp.gate_proj"),
            up: "mlp.up_proj",
            down: "mlp.down_proj",
            norm: "post_attention_layernorm",
            intermediate_size: sizes.intermediate_size,
            bias: false,
            activation: Activation::GeluTanh,
            dropout: 0.0,
        },
        dropout: [0.0; 2],
        last_norm: Some("norm"),
        classifier: ClassifierShape {
            name: "score",
            bias: false,
            pooling: Pooling::LastToken,
            pooler: None,
            dropout: 0.0,
        },
        language_head: Some(LanguageHeadShape { name: "lm_head", tied: false, soft_cap: None }),
        token_classifier: None,
        masked_head: None,
        initializer_range: sizes.initializer_range,
    })
}

/// Printed by `tests/reference/tiny_logits.py`.
const TOY_LOGITS: [f64; 24] = [
    -1.72566, -1.18327, -0.486509, 0.273723, 0.998246, 1.59254, 1.97907, 2.1074, 1.96081, 1.55841, 0.952701, 0.222701,
    -0.536352, -1.22543, -1.75464, -2.05494, -2.08716, -1.84708, -1.36603, -0.706768, 0.0446975, 0.790332, 1.43286,
    1.88846,
];

#[test]
fn a_family_in_one_file_has_the_logits_of_transformers() {
    let toy = model(&config("toy", json!({ "sliding_window": 3 })), &[&TOY]);
    let found = last_logits(&toy, &[&row(12)]);
    assert!(distance(&found, &TOY_LOGITS) < 1e-4, "{}", distance(&found, &TOY_LOGITS));
    // Each part counts.
    let wider = model(&config("toy", json!({ "sliding_window": 12 })), &[&TOY]);
    assert!(distance(&last_logits(&wider, &[&row(12)]), &TOY_LOGITS) > 0.01);
}

#[test]
fn a_family_in_one_file_is_frozen_begun_anew_and_exported_as_the_others() {
    let mut toy = model(&config("toy", json!({ "sliding_window": 3 })), &[&TOY]);
    let norms = toy.select(&Patterns::new(&["layers.*.self_attn.q_norm".into()]).unwrap()).unwrap();
    assert_eq!(norms.len(), 2);
    toy.reinitialize(norms[0], InitScheme::Zeros, 1).unwrap();
    assert!(distance(&last_logits(&toy, &[&row(12)]), &TOY_LOGITS) > 0.01);

    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("model");
    toy.export(&target, None).unwrap();
    let config = std::fs::read_to_string(target.join("config.json")).unwrap();
    assert!(config.contains("\"ToyForCausalLM\""), "{config}");
}
