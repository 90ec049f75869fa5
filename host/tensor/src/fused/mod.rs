//! What losses over a vocabulary are made of, without a `[.., vocab]` tensor more
//! than is needed.
//!
//! Each function equals the definition in its comment. An input that is tracked
//! goes through in one piece, because backward needs what forward computed; one
//! that is not is worked on in groups of rows of about [`CHUNK`] elements, so
//! evaluation over a large vocabulary needs a few megabytes beyond the logits.
//! 16-bit floats are computed in float32, which is also what comes back.

mod class;

use crate::creation::{cat, from_int64};
use crate::error::{Result, ensure, fail};
use crate::{AnyTensor, Dtype};

/// Elements worked on at a time when no gradient is wanted: 16 MiB of float32.
pub const CHUNK: usize = 4 << 20;

/// `logits.log_softmax(-1).gather(-1, labels)`, zero where `labels` equals
/// `ignore_index`. `[.., vocab] x [..] -> [..]`, float32 or wider.
///
/// # Errors
/// When the shapes do not fit or a label that is not ignored lies outside `0..vocab`.
pub fn token_log_probs(logits: &AnyTensor, labels: &AnyTensor, ignore_index: i64) -> Result<AnyTensor> {
    let op = "token-log-probs";
    let rows = Rows::new(op, logits)?;
    labels.need_int(op, "labels")?;
    ensure!(
        labels.shape() == rows.lead,
        op,
        "labels of shape {:?} for logits of shape {:?}; expected {:?}",
        labels.shape(),
        logits.shape(),
        rows.lead
    );
    // One copy of the labels to the host serves the check and the ignored rows.
    let mut classes = labels.to_int64()?;
    for (position, label) in classes.iter_mut().enumerate() {
        if *label == ignore_index {
            *label = class::IGNORED;
            continue;
        }
        let known = (0..rows.vocab as i64).contains(label);
        ensure!(known, op, "label {label} at position {position} lies outside the vocabulary of size {}", rows.vocab);
    }
    let classes = from_int64(classes, &[rows.count, 1], &logits.untracked().device())?;
    rows.each(op, &[&rows.logits, &classes], |parts| {
        let height = parts[0].shape()[0];
        AnyTensor::make(op, &[height], || class::class_log_prob(parts[0].raw(), parts[1].raw()))
    })?
    .view(op, &rows.lead)
}

/// `logits.log_softmax(-1).mean([-1])`: the label-smoothing term. `[.., vocab] -> [..]`.
///
/// # Errors
/// When `logits` is not a float tensor with a last dimension.
pub fn mean_log_probs(logits: &AnyTensor) -> Result<AnyTensor> {
    let op = "mean-log-probs";
    let rows = Rows::new(op, logits)?;
    rows.each(op, &[&rows.logits], |parts| {
        let shifted = shifted(&parts[0])?;
        shifted.mean(&[1], true)?.sub(&log_normaliser(&shifted)?)?.squeeze(1)
    })?
    .view(op, &rows.lead)
}

/// `sum(p * (log p - log q), -1)` with `p = softmax(target / temperature)` and
/// `q = softmax(input / temperature)`; `reverse` swaps the roles. A term whose
/// `p` is zero is zero. `[.., vocab] x [.., vocab] -> [..]`.
///
/// # Errors
/// When the shapes differ or `temperature` is not positive.
pub fn kl_div(input: &AnyTensor, target: &AnyTensor, temperature: f64, reverse: bool) -> Result<AnyTensor> {
    let op = "kl-div";
    ensure!(temperature.is_finite() && temperature > 0.0, op, "the temperature {temperature} is not a positive number");
    let (a, b) = (input.shape(), target.shape());
    ensure!(a == b, op, "input and target must have one shape, they have {a:?} and {b:?}");
    let dtype = input.dtype().promote(target.dtype(), op)?;
    let (target, input) = if reverse { (input, target) } else { (target, input) };
    let (p, q) = (Rows::new(op, &target.cast(dtype)?)?, Rows::new(op, &input.cast(dtype)?)?);
    p.each(op, &[&p.logits, &q.logits], |parts| {
        let cooled = |t: &AnyTensor| if temperature == 1.0 { Ok(t.clone()) } else { t.mul_scalar(1.0 / temperature) };
        let log_p = cooled(&parts[0])?.log_softmax(1)?;
        let log_q = cooled(&parts[1])?.log_softmax(1)?;
        let p = log_p.exp()?;
        let nothing = p.untracked().eq_scalar(0.0)?;
        p.mul(&log_p.sub(&log_q)?.masked_fill(&nothing, 0.0)?)?.sum(&[1], false)
    })?
    .view(op, &p.lead)
}

