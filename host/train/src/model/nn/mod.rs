//! The parts models are made of: each holds the indices of its parameters.
//!
//! Hidden states are `[tokens, hidden]` throughout, without padding, so that every projection
//! is one matrix product over real tokens.

mod activation;
mod attention;
mod embedding;
mod feed_forward;
mod kernels;
mod linear;
mod lora;
mod norm;
mod rope;
mod stream;

pub(super) use activation::activate;
pub(super) use attention::Attention;
pub(super) use embedding::Embedding;
pub(super) use feed_forward::FeedForward;
pub(super) use kernels::{Documents, Dropped, DroppedLines, Pattern, Spans, Stored, attention, drop_lines, lookup};
pub(super) use linear::Linear;
pub(super) use lora::{change, row_norms, wide};
pub(super) use norm::Norm;
pub(super) use rope::Rope;
pub(super) use stream::Stream;
