//! Logits that do not exist yet: a head and what it would read.
//!
//! Over a vocabulary, logits are by far the largest tensor of a step, and a loss needs a
//! number or two of each row. [`lazy_logits`] gives a tensor whose shape, type and device
//! are those of the logits, while it holds the hidden states and the weight. The
//! operations of [`fused`](crate::fused) compute from these, in chunks, and only at
//! positions that count; any other operation makes the whole, once, with the
//! gradients of a projection.
//!
//! Hidden states are rows of real tokens, logits are positions of a padded batch; a position
//! on padding has logits of zero and no gradient.

use std::any::Any;
use std::sync::OnceLock;

use burn::backend::Dispatch;
use burn::tensor::Device;

use crate::any::{AnyTensor, Deferred};
use crate::creation::{cat, from_float32, from_int64, full};
use crate::dtype::Dtype;
use crate::error::{Result, ensure};
use crate::fused::score::Scores;
use crate::geometry::admit;

/// A projection to logits, and what it reads. All on one device and of one float type, or float32 with a head that is kept
/// in bfloat16.
#[derive(Clone, Debug)]
pub struct Head {
    /// `[tokens, hidden]`.
    pub hidden: AnyTensor,
    /// `[vocab, hidden]`.
    pub weight: AnyTensor,
    /// `[vocab]`.
    pub bias: Option<AnyTensor>,
    /// Logits are bent to `cap tanh(x / cap)`.
    pub soft_cap: Option<f64>,
}

