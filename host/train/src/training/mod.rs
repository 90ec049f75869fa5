//! The training loop: a run that is ready, its steps, its state, and going on from a checkpoint.

pub(crate) mod finite;
mod first_steps;
mod main_loop;
mod preflight;
mod resume;
pub mod sampler;
mod state;
pub mod step;
pub mod traffic;
mod trainer;
mod validation;
pub mod workers;

pub use trainer::{Outcome, Roles, Trainer};
