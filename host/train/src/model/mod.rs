//! The model half of training: architectures, parameters, weights, export.
//!
//! A [`Model`] is a description (which parameters there are, which layer each
//! belongs to) plus their values; it keeps the parameter names of the Hugging Face
//! checkpoint it came from. The forward pass is a function of a [`Weights`] view:
//! trainable parameters are leaves of the autodiff graph, frozen ones are plain
//! constants, so the backward pass never goes below the lowest trainable layer.
//!
//! ```no_run
//! use retune_train::model::{Base, Input, Model, Task};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = retune_tensor::Device::flex();
//! let task = Task::SequenceClassification { labels: vec!["no".into(), "yes".into()] };
//! let (model, report) = Model::load(&Base::Directory("all-MiniLM-L6-v2".into()), &task, 42, &device)?;
//! println!("{} new parameters", report.new.len());
//! let weights = model.weights(true);
//! let input = Input::from_examples(&[], model.config(), &device)?;
//! let forward = model.forward(&weights, &input, None)?;
//! # Ok(()) }
//! ```

mod bert;
mod config;
mod dropout;
mod error;
mod export;
mod fingerprint;
mod initial;
mod input;
mod inventory;
mod llama;
#[allow(clippy::module_inception, reason = "the model itself, among what it is made of")]
mod model;
mod nn;
mod parameters;
pub mod pattern;
mod tensor_files;
mod weights;

pub use config::{Activation, Architecture, ModelConfig};
pub use dropout::DropoutSeeds;
pub use error::ModelError;
pub use input::Input;
pub use model::{Base, Forward, LoadReport, Model, Task};
pub use parameters::{Parameter, Parameters, StoredDtype};
pub use weights::Weights;
