//! WebAssembly components as roles.
//!
//! A [`Sandbox`] loads a component and finds from its exports which roles it
//! plays; a [`Plugin`] checks a configuration against the component's own schema
//! and gives instances that implement the traits of [`retune_roles`]. The data
//! path and the training loop cannot tell them from built-ins.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use retune_sandbox::{Sandbox, Setup};
//!
//! let sandbox = Sandbox::new(None)?;
//! let focal = sandbox.load("target/plugins/focal.wasm".as_ref())?;
//! let config = focal.resolve_config(&serde_json::json!({ "gamma": 2.0 }))?;
//! let loss = focal.loss(&Setup::new(config, 42), &retune_tensor::Device::flex())?;
//! assert_eq!(loss.wants()[0].name, "logits");
//! # Ok(())
//! # }
//! ```
//!
//! # What a plugin can do
//!
//! It can make its own run fail, with a sentence that says why. It has no clock,
//! files, network, environment or randomness; its memory, time, handles, tensors
//! and copies are bounded by [`Limits`] from before its first instruction; nothing
//! it returns is believed before it is checked here.
//!
//! Loading is bounded too where a program begins with [`acceptance::requested`]: components that were not accepted
//! before are compiled in a process of their own. An operation on tensors is admitted before it runs, and finished once it has
//! begun. `SECURITY.md` says what is promised, and what is not.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod acceptance;
mod admission;
mod apart;
mod batch_host;
mod bindings;
mod checkpoint;
mod compiled;
mod convert;
mod engine;
mod error;
mod given;
mod handles;
mod imports;
mod instance;
mod keeps;
mod limits;
mod loader;
mod logging_host;
mod loss;
mod meter;
mod metric;
mod operation;
mod play;
mod plugin;
mod policy;
mod preprocessor;
mod recorded;
mod roles;
mod sandbox;
mod state;
mod survey;
mod tensor_host;
mod tokenizer_host;
mod trap;
mod violation;
mod wasi;
mod wasi_host;

pub use error::LoadError;
pub use limits::Limits;
pub use meter::{Meter, Used};
pub use play::PluginRole;
pub use plugin::{Plugin, Setup};
pub use retune_schema::{Columns, ConfigError};
pub use sandbox::Sandbox;
