//! Qwen 3 (Yang et al. 2025): a Llama with norms of query and key heads, and windows that can be switched on.

use super::Family;
use super::decoder::{decoder, switched_windows};
use super::family::DefaultValue::Size;
use crate::model::ModelError;
use crate::model::keys::Keys;
use crate::model::rotary::Rotary;
use crate::model::shape::{QueryKeyNorms, Shape};

pub(super) static QWEN3: Family = Family {
    defaults: &[
        ("head_dim", Size(128)),
        ("max_position_embeddings", Size(32_768)),
        ("num_key_value_heads", Size(32)),
        ("sliding_window", Size(4096)),
    ],
    ..Family::new("qwen3", "Qwen3", "model.", shape)
};

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    let mut shape = decoder(keys, Rotary::read(keys)?)?;
    shape.attention.query_key_norms = Some(QueryKeyNorms::Heads(["self_attn.q_norm", "self_attn.k_norm"]));
    shape.feed_forward.bias = false;
    shape.attention.windows = switched_windows(keys)?;
    Ok(shape)
}
