//! The model half of training: architectures, parameters, weights, export.
//!
//! A [`Model`] is a description (which parameters there are, which layer each
//! belongs to) plus their values; it keeps the parameter names of the Hugging Face
//! checkpoint it came from. The forward pass is a function of a [`Weights`] view:
//! trainable parameters are leaves of the autodiff graph, frozen ones are plain
//! constants, so the backward pass never goes below the lowest trainable layer.
//!
//! Parameters are grouped into layers, in depth order from the input: embeddings at
//! depth 0, the attention and the feed-forward half of block *i* at depth *i* + 1,
//! then a last norm where there is one, and the head deepest. A layer's name is the
//! prefix its parameters share (`bert.encoder.layer.3.attention`, `model.layers.3.mlp`);
//! BERT's feed-forward half, which shares none, is `bert.encoder.layer.3.mlp`.
//! [`pattern`] says what globs over these names take.
//!
//! ```no_run
//! use retune_roles::{Example, Sequence, Target, Task};
//! use retune_train::model::{Base, Model};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = retune_tensor::Device::flex();
//! let task = Task::SequenceClassification { labels: vec!["no".into(), "yes".into()] };
//! let (model, report) = Model::load(&Base::Directory("all-MiniLM-L6-v2".into()), &task, 42, &device)?;
//! assert_eq!(report.new, ["classifier.weight", "classifier.bias"]);
//!
//! let row = Example::new("a", Sequence::of(vec![101, 2748, 102]), Target::Class(1));
//! let input = model.input(&[&row])?;
//! let weights = model.weights(true);
//! let forward = model.forward(&weights, &input, None)?;
//! let gradients = weights.backward(&forward.logits.sum(&[], false)?)?;
//! assert_eq!(gradients.len(), model.parameters().len());
//! # Ok(()) }
//! ```

pub mod adapter;
pub mod agreement;
mod check;
mod config;
mod dropout;
mod error;
mod export;
mod extend;
pub mod family;
mod fingerprint;
pub mod footprint;
mod forward;
mod head;
mod initial;
mod input;
mod inventory;
mod key_value_cache;
mod keys;
mod layout;
mod mask;
#[allow(clippy::module_inception, reason = "the model itself, among what it is made of")]
mod model;
mod network;
mod nn;
pub mod outline;
mod padding;
mod parameters;
pub mod pattern;
pub mod peft;
mod recompute;
pub mod rotary;
mod segments;
pub mod shape;
mod sizes;
pub(crate) mod stand_in;
mod tensor_files;
mod trained;
mod weights;

pub use check::check_files;
pub use config::ModelConfig;
pub use dropout::DropoutSeeds;
pub use error::ModelError;
pub use export::{ExportForm, may_replace};
pub use forward::Forward;
pub use input::Input;
pub use key_value_cache::KeyValueCache;
pub use keys::Keys;
pub use layout::Layout;
pub use model::{Adapted, Base, LoadReport, Model, task_of_checkpoint};
pub use outline::{Outline, OutlineParameter};
pub use parameters::{Origin, Parameter, Parameters, StoredDtype};
pub use retune_roles::Task;
pub use sizes::Sizes;
pub use trained::Trained;
pub use weights::Weights;
