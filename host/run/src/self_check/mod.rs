//! Whether a build works on a device, and how fast: what `retune self-check` finds out.
//!
//! Each check compares with numbers that were computed elsewhere, or reports a rate.

pub mod agreement;
pub mod arithmetic;
pub mod finding;
pub mod parity;
pub mod training;

pub use finding::Finding;
