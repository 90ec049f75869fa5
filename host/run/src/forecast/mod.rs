//! What a run will take, before it is begun: memory by part, steps, and what would make it fit.
//!
//! Nothing is computed and no weight is read: names and shapes come from `config.json` and the headers, lengths from the
//! prepared rows, and what a pass keeps from [`retune_train::model::footprint`]. Not in it: what plugins take, each up to its
//! limit, and what the system counts twice while it moves pages.

mod advice;
mod made;
mod measure;
mod memory;
mod outlook;
mod page;

pub use advice::Advice;
pub use made::memory;
pub use measure::{measured, of};
pub use memory::{Memory, Subject};
pub use outlook::{Forecast, Lengths, MeasuredSteps};
