//! Adapters: small matrices beside projections that learn while the base model stays as it is.
//!
//! [`AdapterSpec`] says which, in the words of `peft`'s `LoraConfig`, so that a recipe, the trainer and PEFT's format on
//! disk speak of one thing.

mod spec;

pub use spec::{ALL_LINEAR, AdapterMethod, AdapterSpec, InitLoraWeights};
