//! A run: from a recipe to a trained model, with everything written down.
//!
//! [`run`](crate::run()) goes the whole way: it finds and checks files, plugins and data
//! ([`assembly`]), holds a run directory ([`run_dir`]), trains, exports, measures, and leaves a
//! manifest, an event log and a report. The command line is one caller; this is another:
//!
//! ```no_run
//! use std::path::Path;
//!
//! use retune_recipe::Recipe;
//! use retune_run::{RunOptions, RunOutcome, Silent, run};
//!
//! # fn main() -> retune_recipe::diagnostic::Result<()> {
//! let recipe = Recipe::load(Path::new("recipe.toml"))?;
//! let options = RunOptions { measure: true, ..RunOptions::default() };
//! match run(&recipe, &options, &mut Silent)? {
//!     RunOutcome::Planned(plan) => print!("{}", plan.page()),
//!     RunOutcome::Finished(summary) => println!("the model is in {}", summary.model.display()),
//!     RunOutcome::Interrupted { stopped, .. } => println!("{stopped}"),
//! }
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod account;
mod adapter;
mod answering;
pub mod assembly;
pub mod dialogue;
pub mod events;
pub mod forecast;
mod inputs;
pub mod inspect;
pub mod interrupt;
pub mod locate;
pub mod machine;
pub mod manifest;
pub mod observer;
pub mod opened;
mod options;
pub mod plan;
mod recorded;
pub mod report;
mod reporter;
mod resolve;
pub mod resume_check;
pub mod role;
pub mod roles;
mod run;
pub mod run_dir;
pub mod self_check;
pub mod settings;
pub mod shown;
pub mod speaker;
mod stages;
pub mod summary;
mod trained;
mod usage;
pub mod words;

pub use account::tell_account;
pub use interrupt::Interrupt;
pub use options::{RunOptions, RunOutcome};
pub use reporter::{Reporter, Silent};
pub use run::run;
pub use trained::open_trained;
