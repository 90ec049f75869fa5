//! Mistral (Jiang et al. 2023): a Llama in which every block sees a window of tokens, where the configuration has one.

use super::Family;
use super::decoder::{decoder, windows};
use super::family::DefaultValue::Size;
use crate::model::ModelError;
use crate::model::keys::Keys;
use crate::model::rotary::Rotary;
use crate::model::shape::Shape;

pub(super) static MISTRAL: Family = Family {
    defaults: &[
        ("max_position_embeddings", Size(131_072)),
        ("num_key_value_heads", Size(8)),
        ("sliding_window", Size(4096)),
    ],
    ..Family::new("mistral", "Mistral", "model.", shape)
};

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    let mut shape = decoder(keys, Rotary::read(keys)?)?;
    (shape.attention.bias, shape.attention.output_bias, shape.feed_forward.bias) = (false, false, false);
    if keys.optional_size("sliding_window")?.is_some() {
        shape.attention.windows = windows(keys, &vec![true; shape.num_hidden_layers])?;
    }
    Ok(shape)
}
