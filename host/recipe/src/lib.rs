//! A recipe: the TOML file that describes a run, typed and checked.
//!
//! The [sections] are plain structs; a field's doc comment, type, bounds and default are
//! the only description of a key, and everything else is made from them: the [JSON
//! Schema](schema), the [table of keys](reference), parsing, and the [resolved] form.
//!
//! Strict: an unknown key, a wrong type, an impossible value each become a diagnostic
//! with file, line and what is allowed, all of them together. Reading goes
//! through these steps: texts become values with places (`layers`, `written`), values are
//! checked against the schema (`check`), paths become absolute (`normal`), defaults that
//! depend on other keys are filled in (`derived`), and rules between keys are checked
//! (`rules`). So [`resolved`] shows every value a run used, and running that
//! file gives the same run.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

#[cfg(test)]
mod chat_tests;
mod check;
mod derived;
pub mod diagnostic;
pub mod embedded;
mod foreign;
pub mod generating;
#[cfg(test)]
mod generating_tests;
mod layers;
#[cfg(test)]
mod layers_tests;
mod normal;
pub mod place;
mod problems;
mod read;
mod recipe;
pub mod reference;
pub mod resolved;
mod rules;
pub mod schema;
pub mod sections;
#[cfg(test)]
mod tests;
mod written;

pub use recipe::Recipe;
pub use retune_data::{Format, Layout};
pub use sections::{
    BaseRef, Best, Checkpoint, Columns, Data, EarlyStopping, Evaluation, Every, Export, Generate, Globs, LrScheduler,
    Method, Mode, Model, Optimizer, OptimizerName, Reinitialize, RoleRef, RoleSource, SchedulerName, Scheme, Strategy,
    Training, Validation,
};