/// `-sum(p * log p, -1)` with `p = softmax(logits)`; a term whose `p` is zero is
/// zero. `[.., vocab] -> [..]`.
///
/// # Errors
/// When `logits` is not a float tensor with a last dimension.
pub fn entropy(logits: &AnyTensor) -> Result<AnyTensor> {
    let op = "entropy";
    let rows = Rows::new(op, logits)?;
    rows.each(op, &[&rows.logits], |parts| {
        let log_p = parts[0].log_softmax(1)?;
        let p = log_p.exp()?;
        let nothing = p.untracked().eq_scalar(0.0)?;
        p.mul(&log_p.masked_fill(&nothing, 0.0)?)?.sum(&[1], false)?.neg()
    })?
    .view(op, &rows.lead)
}

/// `x - max(x)` along the last dimension; no gradient flows through the maximum.
fn shifted(rows: &AnyTensor) -> Result<AnyTensor> {
    rows.sub(&rows.untracked().max(&[1], true)?)
}

/// `log(sum(exp(x)))`, `[n, 1]`, of rows whose maximum is zero.
fn log_normaliser(shifted: &AnyTensor) -> Result<AnyTensor> {
    shifted.exp()?.sum(&[1], true)?.log()
}

/// Logits as `[count, vocab]` in float32 or wider.
struct Rows {
    logits: AnyTensor,
    lead: Vec<usize>,
    count: usize,
    vocab: usize,
}

impl Rows {
    fn new(op: &'static str, logits: &AnyTensor) -> Result<Self> {
        logits.need_float(op)?;
        let shape = logits.shape();
        let Some((vocab, lead)) = shape.split_last() else {
            fail!(op, "logits must have a last dimension, got a scalar")
        };
        ensure!(*vocab > 0, op, "logits of shape {shape:?} have no classes");
        let count = lead.iter().product();
        let wide = if logits.dtype() == Dtype::Float64 { Dtype::Float64 } else { Dtype::Float32 };
        let flat = logits.view(op, &[count, *vocab])?.cast(wide)?;
        Ok(Self { logits: flat, lead: lead.to_vec(), count, vocab: *vocab })
    }

    /// `body` of all rows, or of a few at a time; gives `[count]`.
    fn each(
        &self,
        op: &'static str,
        inputs: &[&AnyTensor],
        body: impl Fn(&[AnyTensor]) -> Result<AnyTensor>,
    ) -> Result<AnyTensor> {
        let height = (CHUNK / self.vocab).max(1);
        if self.count == 0 {
            return crate::full(&[0], 0.0, self.logits.dtype(), &self.logits.device());
        }
        if self.count <= height || inputs.iter().any(|t| t.is_tracked()) {
            return body(&inputs.iter().map(|t| (*t).clone()).collect::<Vec<_>>())?.view(op, &[self.count]);
        }
        let mut done = Vec::with_capacity(self.count.div_ceil(height));
        for start in (0..self.count).step_by(height) {
            let end = (start + height).min(self.count) as i64;
            let part = inputs.iter().map(|t| t.slice(0, start as i64, end, 1)).collect::<Result<Vec<_>>>()?;
            done.push(body(&part)?);
        }
        cat(&done.iter().collect::<Vec<_>>(), 0)
    }
}
