//! Llama 2 and 3 (Touvron et al. 2023): the decoder that the others are told apart from.

use super::Family;
use super::decoder::decoder;
use super::family::DefaultValue::Size;
use crate::model::ModelError;
use crate::model::keys::Keys;
use crate::model::rotary::Rotary;
use crate::model::shape::Shape;

pub(super) static LLAMA: Family =
    Family { defaults: &[("max_position_embeddings", Size(2048))], ..Family::new("llama", "Llama", "model.", shape) };

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    decoder(keys, Rotary::read(keys)?)
}
