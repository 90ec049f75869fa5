//! What losses over a vocabulary are made of, without a `[.., vocab]` tensor more
//! than is needed.
//!
//! Each function equals the definition in its comment. Logits that are lazy (see
//! [`lazy_logits`](crate::lazy_logits)) stay so: their head runs chunk by chunk over the positions
//! that count, forward and backward, and the price is that backward computes each chunk a
//! second time. Of logits that are there, what backward needs is three numbers per row.
//! 16-bit floats are computed in float32, which is also what comes back.
//!
//! [`kl_div`] is composed from single operations. An input that is tracked goes through it in
//! one piece, because backward needs what forward computed, and lazy logits are made whole
//! for it; one that is not is worked on in groups of rows of about [`CHUNK`] elements.

mod flex;
mod fold;
pub(crate) mod score;
mod tiles;
mod wide;

use burn::backend::Dispatch;

use crate::any::{AnyTensor, Deferred};
use crate::creation::{cat, from_float64, from_int64};
use crate::dtype::Dtype;
use crate::error::{Result, ensure, fail};
use crate::lazy::{Head, Lazy};
pub use score::HEAD_CHUNK;
use score::{IGNORED, Score, Scores};

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
    rows.fit(op, labels)?;
    // One copy of the labels to the host serves the check and the ignored rows.
    let mut classes = labels.to_int64()?;
    for (position, label) in classes.iter_mut().enumerate() {
        if *label == ignore_index {
            *label = IGNORED;
            continue;
        }
        let known = (0..rows.vocab as i64).contains(label);
        ensure!(known, op, "label {label} at position {position} lies outside the vocabulary of size {}", rows.vocab);
    }
    rows.scores(op, classes, Score::Label)
}

/// `logits.log_softmax(-1).mean([-1])`: the label-smoothing term. `[.., vocab] -> [..]`.
///
/// # Errors
/// When `logits` is not a float tensor with a last dimension.
pub fn mean_log_probs(logits: &AnyTensor) -> Result<AnyTensor> {
    let op = "mean-log-probs";
    let rows = Rows::new(op, logits)?;
    rows.scores(op, vec![0; rows.count], Score::Mean)
}

/// `-sum(p * log p, -1)` with `p = softmax(logits)`; a term whose `p` is zero is
/// zero. `[.., vocab] -> [..]`.
///
/// # Errors
/// When `logits` is not a float tensor with a last dimension.
pub fn entropy(logits: &AnyTensor) -> Result<AnyTensor> {
    let op = "entropy";
    let rows = Rows::new(op, logits)?;
    rows.scores(op, vec![0; rows.count], Score::Entropy)
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
    let (p, q) = (Rows::new(op, target)?, Rows::new(op, input)?);
    p.each(op, &[target, input], dtype, |parts| {
        let cooled = |t: &AnyTensor| if temperature == 1.0 { Ok(t.clone()) } else { t.mul_scalar(1.0 / temperature) };
        let log_p = cooled(&parts[0])?.log_softmax(1)?;
        let log_q = cooled(&parts[1])?.log_softmax(1)?;
        let p = log_p.exp()?;
        let nothing = p.untracked().eq_scalar(0.0)?;
        p.mul(&log_p.sub(&log_q)?.masked_fill(&nothing, 0.0)?)?.sum(&[1], false)
    })?
    .view(op, &q.lead)
}

