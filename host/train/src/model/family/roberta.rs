//! RoBERTa (Liu et al. 2019) and XLM-RoBERTa (Conneau et al. 2019): a BERT whose positions begin behind the id of its
//! padding token, and whose classifier has a projection of its own.
//!
//! Layers are BERT's; `classifier.dense` and `classifier.out_proj`, the head, share the greatest depth. Words are labelled by
//! `classifier`, and masked tokens found by `lm_head`.

use super::Family;
use super::bert::{TENSORFLOW, encoder};
use super::family::DefaultValue::Size;
use crate::model::ModelError;
use crate::model::keys::Keys;
use crate::model::shape::{Activation, PoolerShape, Shape};

pub(super) static ROBERTA: Family = Family {
    aliases: TENSORFLOW,
    defaults: &[("pad_token_id", Size(1))],
    ..Family::new("roberta", "Roberta", "roberta.", shape)
};

pub(super) static XLM_ROBERTA: Family =
    Family { defaults: &[("pad_token_id", Size(1))], ..Family::new("xlm-roberta", "XLMRoberta", "roberta.", shape) };

fn shape(keys: &Keys) -> Result<Shape, ModelError> {
    let mut shape = encoder(
        keys,
        PoolerShape {
            layer: "classifier.dense",
            projection: "classifier.dense",
            in_base: false,
            bias: true,
            activation: None,
            norm: None,
            dropout: true,
        },
    )?;
    let Some(padding) = keys.token("pad_token_id")? else {
        return Err(keys.wrong("pad_token_id", "it is missing; positions begin behind it"));
    };
    if padding as usize + 1 >= shape.max_position_embeddings {
        let reason =
            format!("{padding} leaves no positions of max_position_embeddings {}", shape.max_position_embeddings);
        return Err(keys.wrong("pad_token_id", reason));
    }
    shape.embeddings.positions_after = Some(padding);
    shape.classifier.name = "classifier.out_proj";
    if let Some(head) = shape.masked_head.as_mut() {
        head.transform.layer = "lm_head";
        head.transform.projection = "lm_head.dense";
        // Whatever the blocks have.
        head.transform.activation = Some(Activation::Gelu);
        head.transform.norm = Some("lm_head.layer_norm");
        (head.layer, head.name) = ("lm_head", "lm_head.decoder");
        head.bias = Some(["lm_head.bias", "lm_head.decoder.bias"]);
    }
    Ok(shape)
}
