//! Operations the host runs as one kernel, or in chunks.
//!
//! Prefer them wherever one fits: `logits` may be lazy, these read it piece by
//! piece, and the plain form of [`token_log_probs`] over a vocabulary of 128k
//! would allocate gigabytes.

use crate::Tensor;

#[cfg(target_arch = "wasm32")]
use crate::bindings::host::retune::plugin::fused as backend;
#[cfg(not(target_arch = "wasm32"))]
use crate::mock::fused as backend;

/// Log-probability of each label: `logits.log_softmax(-1).gather(-1, labels)`,
/// zero where the label is `ignore_index`. `[.., classes] x [..] -> [..]`, `float32`.
#[track_caller]
pub fn token_log_probs(logits: &Tensor, labels: &Tensor, ignore_index: i64) -> Tensor {
    Tensor(backend::token_log_probs(&logits.0, &labels.0, ignore_index))
}

/// Mean log-probability over all classes: `logits.log_softmax(-1).mean(&[-1], false)`.
/// `[.., classes] -> [..]`, `float32`.
#[track_caller]
pub fn mean_log_probs(logits: &Tensor) -> Tensor {
    Tensor(backend::mean_log_probs(&logits.0))
}

/// `sum(p * (log p - log q), -1)` with `p = softmax(target / t)` and
/// `q = softmax(input / t)`; `reverse` swaps the two.
#[track_caller]
pub fn kl_div(input: &Tensor, target: &Tensor, temperature: f64, reverse: bool) -> Tensor {
    Tensor(backend::kl_div(&input.0, &target.0, temperature, reverse))
}

/// `-sum(p * log p, -1)` with `p = softmax(logits)`.
#[track_caller]
pub fn entropy(logits: &Tensor) -> Tensor {
    Tensor(backend::entropy(&logits.0))
}
