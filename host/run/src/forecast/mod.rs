//! What a run will take, before it is begun: memory by part, steps, and what would make it fit.
//!
//! Nothing is computed and no weight is read: names and shapes come from `config.json` and the headers, lengths from the
//! prepared rows, and what a pass keeps from [`retune_train::model::footprint`]. Not in it: what plugins take, each up to its
//! limit. BENCHMARKS.md has forecasts beside what was measured.

mod advice;
mod made;
mod measure;
mod memory;
mod outlook;
mod page;
mod process;
mod subject;

pub use advice::{Advice, Told};
pub use made::memory;
pub use measure::{measured, of};
pub use memory::{Memory, Moment, Parts};
pub use outlook::{Forecast, Lengths, MeasuredSteps, Unit};
pub use subject::Subject;
