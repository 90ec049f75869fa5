//! The families of models: one file each, one row each in a table.
//!
//! A file says which `model_type` it answers to, how its parameters are called and how `config.json` is read into
//! a [`Shape`](super::shape::Shape). A family that needs a part which does not exist yet adds it to the shape and to the
//! network, and every other family keeps its numbers.

mod bert;
#[allow(clippy::module_inception, reason = "what a family is, beside the families")]
mod family;
mod llama;

pub use family::Family;

/// The families that retune knows.
pub static FAMILIES: &[&Family] = &[&bert::BERT, &llama::LLAMA];