/// How many labels there are that are not `ignore_index`, and how many of them the largest
/// logit hits; of equal logits any may count as the largest. `[.., vocab] x [..]`.
///
/// # Errors
/// When the shapes do not fit.
pub fn hits(logits: &AnyTensor, labels: &AnyTensor, ignore_index: i64) -> Result<(u64, u64)> {
    let op = "hits";
    let rows = Rows::new(op, logits)?;
    labels.need_int(op, "labels")?;
    rows.fit(op, labels)?;
    let labels = labels.to_int64()?;
    let counted: Vec<usize> = (0..labels.len()).filter(|position| labels[*position] != ignore_index).collect();
    let flat = if logits.is_lazy() { None } else { Some(logits.untracked().view(op, &[rows.count, rows.vocab])?) };
    let mut hits = 0;
    for positions in counted.chunks(rows.height()) {
        let part = match (&flat, logits.untracked().lazy()) {
            (Some(flat), _) => flat.rows_at(positions.iter().copied())?,
            (None, Some(lazy)) => lazy.logits(positions)?,
            (None, None) => continue,
        };
        let largest = part.arg_max(-1, false)?.to_int64()?;
        hits += positions.iter().zip(&largest).filter(|(position, found)| labels[**position] == **found).count() as u64;
    }
    Ok((hits, counted.len() as u64))
}

/// The most bytes that a score of each row keeps for backward, beside `logits` and what they are lazily made of.
/// [`kl_div`] keeps more: three tensors as large as the logits.
pub fn kept(logits: &AnyTensor) -> u64 {
    // Class, score, maximum, sum, and where the row comes from and goes to.
    const ROW: u64 = 64;
    let rows = logits.numel() / logits.shape().last().map_or(1, |vocab| (*vocab as u64).max(1));
    let row = match logits.lazy() {
        Some(lazy) => lazy.head().hidden.byte_len() / (lazy.tokens() as u64).max(1),
        None => 0,
    };
    let widened = match logits.dtype() {
        Dtype::Float16 | Dtype::Bfloat16 if !logits.is_lazy() => logits.numel().saturating_mul(4),
        _ => 0,
    };
    rows.saturating_mul(ROW + row).saturating_add(widened)
}

/// Logits as `[count, vocab]`.
struct Rows<'a> {
    logits: &'a AnyTensor,
    lead: Vec<usize>,
    count: usize,
    vocab: usize,
}

/// float32, or float64 for float64.
fn wide_dtype(dtype: Dtype) -> Dtype {
    if dtype == Dtype::Float64 { Dtype::Float64 } else { Dtype::Float32 }
}

impl<'a> Rows<'a> {
    fn new(op: &'static str, logits: &'a AnyTensor) -> Result<Self> {
        logits.need_float(op)?;
        let shape = logits.shape();
        let Some((vocab, lead)) = shape.split_last() else {
            fail!(op, "logits must have a last dimension, got a scalar")
        };
        ensure!(*vocab > 0, op, "logits of shape {shape:?} have no classes");
        Ok(Self { logits, lead: lead.to_vec(), count: lead.iter().product(), vocab: *vocab })
    }

    fn fit(&self, op: &'static str, labels: &AnyTensor) -> Result<()> {
        ensure!(
            labels.shape() == self.lead,
            op,
            "labels of shape {:?} for logits of shape {:?}; expected {:?}",
            labels.shape(),
            self.logits.shape(),
            self.lead
        );
        Ok(())
    }

    /// Rows of about [`CHUNK`] elements.
    fn height(&self) -> usize {
        (CHUNK / self.vocab).max(1)
    }

    /// The score of each row, in the shape of the labels; zero for those of class [`IGNORED`].
    fn scores(&self, op: &'static str, classes: Vec<i64>, score: Score) -> Result<AnyTensor> {
        if let Some(lazy) = self.logits.lazy() {
            return lazy_scores(op, lazy, &classes, score)?.view(op, &self.lead);
        }
        let classes = from_int64(classes, &[self.count, 1], &self.logits.untracked().device())?;
        self.each(op, &[self.logits, &classes], self.logits.dtype(), |parts| {
            let height = parts[0].shape()[0];
            AnyTensor::make(op, &[height], || Dispatch::row_scores(parts[0].raw(), parts[1].raw(), score))
        })?
        .view(op, &self.lead)
    }

