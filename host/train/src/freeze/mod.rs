//! Which parameters learn: the recipe's strategy, the policies' changes, and the proof that frozen ones stay.

pub(crate) mod authors;
pub mod changes;
pub mod frozen;
pub mod policies;
pub mod statistics;
pub mod strategy;
pub(crate) mod told;
