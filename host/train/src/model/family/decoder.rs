//! What the decoders after Llama share: causal, rotary positions, grouped queries, norms before, a gated feed-forward half.
//!
//! [`decoder`] reads the keys that Llama has, by their usual names; a family changes in the result what sets it apart.
//!
//! Layers: `model.embed_tokens` at depth 0; block *i* at depth *i* + 1 as `model.layers.i.self_attn` (with
//! `input_layernorm`) and `model.layers.i.mlp` (with `post_attention_layernorm`); `model.norm`; then the head,
//! `lm_head` or `score`; the latter labels words too. With tied embeddings the head is the token table and there is no `lm_head` layer.

use crate::model::keys::Keys;
use crate::model::rotary::Rotary;
use crate::model::shape::{
    Activation, AttentionShape, ClassifierShape, EmbeddingsShape, FeedForwardShape, Gate, LanguageHeadShape,
    NormPlacement, NormShape, Pooling, Projections, Shape, TokenClassifierShape,
};
use crate::model::{ModelError, Sizes};

/// The non-linearities by the names in `config.json`.
pub(super) const ACTIVATIONS: [(&str, Activation); 6] = [
    ("gelu", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("relu", Activation::Relu),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
];

/// A Llama of these keys, without biases but for those that `attention_bias` and `mlp_bias` ask for, and with `rotary` in
/// every block.
pub(super) fn decoder(keys: &Keys, rotary: Rotary) -> Result<Shape, ModelError> {
    let sizes = Sizes::read_grouped(keys)?;
    if sizes.head_dim % 2 != 0 {
        return Err(keys.wrong("head_dim", format!("{} is odd; rotary positions turn pairs", sizes.head_dim)));
    }
    let activation = keys.one_of("hidden_act", &ACTIVATIONS)?.unwrap_or(Activation::Silu);
    let bias = keys.flag("attention_bias")?.unwrap_or(false);
    Ok(Shape {
        vocab_size: sizes.vocab_size,
        hidden_size: sizes.hidden_size,
        num_hidden_layers: sizes.num_hidden_layers,
        max_position_embeddings: keys.size("max_position_embeddings")?,
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
        norm: NormShape::Rms { epsilon: keys.positive("rms_norm_eps")?.unwrap_or(1e-6) },
        placement: NormPlacement::Before,
        first_unnormed: false,
        transposed: false,
        attention: AttentionShape {
            layer: "self_attn",
            projections: Projections::Apart(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
            output: "self_attn.o_proj",
            norm: "input_layernorm",
            query_key_norms: None,
            num_attention_heads: sizes.num_attention_heads,
            num_key_value_heads: sizes.num_key_value_heads,
            head_dim: sizes.head_dim,
            bias,
            output_bias: bias,
            causal: true,
            rotary: vec![Some(rotary); sizes.num_hidden_layers],
            scale: None,
            scale_by_depth: false,
            soft_cap: None,
            windows: Vec::new(),
            dropout: keys.probability("attention_dropout")?.unwrap_or(0.0),
        },
        feed_forward: FeedForwardShape {
            layer: "mlp",
            gate: Gate::Apart("mlp.gate_proj"),
            up: "mlp.up_proj",
            down: "mlp.down_proj",
            norm: "post_attention_layernorm",
            intermediate_size: sizes.intermediate_size,
            bias: keys.flag("mlp_bias")?.unwrap_or(false),
            activation,
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
        language_head: Some(LanguageHeadShape {
            name: "lm_head",
            tied: keys.flag("tie_word_embeddings")?.unwrap_or(false),
            soft_cap: None,
        }),
        token_classifier: Some(TokenClassifierShape {
            name: "score",
            bias: keys.flag("token_classification_bias")?.unwrap_or(true),
            transform: None,
            dropout: token_dropout(keys)?,
        }),
        masked_head: None,
        initializer_range: sizes.initializer_range,
    })
}

/// Dropout before words are labelled, as the classes of transformers take it.
pub(super) fn token_dropout(keys: &Keys) -> Result<f64, ModelError> {
    let given = keys.probability("classifier_dropout")?;
    Ok(given.or(keys.probability("hidden_dropout")?).unwrap_or(0.1))
}

/// For each block whether it is local: as `layer_types` says or, in a config without it, as `otherwise` does.
pub(super) fn local(keys: &Keys, otherwise: impl Fn(usize) -> bool) -> Result<Vec<bool>, ModelError> {
    let blocks = keys.blocks("num_hidden_layers")?;
    let Some(types) = keys.texts("layer_types")? else { return Ok((0..blocks).map(otherwise).collect()) };
    if types.len() != blocks {
        return Err(keys.wrong("layer_types", format!("it has {} entries for {blocks} blocks", types.len())));
    }
    let is_local = |kind: &String| match kind.as_str() {
        "sliding_attention" => Ok(true),
        "full_attention" => Ok(false),
        other => {
            let reason = format!("`{other}` is not supported; supported: full_attention, sliding_attention");
            Err(keys.wrong("layer_types", reason))
        }
    };
    types.iter().map(is_local).collect()
}

/// The windows of blocks that are local, as `sliding_window` says.
pub(super) fn windows(keys: &Keys, local: &[bool]) -> Result<Vec<Option<usize>>, ModelError> {
    let window = keys.optional_size("sliding_window")?;
    match window {
        Some(0) => Err(keys.wrong("sliding_window", "it must be positive")),
        None if local.contains(&true) => Err(keys.wrong("sliding_window", "it is missing; some blocks need it")),
        _ => Ok(local.iter().map(|local| window.filter(|_| *local)).collect()),
    }
}

/// The windows of Qwen: of blocks from `max_window_layers` on, or as `layer_types` says, when `use_sliding_window` asks
/// for them.
pub(super) fn switched_windows(keys: &Keys) -> Result<Vec<Option<usize>>, ModelError> {
    let on = keys.flag("use_sliding_window")?.unwrap_or(false) && keys.optional_size("sliding_window")?.is_some();
    let first = keys.optional_size("max_window_layers")?.unwrap_or(28);
    let local = local(keys, |block| on && block >= first)?;
    if !on && local.contains(&true) {
        return Err(keys.wrong("layer_types", "some are sliding_attention, but use_sliding_window is not true"));
    }
    windows(keys, &local)
}
