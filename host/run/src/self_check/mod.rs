//! Whether a build works on a device, and how fast: what `retune self-check` finds out.
//!
//! Each check compares with numbers that were computed elsewhere, or reports a rate. Three kinds of comparison need different
//! things: [`arithmetic`] none, [`kernels`] and [`families`] the CPU of the same machine, [`fixtures`] folders with what
//! transformers and peft gave. What a GPU runs is reached on a CPU too, by way of [`Portable`](retune_tensor::device::Portable).

pub mod arithmetic;
mod beside_cpu;
mod continuation;
pub mod families;
pub mod finding;
mod fixture;
pub mod fixtures;
pub mod kernels;
mod parity;
mod rows;
mod small_model;
pub mod table;
mod tolerance;
pub mod training;

pub use finding::Finding;
