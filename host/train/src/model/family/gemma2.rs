//! Gemma 2 (Riviere et al. 2024): norms before and after each half, soft-caps of scores and logits, scaled embeddings, a
//! window in every other block.

use super::Family;
use super::decoder::{ACTIVATIONS, decoder, local, windows};
use super::family::DefaultValue::{Flag, Number, Size, Text};
use crate::model::ModelError;
use crate::model::keys::Keys;
use crate::model::rotary::Rotary;
use crate::model::shape::{Activation, NormPlacement, NormShape, Shape};

pub(super) static GEMMA2: Family = Family {
    defaults: &[
        ("head_dim", Size(256)),
        ("num_key_value_heads", Size(4)),
        ("max_position_embeddings", Size(8192)),
        ("hidden_activation", Text("gelu_pytorch_tanh")),
        ("query_pre_attn_scalar", Size(256)),
        ("sliding_window", Size(4096)),
        ("attn_logit_softcapping", Number(50.0)),
        ("final_logit_softcapping", Number(30.0)),
        ("tie_word_embeddings", Flag(true)),
        ("pad_token_id", Size(0)),
    ],
    ..Family::new("gemma2", "Gemma2", "model.", shape)
};

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    let mut shape = gemma(keys, Rotary::read(keys)?)?;
    shape.attention.windows = windows(keys, &local(keys, |block| block % 2 == 0)?)?;
    Ok(shape)
}

/// What Gemma 2 and 3 share; blocks do not differ yet.
pub(super) fn gemma(keys: &Keys, rotary: Rotary) -> Result<Shape, ModelError> {
    keys.must_be_off("use_bidirectional_attention")?;
    let mut shape = decoder(keys, rotary)?;
    shape.norm = NormShape::RmsPlusOne { epsilon: keys.positive("rms_norm_eps")?.unwrap_or(1e-6) };
    shape.placement =
        NormPlacement::Around { attention: "post_attention_layernorm", feed_forward: "post_feedforward_layernorm" };
    shape.feed_forward.norm = "pre_feedforward_layernorm";
    shape.feed_forward.activation = keys.one_of("hidden_activation", &ACTIVATIONS)?.unwrap_or(Activation::GeluTanh);
    shape.feed_forward.bias = false;
    // The root is rounded to float32, as in transformers.
    shape.embeddings.scale = Some(f64::from((shape.hidden_size as f64).sqrt() as f32));
    shape.attention.scale = keys.positive("query_pre_attn_scalar")?.map(|scalar| scalar.powf(-0.5));
    shape.attention.soft_cap = keys.positive("attn_logit_softcapping")?;
    if let Some(head) = &mut shape.language_head {
        head.soft_cap = keys.positive("final_logit_softcapping")?;
    }
    Ok(shape)
}
