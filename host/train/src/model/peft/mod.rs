//! Adapters on disk, in the format of `peft`: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! A tensor is called `base_model.model.` and its own name, which is that of [`Model`](super::Model)'s parameter:
//! `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight`. Beside the two files retune writes [`MODEL_CONFIG`]: what
//! would be the `config.json` of the model with its task and labels, of which the format has no word. It is not called so,
//! because `transformers` would look for a whole model then.

mod directory;
mod fill;
mod patterns;
mod settings;
mod write;

pub use directory::PeftDirectory;
pub(super) use write::{config, joined, tensors};

/// What the adapter is.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";

/// Its values.
pub const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";

/// The `config.json` of base, task and labels.
pub const MODEL_CONFIG: &str = "model_config.json";

/// Before the name of each tensor.
const PREFIX: &str = "base_model.model.";
