//! Tensors of run-time rank and type, with gradients, on the CPU or a GPU.
//!
//! [`AnyTensor`] is what losses, metrics and plugins compute with: every
//! operation of the contract's `tensor` interface is a method of the same name,
//! `fused` holds the operations over a vocabulary, and [`device`] chooses where
//! they run. Operations check shapes, types and indices and answer with a
//! [`TensorError`]; none panics.
//!
//! ```
//! use retune_tensor::{Device, from_float32, from_int64, fused};
//!
//! let device = Device::flex();
//! let logits = from_float32(vec![0.0, 0.0, 1.0, 3.0], &[2, 2], &device)?;
//! let labels = from_int64(vec![1, -100], &[2], &device)?;
//! let log_probs = fused::token_log_probs(&logits, &labels, -100)?;
//! assert_eq!(log_probs.to_float32()?, [-std::f32::consts::LN_2, 0.0]);
//! # Ok::<(), retune_tensor::TensorError>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod any;
mod arithmetic;
mod comparison;
mod creation;
pub mod device;
mod dtype;
mod elementwise;
mod error;
mod few_rows;
pub mod fused;
mod geometry;
mod gradient;
mod lazy;
pub mod narrow;
mod order;
mod portable;
pub mod product;
pub mod random;
mod reduction;
mod selection;
mod shape;
pub mod transfer;
pub mod wide;

pub use any::AnyTensor;
pub use burn::tensor::Device;
pub use creation::{arange, cat, eye, from_float32, from_float64, from_int64, full, stack};
pub use dtype::Dtype;
pub use error::{Result, TensorError};
pub use geometry::{DEFAULT_LARGEST, MAX_RANK, with_largest};
pub use gradient::Gradients;
pub use lazy::{Head, lazy_logits};
pub use random::{normal, uniform};
