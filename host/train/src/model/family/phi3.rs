//! Phi-3, Phi-3.5 and Phi-4 (Abdin et al. 2024): a Llama whose query, key and value projections are one, as are gate and up; a
//! share of each head turns, and positions beyond the trained ones are scaled by `longrope`.

use super::Family;
use super::decoder::{decoder, windows};
use super::family::DefaultValue::{Number, Size};
use crate::model::ModelError;
use crate::model::keys::Keys;
use crate::model::rotary::{RopeScaling, Rotary};
use crate::model::shape::{Gate, Projections, Shape};

pub(super) static PHI3: Family = Family {
    defaults: &[
        ("max_position_embeddings", Size(4096)),
        ("original_max_position_embeddings", Size(4096)),
        ("rms_norm_eps", Number(1e-5)),
        ("pad_token_id", Size(32_000)),
    ],
    ..Family::new("phi3", "Phi3", "model.", shape)
};

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    let rotary = Rotary::read_partial(keys)?;
    if !matches!(rotary.scaling, RopeScaling::Default | RopeScaling::LongRope { .. }) {
        return Err(keys.wrong("rope_scaling", "of its types, Phi-3 has only longrope"));
    }
    let mut shape = decoder(keys, rotary)?;
    let attention = &mut shape.attention;
    attention.projections = Projections::Fused("self_attn.qkv_proj");
    (attention.bias, attention.output_bias) = (false, false);
    if keys.optional_size("sliding_window")?.is_some() {
        attention.windows = windows(keys, &vec![true; shape.num_hidden_layers])?;
    }
    shape.feed_forward.gate = Gate::Fused;
    shape.feed_forward.up = "mlp.gate_up_proj";
    shape.feed_forward.bias = false;
    shape.dropout = [keys.probability("resid_pdrop")?.unwrap_or(0.0); 2];
    Ok(shape)
}