    /// `body` of all rows, or of a few at a time; gives `[count]`. Floats are given to it in `dtype`, or float32.
    fn each(
        &self,
        op: &'static str,
        inputs: &[&AnyTensor],
        dtype: Dtype,
        body: impl Fn(&[AnyTensor]) -> Result<AnyTensor>,
    ) -> Result<AnyTensor> {
        let (height, wide) = (self.height(), wide_dtype(dtype));
        if self.count == 0 {
            return crate::full(&[0], 0.0, wide, &self.logits.device());
        }
        let fitting = |t: &AnyTensor| if t.dtype().is_float() { t.cast(wide) } else { Ok(t.clone()) };
        let flat = |t: &AnyTensor| fitting(&t.view(op, &[self.count, t.numel() as usize / self.count])?);
        if self.count <= height || inputs.iter().any(|t| t.is_tracked()) {
            return body(&inputs.iter().map(|t| flat(t)).collect::<Result<Vec<_>>>()?)?.view(op, &[self.count]);
        }
        let sources =
            inputs.iter().map(|t| if t.is_lazy() { Ok((*t).clone()) } else { flat(t) }).collect::<Result<Vec<_>>>()?;
        let mut done = Vec::with_capacity(self.count.div_ceil(height));
        for start in (0..self.count).step_by(height) {
            let positions: Vec<usize> = (start..(start + height).min(self.count)).collect();
            let (from, to) = (start as i64, (start + positions.len()) as i64);
            let part = sources.iter().map(|t| match t.lazy() {
                Some(lazy) => fitting(&lazy.logits(&positions)?),
                None => t.slice(0, from, to, 1),
            });
            done.push(body(&part.collect::<Result<Vec<_>>>()?)?);
        }
        cat(&done.iter().collect::<Vec<_>>(), 0)
    }
}

/// Scores of logits that do not exist, `[positions]`: the head runs over the hidden states that count.
fn lazy_scores(op: &'static str, lazy: &Lazy, classes: &[i64], score: Score) -> Result<AnyTensor> {
    let Head { hidden, weight, bias, soft_cap } = lazy.head();
    let (vocab, tokens) = (weight.shape()[0], lazy.tokens());
    let wide = wide_dtype(hidden.dtype());
    if tokens == 0 {
        return crate::full(&[classes.len()], 0.0, wide, &lazy.device());
    }
    // Scores are followed by those of an ignored position and of one on padding, where all logits are zero.
    let (mut rows, mut counted, mut places) = (Vec::new(), Vec::new(), Vec::with_capacity(classes.len()));
    let (ignored, padding) = (-2, -1);
    for (position, class) in classes.iter().enumerate() {
        places.push(match lazy.row(position) {
            _ if *class == IGNORED => ignored,
            None => padding,
            Some(row) => {
                rows.push(row);
                counted.push(*class);
                rows.len() as i64 - 1
            }
        });
    }
    if rows.is_empty() {
        // One row that takes no part, so that the result hangs together with the model.
        rows.push(0);
        counted.push(IGNORED);
    }
    let count = rows.len();
    let read = hidden.rows_at(rows.into_iter())?;
    let device = hidden.untracked().device();
    let classes = from_int64(counted, &[count, 1], &device)?;
    let bias =
        bias.as_ref().map_or_else(|| crate::full(&[0], 0.0, hidden.dtype(), &device), |bias| Ok(bias.clone()))?;
    let scores = AnyTensor::make(op, &[count], || {
        Dispatch::head_scores(read.raw(), weight.raw(), bias.raw(), classes.raw(), soft_cap.unwrap_or_default(), score)
    })?;
    if places.len() == count && places.iter().all(|place| *place >= 0) {
        return Ok(scores);
    }
    let uniform = (vocab as f64).ln() * if score == Score::Entropy { 1.0 } else { -1.0 };
    let further = from_float64(vec![0.0, uniform], &[2], &device)?.cast(wide)?;
    let all = cat(&[&scores, &further], 0)?;
    let last = count as i64 + 2;
    let places = places.into_iter().map(|place| (if place < 0 { last + place } else { place }) as usize);
    all.rows_at(places)
}
