//! A small random model of any family, as a folder in Hugging Face's layout with weights in bfloat16.
//!
//! Every parameter has values that matter: no bias is zero and no norm one, so that a kernel that leaves one out is found. They
//! depend on the family alone.

use std::fs;

use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_roles::{Task, TaskKind};
use retune_tensor::{Device, TensorError, random};
use retune_train::model::family::Family;
use retune_train::model::{Base, Model, ModelConfig, ModelError, Parameter};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// The folder, which is removed when this is dropped.
#[derive(Debug)]
pub(super) struct SmallModel {
    folder: TempDir,
    /// Next tokens where the family has a head for them, else classes.
    pub(super) task: Task,
}

/// Sizes under the names of nearly all families, with values at which their features count: grouped heads of another width than
/// hidden over heads, windows shorter than a row, caps that bend scores, dropout.
fn sizes() -> Value {
    json!({
        "vocab_size": 67, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 24, "max_position_embeddings": 64, "initializer_range": 0.02, "pad_token_id": 0, "bos_token_id": 1,
        "eos_token_id": 2, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "torch_dtype": "bfloat16"
    })
}

/// What differs from [`sizes`]. Of a family without an entry nothing does.
fn differences(model_type: &str) -> Value {
    let full_and_window = ["sliding_attention", "full_attention", "sliding_attention"];
    match model_type {
        "distilbert" => {
            json!({ "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 24, "dropout": 0.1, "attention_dropout": 0.1 })
        }
        "gpt2" => {
            json!({ "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64, "n_inner": 24, "resid_pdrop": 0.1 })
        }
        "llama" => json!({ "rope_theta": 5e5, "head_dim": 8, "attention_dropout": 0.1 }),
        "mistral" => json!({ "head_dim": 12, "sliding_window": 4 }),
        "qwen2" => json!({ "use_sliding_window": true, "sliding_window": 4, "max_window_layers": 1 }),
        "qwen3" => json!({ "head_dim": 12, "attention_bias": true, "tie_word_embeddings": true }),
        "phi3" => json!({ "sliding_window": 5, "resid_pdrop": 0.1 }),
        "gemma2" => json!({
            "head_dim": 12, "sliding_window": 4, "query_pre_attn_scalar": 20, "attn_logit_softcapping": 4.0,
            "final_logit_softcapping": 3.0
        }),
        "gemma3_text" => json!({
            "head_dim": 12, "sliding_window": 4, "query_pre_attn_scalar": 20, "layer_types": full_and_window
        }),
        "smollm3" => json!({ "no_rope_layer_interval": 2 }),
        "modernbert" => json!({ "local_attention": 6, "global_attn_every_n_layers": 2, "mlp_dropout": 0.1 }),
        "roberta" | "xlm-roberta" => json!({ "pad_token_id": 1, "bos_token_id": 0 }),
        _ => json!({}),
    }
}

fn config(family: &Family) -> Map<String, Value> {
    let mut config = Map::new();
    for part in [sizes(), differences(family.model_type)] {
        config.extend(part.as_object().cloned().unwrap_or_default());
    }
    config.insert("model_type".to_owned(), json!(family.model_type));
    config
}

impl SmallModel {
    /// Writes it to a temporary folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(super) fn new(family: &Family) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(failed)?;
        let file = folder.path().join("config.json");
        let mut config = config(family);
        let write = |config: &Map<String, Value>| fs::write(&file, Value::from(config.clone()).to_string());
        write(&config).map_err(failed)?;
        let causal = ModelConfig::read(&file).map_err(failed)?.shape.language_head.is_some();
        let (kind, task) = match causal {
            true => (TaskKind::CausalLm, Task::CausalLm),
            false => {
                let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
                (TaskKind::SequenceClassification, Task::SequenceClassification { labels })
            }
        };
        config.insert("architectures".to_owned(), json!([family.class_for(kind)]));
        config.insert("id2label".to_owned(), json!({ "0": "a", "1": "b", "2": "c" }));
        write(&config).map_err(failed)?;

        let (model, _) = Model::load(&Base::Config(file.clone()), &task, 0, &Device::flex()).map_err(failed)?;
        let numbered = model.parameters().iter().zip(0u64..);
        let tensors = numbered.map(|(parameter, index)| Ok((parameter, values(parameter, index).map_err(failed)?)));
        let tensors = tensors.collect::<Result<Vec<_>>>()?;
        let views = tensors.iter().map(|(parameter, bytes)| {
            let view = TensorView::new(Dtype::BF16, parameter.shape().to_vec(), bytes).map_err(failed)?;
            Ok((&parameter.name, view))
        });
        let bytes = serialize(views.collect::<Result<Vec<_>>>()?, None).map_err(failed)?;
        fs::write(folder.path().join("model.safetensors"), bytes).map_err(failed)?;
        Ok(Self { folder, task })
    }

    /// Where it lies.
    pub(super) fn base(&self) -> Base {
        Base::Directory(self.folder.path().to_owned())
    }

    /// Puts it on a device.
    pub(super) fn load(&self, device: &Device) -> std::result::Result<Model, ModelError> {
        Model::load(&self.base(), &self.task, 0, device).map(|(model, _)| model)
    }
}

/// Values of a parameter in bfloat16: matrices that are drawn anew, and vectors around what they begin with.
fn values(parameter: &Parameter, index: u64) -> std::result::Result<Vec<u8>, TensorError> {
    let (keep, spread) = if parameter.shape().len() > 1 { (0.0, 0.12) } else { (1.0, 0.1) };
    let starts = parameter.value.to_float32()?;
    let values = starts.iter().zip(0u64..).flat_map(|(start, at)| {
        let value = keep * start + spread * random::standard_normal(index, at) as f32;
        // Bfloat16 is the upper half.
        ((value.to_bits() >> 16) as u16).to_le_bytes()
    });
    Ok(values.collect())
}

fn failed(error: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::new("cannot make a small model to check this device with").because(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use retune_train::model::StoredDtype;
    use retune_train::model::family::FAMILIES;

    use super::*;

    #[test]
    fn every_family_has_one_whose_weights_are_all_read_and_of_which_none_is_as_new() {
        for family in FAMILIES {
            let small = SmallModel::new(family).unwrap();
            let (model, report) = Model::load(&small.base(), &small.task, 0, &Device::flex()).unwrap();
            assert_eq!(model.config().family.model_type, family.model_type);
            assert!(report.new.is_empty() && report.unused.is_empty(), "{}: {report:?}", family.model_type);
            for parameter in model.parameters() {
                let values = parameter.value.to_float32().unwrap();
                assert_eq!(parameter.stored_dtype(), StoredDtype::Bfloat16, "{}", parameter.name);
                // Of those near one, some are rounded to it.
                let as_new = values.iter().filter(|x| **x == 0.0 || **x == 1.0).count();
                assert!(2 * as_new < values.len(), "{}: {}", family.model_type, parameter.name);
            }
        }
    }
}
