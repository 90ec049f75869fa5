//! Write a plugin for retune as a small Rust file.
//!
//! A plugin plays one of four roles: [`Preprocessor`], [`Loss`], [`Policy`],
//! [`Metric`] (of what the model computes, or, as [`TextMetric`], of what it writes). Write a type with the role's trait, name it in [`export!`], and
//! build it with `cargo build --release --target wasm32-wasip2`: the result is a
//! component that a recipe can use. This is a whole one, with its test:
//!
//! ```
//! use retune_sdk::{Batch, Error, Loss, LossOutput, Progress, Result, fused};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! /// Cross-entropy plus a reward for being unsure (Pereyra et al. 2017).
//! pub struct ConfidencePenalty {
//!     beta: f64,
//! }
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! #[serde(default, deny_unknown_fields)]
//! pub struct Config {
//!     /// How much the entropy of the prediction counts.
//!     #[schemars(range(min = 0))]
//!     beta: f64,
//! }
//!
//! impl Default for Config {
//!     fn default() -> Self {
//!         Self { beta: 0.1 }
//!     }
//! }
//!
//! impl Loss for ConfidencePenalty {
//!     type Config = Config;
//!
//!     fn new(config: Config, _seed: u64) -> Result<Self> {
//!         match config.beta.is_finite() {
//!             true => Ok(Self { beta: config.beta }),
//!             false => Err(Error::config("beta must be a finite number")),
//!         }
//!     }
//!
//!     fn compute(&mut self, batch: &Batch, _at: Progress) -> Result<LossOutput> {
//!         let (logits, labels) = (batch.require("logits")?, batch.require("labels")?);
//!         let log_p = fused::token_log_probs(&logits, &labels, -100); // [batch]
//!         let entropy = fused::entropy(&logits); // [batch]
//!         let rows = labels.ne(&labels.mul_scalar(0.0).add_scalar(-100.0)).cast(log_p.dtype());
//!         let numerator = (-&log_p - &entropy * &rows * self.beta).sum(&[], false);
//!         Ok(LossOutput::new(numerator, rows.sum(&[], false)))
//!     }
//! }
//!
//! retune_sdk::export!(loss: ConfidencePenalty);
//!
//! # /*
//! #[cfg(test)]
//! mod tests {
//!     use super::*;
//!     use retune_sdk::testing::batch;
//!
//!     #[test]
//!     fn an_even_guess_costs_log_2_less_the_reward() {
//! # */
//!         use retune_sdk::testing::batch;
//!         let mut loss = ConfidencePenalty::new(Config { beta: 0.5 }, 0).unwrap();
//!         let batch = batch().floats("logits", &[1, 2], &[0.0, 0.0]).ints("labels", &[1], &[1]).build();
//!         let output = loss.compute(&batch, Progress::START).unwrap();
//!         let ln2 = std::f64::consts::LN_2;
//!         assert!((output.numerator.item().unwrap() - (ln2 - 0.5 * ln2)).abs() < 1e-7);
//! # /*
//!     }
//! }
//! # */
//! ```
//!
//! # How it works
//!
//! In a component, a [`Tensor`] is a handle to one of the host's, and everything
//! else is a call into the host through the contract in `wit/`. Built for the
//! machine you sit at, the same types work on small arrays of this process
//! ([`testing`] makes batches and rows), so that a plugin is tested with
//! `cargo test` and nothing else. The mock has no gradients: a loss is right when
//! its value is, because the host differentiates it.
//!
//! What cannot be: clocks, files, network, environment. The random seed that `new`
//! is given is the only source of chance. Panics trap: the host ends the run
//! with the line of the panic, and the last checkpoint stays. Return an
//! [`Error`] for what a user can fix.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]
#![cfg_attr(
    not(target_arch = "wasm32"),
    allow(clippy::useless_conversion, clippy::needless_question_mark, reason = "a component has types to convert")
)]

extern crate self as retune_sdk;

mod batch;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod config;
mod dtype;
mod error;
mod export;
pub mod fused;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
pub mod logging;
mod loss;
mod metric;
#[cfg(not(target_arch = "wasm32"))]
#[allow(clippy::should_implement_trait, reason = "the contract's names")]
mod mock;
mod operators;
mod policy;
mod preprocessor;
mod progress;
pub mod state;
pub mod tensor;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod tokenizer;

/// The plugin that the README goes through, kept compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use batch::{Batch, IGNORE_INDEX, Input};
pub use dtype::Dtype;
pub use error::{Error, ErrorKind, Result};
pub use loss::{Loss, LossOutput, Reported};
pub use metric::{Metric, TextExample, TextMetric, ValueSpec};
pub use policy::{Action, Change, Event, InitScheme, Layer, LayerStats, Policy, PolicyContract, Trigger};
pub use preprocessor::{BatchResult, Fields, Output, Preprocessor, PreprocessorContract, Rejection, Sample, Value};
pub use progress::Progress;
pub use state::Checkpoint;
pub use tensor::Tensor;
