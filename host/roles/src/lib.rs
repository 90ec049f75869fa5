//! What a preprocessor, a loss, a freezing policy and a metric *are*.
//!
//! Plain Rust traits and the types they speak in. Nothing here knows of wasm,
//! files or the network: built-ins ([`builtin`]) and sandboxed plugins implement
//! the same traits, and neither the data path nor the training loop can tell
//! them apart.
//!
//! Invariants: a loss hands back a numerator and a denominator, both sums, and
//! only the host divides; a batch lends its tensors for one call; a failure
//! names the role, the call and the sample or step.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod batch;
pub mod builtin;
pub mod caught;
pub mod digest;
pub mod example;
pub mod failure;
pub mod kind;
pub mod loss;
pub mod metric;
pub mod nearest;
pub mod policy;
pub mod preprocessor;
pub mod progress;
pub mod role;
pub mod rows;
pub mod special_tokens;
pub mod task;
pub mod text;
pub mod text_example;
pub mod tokenizer;

pub use batch::{Batch, InputSpec};
pub use example::{Example, IGNORE_INDEX, Sequence, Target};
pub use failure::{ErrorKind, Failure, Refusal};
pub use kind::RoleKind;
pub use loss::{Loss, LossOutput, Reported};
pub use metric::{Metric, Reads, ValueSpec};
pub use policy::{Action, Change, Event, InitScheme, Layer, LayerKind, LayerStats, Policy, PolicyContract, Trigger};
pub use preprocessor::{BatchResult, Output, Preprocessor, PreprocessorContract, Rejection, Sample, Stage, Value};
pub use progress::Progress;
pub use role::Role;
pub use rows::Rows;
pub use special_tokens::SpecialTokens;
pub use task::{Task, TaskInfo, TaskKind};
pub use text_example::TextExample;
pub use tokenizer::{Encoding, Message, Tokenizer};

/// The result of every call of a role.
pub type Result<T> = std::result::Result<T, Failure>;
