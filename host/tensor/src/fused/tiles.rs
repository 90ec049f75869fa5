//! A head's logits in tiles.
//!
//! A tile is [`ROWS`] rows of [`COLUMNS`] classes. It is made by a matrix
//! product, visited, and overwritten by the next. Columns are the outer loop, so that a
//! block of the weight and of its gradient is read from memory once. Work is cut the
//! same way for any number of threads, and so are the results.
//!
//! Price: 2 MiB for the tile; of a weight that is kept in bfloat16, as much as a block of it takes in float32.

use std::ops::Range;

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, TensorData, bf16};
use rayon::prelude::*;

use super::fold::Slope;
use super::score::{Head, Score};
use super::wide;
use crate::narrow::widen_into;
use crate::product::{Matrix, multiply};
use crate::wide::accumulate;

/// Elements a thread takes at least: some ten microseconds of work.
pub(super) const GRAIN: usize = 1 << 14;

/// The elements of a dense tensor.
macro_rules! elements {
    ($tensor:expr, $element:ty) => {{
        let start = $tensor.layout().start_offset();
        &$tensor.storage::<$element>()[start..start + $tensor.layout().num_elements()]
    }};
}
pub(super) use elements;

pub(super) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Rows of a tile that a thread takes at a time.
pub(super) fn lines(columns: usize) -> usize {
    (GRAIN / columns.max(1)).max(1)
}

/// Rows and columns of a tile.
pub(super) const ROWS: usize = 256;
pub(super) const COLUMNS: usize = 2048;

/// A weight as it is kept.
#[derive(Clone, Copy)]
enum Kept<'a> {
    Wide(&'a [f32]),
    Narrow(&'a [bf16]),
}

impl<'a> Kept<'a> {
    /// A part of it in float32; `memory` is for one that has to be widened.
    fn part<'b>(self, part: Range<usize>, memory: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        match self {
            Self::Wide(values) => &values[part],
            Self::Narrow(values) => {
                memory.resize(part.len(), 0.0);
                widen_into(&values[part], memory);
                memory
            }
        }
    }
}

/// A head in plain slices.
pub(super) struct Plain<'a> {
    hidden: &'a [f32],
    weight: Kept<'a>,
    bias: &'a [f32],
    cap: f32,
    width: usize,
    pub(super) vocab: usize,
}

impl<'a> Plain<'a> {
    pub(super) fn of(head: &'a Head<Flex>) -> Self {
        let [vocab, width] = head.weight.shape().dims();
        Self {
            hidden: elements!(head.hidden, f32),
            weight: match head.weight.dtype() {
                DType::BF16 => Kept::Narrow(elements!(head.weight, bf16)),
                _ => Kept::Wide(elements!(head.weight, f32)),
            },
            bias: elements!(head.bias, f32),
            cap: head.cap as f32,
            width,
            vocab,
        }
    }

    /// Logits of all rows, a tile after the other: its rows, its columns, its values, and the weight's rows for these columns.
    pub(super) fn tiles(&self, mut visit: impl FnMut(Range<usize>, Range<usize>, &mut [f32], Matrix<'_>)) {
        let (width, count) = (self.width, self.hidden.len() / self.width.max(1));
        let mut memory = vec![0.0f32; ROWS.min(count) * COLUMNS.min(self.vocab)];
        let mut wide = Vec::new();
        for first in (0..self.vocab).step_by(COLUMNS) {
            let across = first..(first + COLUMNS).min(self.vocab);
            let weight = Matrix::rows(self.weight.part(across.start * width..across.end * width, &mut wide), width);
            for row in (0..count).step_by(ROWS) {
                let rows = row..(row + ROWS).min(count);
                let hidden = Matrix::rows(&self.hidden[rows.start * width..rows.end * width], width);
                let tile = &mut memory[..rows.len() * across.len()];
                multiply(tile, [rows.len(), width, across.len()], hidden, weight.transposed(), false);
                visit(rows, across.clone(), tile, weight);
            }
        }
    }

    /// Adds the bias and bends the logits of one row.
    pub(super) fn complete(&self, row: &mut [f32], across: &Range<usize>) {
        if !self.bias.is_empty() {
            accumulate(row, &self.bias[across.clone()]);
        }
        if self.cap != 0.0 {
            wide::soft_cap(row, self.cap);
        }
    }
}

/// Gradients of hidden states, weight and bias; `slopes` are the rows that carry one.
pub(super) fn head_gradients(
    plain: Plain<'_>,
    slopes: &[(usize, Slope)],
    score: Score,
    [wants_hidden, wants_weight, wants_bias]: [bool; 3],
) -> [Option<FlexTensor>; 3] {
    let (width, vocab, count) = (plain.width, plain.vocab, plain.hidden.len() / plain.width.max(1));
    let zeros = |wanted: bool, length: usize| if wanted { vec![0f32; length] } else { Vec::new() };
    let mut weight_grad = zeros(wants_weight, vocab * width);
    let mut bias_grad = zeros(wants_bias, vocab);
    let mut carried_grad = zeros(wants_hidden, slopes.len() * width);
    // Only the rows that carry a gradient, one after the other.
    let row_of = |values: &[f32], i: usize| values[i * width..(i + 1) * width].to_vec();
    let gathered: Vec<f32>;
    let carried = if slopes.len() == count {
        plain.hidden
    } else {
        gathered = slopes.iter().flat_map(|(i, _)| row_of(plain.hidden, *i)).collect();
        &gathered
    };
    let plain = Plain { hidden: carried, ..plain };
    plain.tiles(|rows, across, tile, weight| {
        tile.par_chunks_mut(across.len()).zip(&slopes[rows.clone()]).with_min_len(lines(across.len())).for_each(
            |(row, (_, slope))| {
                plain.complete(row, &across);
                slope.apply(row, across.start, vocab, plain.cap, score);
            },
        );
        let weights = across.start * width..across.end * width;
        let hidden = rows.start * width..rows.end * width;
        let grad = Matrix::rows(tile, across.len());
        if wants_hidden {
            let to = &mut carried_grad[hidden.clone()];
            multiply(to, [rows.len(), across.len(), width], grad, weight, true);
        }
        if wants_weight {
            let hidden = Matrix::rows(&plain.hidden[hidden], width);
            let to = &mut weight_grad[weights];
            multiply(to, [across.len(), rows.len(), width], grad.transposed(), hidden, true);
        }
        if wants_bias {
            tile.chunks(across.len()).for_each(|row| accumulate(&mut bias_grad[across.clone()], row));
        }
    });
    let hidden_grad = wants_hidden.then(|| {
        if slopes.len() == count {
            return tensor(carried_grad, [count, width]);
        }
        let mut all = vec![0f32; count * width];
        for ((i, _), row) in slopes.iter().zip(carried_grad.chunks(width)) {
            all[i * width..(i + 1) * width].copy_from_slice(row);
        }
        tensor(all, [count, width])
    });
    [
        hidden_grad,
        wants_weight.then(|| tensor(weight_grad, [vocab, width])),
        wants_bias.then(|| tensor(bias_grad, [vocab])),
    ]
}
