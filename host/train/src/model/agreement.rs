//! Single kernels on a device, for those who compare it with another: `retune self-check` and tests.
//!
//! Inputs are functions of nothing but their sizes, so that any two devices may be asked alike.

use std::iter::repeat_n;

use burn::tensor::{Tensor, TensorData};
use retune_tensor::{AnyTensor, Device, random};

use super::ModelError;
use super::mask::{Rate, Site};
use super::nn::{Documents, Dropped, DroppedLines, Pattern, Spans, attention, drop_lines};

/// A dropout that no model uses.
const SITE: Site = 4711;

/// A call of attention: documents of these lengths, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct AttentionCase<'a> {
    /// Tokens of each document.
    pub lengths: &'a [usize],
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub width: usize,
    /// Whether a token sees only what is before it.
    pub causal: bool,
    /// How far a token sees, itself included: before it, and after it where it sees that.
    pub window: Option<usize>,
    /// Scores become `cap tanh(score / cap)`.
    pub soft_cap: Option<f32>,
    /// The share of probabilities that drop out.
    pub dropout: f64,
}

/// The factors by which dropout multiplies hidden states `[lines, width]`, in row-major order.
///
/// # Errors
/// When the device fails, or nothing drops out at this probability.
pub fn dropout_factors(lines: usize, width: usize, dropout: f64, device: &Device) -> Result<Vec<f32>, ModelError> {
    let places = (0..lines as u64).map(|line| (random::bits(1, line), line % 512)).collect();
    let dropped = DroppedLines { rate: rate(dropout)?, site: SITE, places };
    floats(drop_lines(Tensor::ones([lines, width], device), dropped))
}

/// The factors by which dropout multiplies attention's probabilities, document by document, for each head, query and key; read
/// from attention itself, which is given nothing to prefer and values of which each has one.
///
/// # Errors
/// When the device fails, or nothing drops out at this probability.
pub fn probability_factors(case: AttentionCase<'_>, device: &Device) -> Result<Vec<f32>, ModelError> {
    let longest = case.lengths.iter().copied().max().unwrap_or(0);
    let case = AttentionCase { width: longest, kv_heads: case.heads, causal: false, ..case };
    let tokens: usize = case.lengths.iter().sum();
    let shape = [tokens, case.heads * longest];
    let ones = case.lengths.iter().flat_map(|length| 0..*length).flat_map(|key| {
        let line = (0..longest).map(move |column| f32::from(u8::from(column == key)));
        repeat_n(line, case.heads).flatten()
    });
    let values = Tensor::<2>::from_data(TensorData::new(ones.collect::<Vec<f32>>(), shape), device);
    let nothing = Tensor::<2>::zeros(shape, device);
    let out = floats(attention(nothing.clone(), nothing, values, case.spans()?))?;
    // Each probability is one over the length of its document.
    let lengths = case.lengths.iter().flat_map(|length| repeat_n(*length, length * case.heads));
    let lines = lengths.zip(out.chunks(longest.max(1)));
    Ok(lines.flat_map(|(length, line)| line[..length].iter().map(move |x| x * length as f32)).collect())
}

/// What attention gives, and the gradients of its weighted sum for queries, keys and values.
///
/// # Errors
/// When the device fails.
pub fn attended(case: AttentionCase<'_>, device: &Device) -> Result<[Vec<f32>; 4], ModelError> {
    let tokens: usize = case.lengths.iter().sum();
    let device = device.clone().autodiff();
    let matrix = |seed, heads: usize| {
        let shape = [tokens, heads * case.width];
        let values = (0..(shape[0] * shape[1]) as u64).map(|i| random::standard_normal(seed, i) as f32);
        Tensor::<2>::from_data(TensorData::new(values.collect::<Vec<f32>>(), shape), &device)
    };
    let leaves = [(1, case.heads), (2, case.kv_heads), (3, case.kv_heads)];
    let leaves = leaves.map(|(seed, heads)| matrix(seed, heads).require_grad());
    let [q, k, v] = leaves.clone();
    let out = attention(q, k, v, case.spans()?);
    let gradients = (out.clone() * matrix(4, case.heads)).sum().backward();
    let [q, k, v] = leaves.map(|leaf| leaf.grad(&gradients).map_or_else(|| Ok(Vec::new()), floats));
    Ok([floats(out.inner())?, q?, k?, v?])
}

impl<'a> AttentionCase<'a> {
    /// Every token sees all of its document, and nothing drops out. Heads of queries, of keys, and their width.
    pub const fn new(lengths: &'a [usize], [heads, kv_heads, width]: [usize; 3]) -> Self {
        Self { lengths, heads, kv_heads, width, causal: false, window: None, soft_cap: None, dropout: 0.0 }
    }

    fn spans(&self) -> Result<Spans, ModelError> {
        let mut end = 0;
        let spans: Documents = self
            .lengths
            .iter()
            .map(|length| {
                end += length;
                end - length..end
            })
            .collect();
        let dropout = match self.dropout {
            0.0 => None,
            share => {
                let seeds = (0..spans.len() as u64).map(|span| random::bits(2, span)).collect();
                Some(Dropped { rate: rate(share)?, seeds, site: SITE })
            }
        };
        Ok(Spans {
            spans,
            heads: self.heads,
            kv_heads: self.kv_heads,
            pattern: match (self.causal, self.window.map(|window| window.saturating_sub(1))) {
                (true, None) => Pattern::CAUSAL,
                (true, Some(window)) => Pattern::window(window, 0),
                (false, None) => Pattern::FULL,
                (false, Some(window)) => Pattern::window(window, window),
            },
            scale: 1.0 / (self.width as f32).sqrt(),
            soft_cap: self.soft_cap,
            dropout,
        })
    }
}

fn rate(dropout: f64) -> Result<Rate, ModelError> {
    Rate::new(dropout).ok_or_else(|| ModelError::request(format!("at a dropout of {dropout} nothing drops out")))
}

fn floats(x: Tensor<2>) -> Result<Vec<f32>, ModelError> {
    Ok(AnyTensor::from(x).to_float32()?)
}