/// The logits of `head` as `[..lead, vocab]`, without computing them. `rows` says for each position of `lead`,
/// row by row, which of the head's tokens stands there; `None` is padding. Without `rows` the
/// tokens are the positions.
///
/// # Errors
/// When shapes or types do not fit, a row is not there, or the cap is not a positive number.
pub fn lazy_logits(head: Head, lead: &[usize], rows: Option<Vec<Option<u32>>>) -> Result<AnyTensor> {
    let op = "logits";
    let (hidden, weight) = (head.hidden.shape(), head.weight.shape());
    let ([tokens, width], [vocab, inner]) = (&hidden[..], &weight[..]) else {
        crate::error::fail!(op, "hidden states of shape {hidden:?} and a weight of shape {weight:?} are not matrices")
    };
    ensure!(width == inner, op, "hidden states of shape {hidden:?} do not fit a weight of shape {weight:?}");
    ensure!(*vocab > 0 && *width > 0, op, "a weight of shape {weight:?} is empty");
    head.hidden.need_float(op)?;
    let types = [Some(&head.weight), head.bias.as_ref()];
    for other in types.into_iter().flatten() {
        let (dtype, found) = (head.hidden.dtype(), other.dtype());
        let narrow = (dtype, found) == (Dtype::Float32, Dtype::Bfloat16);
        ensure!(dtype == found || narrow, op, "the hidden states are {dtype}, the head is {found}");
    }
    if let Some(bias) = &head.bias {
        ensure!(bias.shape() == [*vocab], op, "a bias of shape {:?} for {vocab} classes", bias.shape());
    }
    if let Some(cap) = head.soft_cap {
        ensure!(cap.is_finite() && cap > 0.0, op, "the soft cap {cap} is not a positive number");
    }
    let positions: usize = lead.iter().product();
    match &rows {
        None => {
            ensure!(positions == *tokens, op, "{tokens} hidden states for positions of shape {lead:?}");
        }
        Some(rows) => {
            ensure!(rows.len() == positions, op, "{} rows for positions of shape {lead:?}", rows.len());
            let known = rows.iter().flatten().all(|row| (*row as usize) < *tokens);
            ensure!(known, op, "a position names a row that the {tokens} hidden states do not have");
        }
    }
    let (tokens, vocab) = (*tokens, *vocab);
    Ok(AnyTensor::of_deferred(Lazy { head, lead: lead.to_vec(), rows, tokens, vocab, whole: OnceLock::new() }))
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Lazy {
    head: Head,
    lead: Vec<usize>,
    rows: Option<Vec<Option<u32>>>,
    tokens: usize,
    vocab: usize,
    whole: OnceLock<AnyTensor>,
}

impl Deferred for Lazy {
    fn shape(&self) -> Vec<usize> {
        self.lead.iter().copied().chain([self.vocab]).collect()
    }

    fn dtype(&self) -> Dtype {
        self.head.hidden.dtype()
    }

    /// An autodiff device when any part is on one.
    fn device(&self) -> Device {
        let parts = [Some(&self.head.hidden), Some(&self.head.weight), self.head.bias.as_ref()];
        let tracked = parts.into_iter().flatten().find(|part| part.is_tracked());
        tracked.unwrap_or(&self.head.hidden).device()
    }

    fn is_tracked(&self) -> bool {
        let Head { hidden, weight, bias, .. } = &self.head;
        hidden.is_tracked() || weight.is_tracked() || bias.as_ref().is_some_and(AnyTensor::is_tracked)
    }

    fn untracked(&self) -> AnyTensor {
        let Head { hidden, weight, bias, soft_cap } = &self.head;
        let head = Head {
            hidden: hidden.untracked(),
            weight: weight.untracked(),
            bias: bias.as_ref().map(AnyTensor::untracked),
            soft_cap: *soft_cap,
        };
        let whole = self.whole.get().map(AnyTensor::untracked).map_or_else(OnceLock::new, OnceLock::from);
        let (lead, rows, tokens, vocab) = (self.lead.clone(), self.rows.clone(), self.tokens, self.vocab);
        AnyTensor::of_deferred(Self { head, lead, rows, tokens, vocab, whole })
    }

    /// The logits, made when they are first asked for.
    fn whole(&self) -> Result<AnyTensor> {
        if let Some(whole) = self.whole.get() {
            return Ok(whole.clone());
        }
        admit("logits", &self.shape(), self.dtype())?;
        let all: Vec<usize> = (0..self.positions()).collect();
        let made = self.logits(&all)?.view("logits", &self.shape())?;
        Ok(self.whole.get_or_init(|| made).clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Lazy {
    /// How many hidden states there are, padding not among them.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    pub(crate) fn positions(&self) -> usize {
        self.lead.iter().product()
    }

    /// The hidden state at a position; `None` on padding.
    pub(crate) fn row(&self, position: usize) -> Option<usize> {
        match &self.rows {
            None => Some(position),
            Some(rows) => rows[position].map(|row| row as usize),
        }
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// The logits of some positions, `[positions, vocab]`.
    pub(crate) fn logits(&self, positions: &[usize]) -> Result<AnyTensor> {
        let op = "logits";
        let shape = [positions.len(), self.vocab];
        admit(op, &shape, self.dtype())?;
        if positions.is_empty() {
            return full(&shape, 0.0, self.dtype(), &self.device());
        }
        let Head { hidden, weight, bias, soft_cap } = &self.head;
        let rows: Vec<Option<usize>> = positions.iter().map(|position| self.row(*position)).collect();
        let padded = rows.contains(&None);
        // Padding reads a row of zeros.
        let nothing = || full(&[1, hidden.shape()[1]], 0.0, hidden.dtype(), &hidden.untracked().device());
        let source = if padded { cat(&[hidden, &nothing()?], 0)? } else { hidden.clone() };
        let read = source.rows_at(rows.iter().map(|row| row.unwrap_or(self.tokens)))?;
        let mut logits = AnyTensor::make(op, &shape, || Dispatch::head_logits(read.raw(), weight.raw()))?;
        if let Some(bias) = bias {
            logits = logits.add(bias)?;
            if padded {
                let real = rows.iter().map(|row| f32::from(u8::from(row.is_some()))).collect();
                let real = from_float32(real, &[rows.len(), 1], &hidden.untracked().device())?.cast(self.dtype())?;
                logits = logits.mul(&real)?;
            }
        }
        match soft_cap {
            Some(cap) => logits.mul_scalar(1.0 / cap)?.tanh()?.mul_scalar(*cap),
            None => Ok(logits),
        }
    }
}

impl AnyTensor {
    /// The head that these logits are of, when they may not be there.
    pub(crate) fn lazy(&self) -> Option<&Lazy> {
        self.deferred()?.as_any().downcast_ref()
    }

    /// Entries of the first dimension, in this order; the tensor itself when that is all of them as they are.
    pub(crate) fn rows_at(&self, rows: impl ExactSizeIterator<Item = usize>) -> Result<Self> {
        let rows: Vec<i64> = rows.map(|row| row as i64).collect();
        let count = self.shape()[0];
        if rows.len() == count && rows.iter().enumerate().all(|(i, row)| i as i64 == *row) {
            return Ok(self.clone());
        }
        self.index_select(0, &from_int64(rows.clone(), &[rows.len()], &self.untracked().device())?)
    }
}
