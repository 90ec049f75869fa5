//! Gemma 3 (Kamath et al. 2025), the text models: as Gemma 2, with norms of query and key heads, and two kinds of blocks: local
//! ones with a window and positions of their own, and global ones.

use super::Family;
use super::decoder::{local, windows};
use super::family::DefaultValue::{Flag, Size, Text};
use super::gemma2::gemma;
use crate::model::ModelError;
use crate::model::keys::Keys;
use crate::model::rotary::Rotary;
use crate::model::shape::{QueryKeyNorms, Shape};
use retune_roles::TaskKind;

pub(super) static GEMMA3: Family = Family {
    classes: &[(TaskKind::SequenceClassification, "Gemma3TextForSequenceClassification")],
    defaults: &[
        ("head_dim", Size(256)),
        ("num_key_value_heads", Size(4)),
        ("max_position_embeddings", Size(131_072)),
        ("hidden_activation", Text("gelu_pytorch_tanh")),
        ("query_pre_attn_scalar", Size(256)),
        ("sliding_window", Size(4096)),
        ("sliding_window_pattern", Size(6)),
        ("tie_word_embeddings", Flag(true)),
        ("pad_token_id", Size(0)),
    ],
    ..Family::new("gemma3_text", "Gemma3", "model.", shape)
};

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    let global = Rotary::read_kind(keys, "full_attention", ("rope_theta", 1e6), true)?;
    let near = Rotary::read_kind(keys, "sliding_attention", ("rope_local_base_freq", 1e4), false)?;
    let mut shape = gemma(keys, global.clone())?;
    // transformers reads `attn_logit_softcapping`, and then caps nothing.
    shape.attention.soft_cap = None;
    let pattern = keys.size("sliding_window_pattern")?;
    let local = local(keys, |block| pattern == 0 || (block + 1) % pattern != 0)?;
    shape.attention.rotary =
        local.iter().map(|local| Some(if *local { near.clone() } else { global.clone() })).collect();
    shape.attention.windows = windows(keys, &local)?;
    shape.attention.query_key_norms = Some(QueryKeyNorms::Heads(["self_attn.q_norm", "self_attn.k_norm"]));
    // transformers has no class for it.
    shape.token_classifier = None;
    Ok(shape)
}
