//! From gradients to new weights: sums, clipping, the schedule, AdamW.

pub mod adamw;
pub mod clip;
pub mod gradients;
pub mod schedule;
