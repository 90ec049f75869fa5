//! Qwen 2 and 2.5 (Yang et al. 2024): a Llama with biases of queries, keys and values, and windows that can be switched on.

use super::Family;
use super::decoder::{decoder, switched_windows};
use super::family::DefaultValue::Size;
use crate::model::ModelError;
use crate::model::keys::Keys;
use crate::model::rotary::Rotary;
use crate::model::shape::Shape;

pub(super) static QWEN2: Family = Family {
    defaults: &[
        ("max_position_embeddings", Size(32_768)),
        ("num_key_value_heads", Size(32)),
        ("sliding_window", Size(4096)),
    ],
    ..Family::new("qwen2", "Qwen2", "model.", shape)
};

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    let mut shape = decoder(keys, Rotary::read(keys)?)?;
    (shape.attention.bias, shape.attention.output_bias) = (true, false);
    shape.feed_forward.bias = false;
    shape.attention.windows = switched_windows(keys)?;
    Ok(shape)
}
