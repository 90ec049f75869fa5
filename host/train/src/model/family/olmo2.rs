//! OLMo 2 (OLMo et al. 2024): norms of what each half adds, and of all query heads and all key heads together.

use super::Family;
use super::decoder::decoder;
use super::family::DefaultValue::{Number, Size};
use crate::model::ModelError;
use crate::model::keys::Keys;
use crate::model::rotary::Rotary;
use crate::model::shape::{NormPlacement, QueryKeyNorms, Shape};

pub(super) static OLMO2: Family = Family {
    defaults: &[("max_position_embeddings", Size(2048)), ("rms_norm_eps", Number(1e-5)), ("pad_token_id", Size(1))],
    ..Family::new("olmo2", "Olmo2", "model.", shape)
};

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    let mut shape = decoder(keys, Rotary::read(keys)?)?;
    shape.placement = NormPlacement::OfOutput;
    shape.attention.norm = "post_attention_layernorm";
    shape.attention.query_key_norms = Some(QueryKeyNorms::Together(["self_attn.q_norm", "self_attn.k_norm"]));
    shape.feed_forward.norm = "post_feedforward_layernorm";
    shape.feed_forward.bias = false;
    // transformers has no class for it.
    shape.token_classifier = None;
    Ok(shape)
}
