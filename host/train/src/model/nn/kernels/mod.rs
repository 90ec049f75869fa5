//! The few operations that a step spends its time in, each fused into one pass,
//! with a backward pass of its own.
//!
//! burn composes a layer norm from nine element-wise operations and its gradient
//! from twenty, each a serial walk over memory on the CPU. Here each is a
//! [`operations::Kernels`] operation: [`flex`] has parallel CPU versions, [`autodiff`] the
//! backward passes, and every other device gets the [`composed`] bodies, which
//! compute the same; tests reach them on the CPU through [`Portable`](retune_tensor::device::Portable), which every kernel
//! of [`flex`] asks first. Results do not depend on the number of threads.
//!
//! Passes over memory of BERT's `norm(dropout(x) + residual)`, reads and writes of `[tokens, hidden]`
//! counted, with a mask, a product, a sum and a norm of their own, and as one kernel:
//!
//! | | apart | one |
//! |---|---|---|
//! | forward | 1 mask + 3 dropout + 3 sum + 2 norm = 9 | 4 |
//! | backward | 3 norm + 3 dropout + 1 sum's second gradient = 7 | 4 |
//! | kept for the backward pass | mask, sum | sum |
//!
//! Of Llama's `sum = x + residual` and `norm(sum)`, where the sum is read again further on:
//!
//! | | apart | one |
//! |---|---|---|
//! | forward | 3 sum + 2 norm = 5 | 4 |
//! | backward | 3 norm + 3 sum of both gradients = 6 | 4 |
//!
//! The functions below are what the rest of the model calls.

mod attention;
mod autodiff;
mod block_product;
mod composed;
mod composed_projection;
#[cfg(feature = "cuda")]
mod cube;
mod documents;
mod factors;
mod flat;
mod flex;
mod heads;
mod operations;
mod padded_attention;
mod projection;
mod projection_autodiff;
mod projection_flex;
mod residual;
mod spans;
mod stored;
mod stored_attention;
mod tape;
mod wide;

pub(in crate::model) use documents::Documents;
pub(in crate::model) use operations::{
    add, attention, drop_lines, gelu, layer_norm, lookup, residual_layer_norm, residual_rms_norm, rms_norm, rope,
    swiglu,
};
pub(in crate::model) use projection::{project, project_activate, project_bias, project_gated};
pub(in crate::model) use spans::{Dropped, DroppedLines, Pattern, Spans};
pub(in crate::model) use stored::Stored;
pub(in crate::model) use stored_attention::attention as attention_to_stored;

#[cfg(test)]
mod attention_tests;
#[cfg(test)]
mod projection_tests;
#[cfg(test)]
mod residual_tests;
#[cfg(test)]
mod tests;
