//! The fused operations, by their definitions: in float32, or in float64 where that is what they are given.

use super::elementwise::promote;
use super::{Tensor, full, precision};
use crate::Dtype;

/// Logits as they are computed with.
fn widened(logits: &Tensor) -> Tensor {
    logits.cast(precision::wide(logits.dtype))
}

#[track_caller]
pub fn token_log_probs(logits: &Tensor, labels: &Tensor, ignore_index: i64) -> Tensor {
    let ignored = labels.eq_scalar(ignore_index as f64);
    let index = labels.masked_fill(&ignored, 0.0).unsqueeze(-1);
    widened(logits).log_softmax(-1).gather(-1, &index).squeeze(-1).masked_fill(&ignored, 0.0)
}

#[track_caller]
pub fn mean_log_probs(logits: &Tensor) -> Tensor {
    widened(logits).log_softmax(-1).mean(&[-1], false)
}

#[track_caller]
pub fn kl_div(input: &Tensor, target: &Tensor, temperature: f64, reverse: bool) -> Tensor {
    let (target, input) = if reverse { (input, target) } else { (target, input) };
    let dtype = precision::wide(promote("kl-div", target.dtype, input.dtype));
    let log = |logits: &Tensor| logits.cast(dtype).mul_scalar(1.0 / temperature).log_softmax(-1);
    let (log_p, log_q) = (log(target), log(input));
    plogp(&log_p, &log_p.sub(&log_q)).sum(&[-1], false)
}

#[track_caller]
pub fn entropy(logits: &Tensor) -> Tensor {
    let log_p = widened(logits).log_softmax(-1);
    plogp(&log_p, &log_p).sum(&[-1], false).neg()
}

/// `exp(log_p) * x`, zero where the probability is.
#[track_caller]
fn plogp(log_p: &Tensor, x: &Tensor) -> Tensor {
    let p = log_p.exp();
    let zero = full(&[], 0.0, Dtype::Float32);
    p.gt_scalar(0.0).where_(&p.mul(x), &zero)
}
