//! SmolLM 3 (Hugging Face 2025): a Llama in which some blocks have no positions at all.

use super::Family;
use super::decoder::{decoder, local, windows};
use super::family::DefaultValue::{Flag, Number, Size};
use crate::model::ModelError;
use crate::model::keys::Keys;
use crate::model::rotary::Rotary;
use crate::model::shape::Shape;

pub(super) static SMOLLM3: Family = Family {
    defaults: &[
        ("max_position_embeddings", Size(32_768)),
        ("num_key_value_heads", Size(4)),
        ("no_rope_layer_interval", Size(4)),
        ("rope_theta", Number(2e6)),
        ("tie_word_embeddings", Flag(true)),
        ("pad_token_id", Size(128_004)),
    ],
    ..Family::new("smollm3", "SmolLM3", "model.", shape)
};

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    let mut shape = decoder(keys, Rotary::read(keys)?)?;
    let blocks = shape.num_hidden_layers;
    let interval = keys.size("no_rope_layer_interval")?;
    let turned: Vec<bool> = match keys.sizes("no_rope_layers")? {
        // One stands for positions, in spite of the name.
        Some(list) if list.len() >= blocks => list[..blocks].iter().map(|turned| *turned != 0).collect(),
        Some(list) => {
            let reason = format!("it has {} entries for {blocks} blocks", list.len());
            return Err(keys.wrong("no_rope_layers", reason));
        }
        None if interval == 0 => return Err(keys.wrong("no_rope_layer_interval", "it must be positive")),
        None => (0..blocks).map(|block| (block + 1) % interval != 0).collect(),
    };
    let windowed = keys.flag("use_sliding_window")?.unwrap_or(false) && keys.optional_size("sliding_window")?.is_some();
    let local = local(keys, |block| windowed && !turned[block])?;
    if !windowed && local.contains(&true) {
        return Err(keys.wrong("layer_types", "some are sliding_attention, but use_sliding_window is not true"));
    }
    shape.attention.windows = windows(keys, &local)?;
    shape
        .attention
        .rotary
        .iter_mut()
        .zip(&turned)
        .filter(|(_, turned)| !**turned)
        .for_each(|(rotary, _)| *rotary = None);
    Ok(shape)
}
