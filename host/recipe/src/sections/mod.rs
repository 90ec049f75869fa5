//! The sections of a recipe, a file each.
//!
//! A field is a key: its doc comment is the key's only description, its type and its
//! attributes are all that is checked about the value alone, `#[default]` is what
//! holds when it is left out. From these structs come the parser, the JSON Schema,
//! `retune recipe keys`, the reference page and the resolved form.
//!
//! What JSON Schema has no word for stands in annotations beginning with `x-`:
//! `x-kind` (the type in words), `x-required` (the key must be given), `x-default` (a
//! default that depends on other keys, in words; [`crate::derived`] fills it in),
//! `x-write` (what to write instead of what was wrong), `x-form` (what is wrong with a text that does not fit its pattern).

mod adapter;
mod chat;
mod data;
mod evaluation;
mod export;
mod globs;
mod kinds;
mod model;
mod role;
mod strategy;
mod training;

pub use adapter::{Adapter, AdapterMethod, InitLoraWeights};
pub use chat::{Chat, is_template_file};
pub use data::{Columns, Data, Mask, Validation};
pub use evaluation::{Best, EarlyStopping, Evaluation, Every, Generate, Mode};
pub use export::{Export, ExportFormat};
pub use globs::{Globs, files};
pub use kinds::{File, Folder, Glob};
pub use model::{BaseRef, Model};
pub use role::{RoleRef, RoleSource};
pub use strategy::{Method, Reinitialize, Scheme, Strategy};
pub use training::{Checkpoint, LrScheduler, Optimizer, OptimizerName, SchedulerName, Training};
