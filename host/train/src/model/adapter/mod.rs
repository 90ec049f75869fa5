//! Adapters: small matrices beside projections that learn while the base model stays as it is.
//!
//! [`AdapterSpec`] says which, in the words of `peft`'s `LoraConfig`, so that a recipe, the trainer and PEFT's format on
//! disk speak of one thing. [`placements`] turns it into places in one model: every parameter of an adapter belongs to the
//! layer that it adapts, so that policies and globs see it there. Whatever an adapter leaves alone is fixed
//! ([`Parameters::fix`](super::Parameters::fix)), but for modules that are trained whole.

pub(super) mod merge;
pub(super) mod module;
pub(super) mod placements;
mod principal;
mod spec;
mod start;

pub use module::{Module, ModuleKind, Placed};
pub use spec::{ALL_LINEAR, AdapterMethod, AdapterSpec, InitLoraWeights};
