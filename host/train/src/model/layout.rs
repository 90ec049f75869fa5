//! Where the tokens of a batch lie: one flat list, without padding.
//!
//! A batch holds *sequences*, one after the other. A sequence holds one *document*, or
//! several that were packed into it. Tokens attend to their own document only, and
//! positions count from the start of it, so packing changes no result. A document is
//! what one row of the batch gave; a row may give several.
//!
//! Hidden states are `[tokens, width]` through the whole network. Tensors with a
//! place for every sequence and position (`[sequences, longest, width]`) exist only
//! where somebody asks for them, made by [`Layout::pad`].
//!
//! Invariants: sequences and documents are not empty, and every sequence begins with
//! a document. Price: padding a ragged batch copies it twice.

use std::ops::Range;

use burn::tensor::{Int, Tensor, TensorData};
use retune_tensor::{Device, transfer};

use super::nn::lookup;

/// Offsets of sequences and documents in one flat list of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Sequence `i` is `sequences[i]..sequences[i + 1]`.
    sequences: Vec<usize>,
    /// Document `i` is `documents[i]..documents[i + 1]`.
    documents: Vec<usize>,
    /// The row that each document came from.
    rows: Vec<usize>,
    /// Place of each token in its document.
    positions: Vec<u32>,
    /// Segment of each token; empty when all are zero.
    segments: Vec<u8>,
}

impl Layout {
    /// One sequence of one document for each row, of these lengths.
    ///
    /// ```
    /// # use retune_train::model::Layout;
    /// let layout = Layout::new([2, 3]);
    /// assert_eq!((layout.tokens(), layout.longest()), (5, 3));
    /// assert_eq!(layout.positions(), [0, 1, 0, 1, 2]);
    /// ```
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        Self::packed(lengths.into_iter().map(|length| vec![length]))
    }

    /// Several documents in a sequence, each given by its length; sequence `i` is row `i` of the batch.
    pub fn packed(sequences: impl IntoIterator<Item = Vec<usize>>) -> Self {
        let mut layout = Self {
            sequences: vec![0],
            documents: vec![0],
            rows: Vec::new(),
            positions: Vec::new(),
            segments: Vec::new(),
        };
        for (row, lengths) in sequences.into_iter().enumerate() {
            for length in lengths.into_iter().filter(|length| *length > 0) {
                layout.rows.push(row);
                layout.positions.extend(0..length as u32);
                layout.documents.push(layout.positions.len());
            }
            if layout.sequences.last() != Some(&layout.positions.len()) {
                layout.sequences.push(layout.positions.len());
            }
        }
        layout
    }

    /// One sequence of one document for each pair: so many tokens, behind so many that were read before.
    pub(super) fn continued(pieces: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let (lengths, read): (Vec<usize>, Vec<usize>) = pieces.into_iter().unzip();
        let mut layout = Self::new(lengths);
        let bounds = layout.documents.clone();
        for (pair, read) in bounds.windows(2).zip(read) {
            layout.positions[pair[0]..pair[1]].iter_mut().for_each(|position| *position += read as u32);
        }
        layout
    }

    /// Tokens of the document that `span` is the end of, those before the span included.
    pub(super) fn reach(&self, span: &Range<usize>) -> usize {
        span.end.checked_sub(1).map_or(0, |last| self.positions[last] as usize + 1)
    }

    /// The same with a segment for each token; all zero is the same as none.
    #[must_use]
    pub fn with_segments(mut self, segments: Vec<u8>) -> Self {
        debug_assert_eq!(segments.len(), self.tokens());
        self.segments = if segments.iter().all(|segment| *segment == 0) { Vec::new() } else { segments };
        self
    }

    /// Number of tokens, all of them real.
    pub fn tokens(&self) -> usize {
        self.positions.len()
    }

    /// Number of sequences.
    pub fn len(&self) -> usize {
        self.sequences.len() - 1
    }

    /// True without sequences.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of each sequence.
    pub fn lengths(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.sequences.windows(2).map(|pair| pair[1] - pair[0])
    }

    /// Tokens of the longest sequence.
    pub fn longest(&self) -> usize {
        self.lengths().max().unwrap_or(0)
    }

    /// Where sequences begin, and where the last one ends.
    pub fn sequences(&self) -> &[usize] {
        &self.sequences
    }

    /// Where documents begin, and where the last one ends: the spans of attention.
    pub fn documents(&self) -> &[usize] {
        &self.documents
    }

    /// The tokens of each document.
    pub fn spans(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        self.documents.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The row of the batch that each document came from.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Place of each token in its document.
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// Segment of each token; `None` when all are zero.
    pub fn segments(&self) -> Option<&[u8]> {
        (!self.segments.is_empty()).then_some(&self.segments)
    }

    /// Whether sequences are equally long, so that padding is a change of shape alone.
    pub fn is_even(&self) -> bool {
        self.len() * self.longest() == self.tokens()
    }

    /// One value per token to one per place, `[sequences, longest]` in row-major order,
    /// with `padding` where there is no token.
    pub fn pad_values<T: Clone>(&self, values: &[T], padding: T) -> Vec<T> {
        let longest = self.longest();
        let mut padded = Vec::with_capacity(self.len() * longest);
        for pair in self.sequences.windows(2) {
            padded.extend_from_slice(&values[pair[0]..pair[1]]);
            padded.extend(std::iter::repeat_n(padding.clone(), longest + pair[0] - pair[1]));
        }
        padded
    }

    /// `[tokens, width]` to `[sequences, longest, width]`, zero where there is no token. The
    /// gradient of those places goes nowhere.
    pub fn pad(&self, x: Tensor<2>) -> Tensor<3> {
        let [tokens, width] = x.dims();
        let shape = [self.len(), self.longest(), width];
        if self.is_even() {
            return x.reshape(shape);
        }
        let device = x.device();
        let places: Vec<i64> = (0..tokens as i64).collect();
        let places = indices(self.pad_values(&places, tokens as i64), &device);
        let zeros = Tensor::zeros([1, width], &device);
        lookup(Tensor::cat(vec![x, zeros], 0), places).reshape(shape)
    }

    /// `[sequences, longest, width]` to `[tokens, width]`: undoes [`Layout::pad`].
    pub fn unpad(&self, x: Tensor<3>) -> Tensor<2> {
        let [sequences, longest, width] = x.dims();
        let x = x.reshape([sequences * longest, width]);
        if self.is_even() {
            return x;
        }
        let real = self.pad_values(&vec![true; self.tokens()], false);
        let places = real.iter().enumerate().filter(|(_, real)| **real).map(|(place, _)| place as i64).collect();
        let device = x.device();
        lookup(x, indices(places, &device))
    }
}

/// Whole numbers below 2³¹ on a device, `[count]`.
pub(super) fn indices(values: Vec<i64>, device: &Device) -> Tensor<1, Int> {
    let count = values.len();
    let values: Vec<i32> = values.into_iter().map(|value| value as i32).collect();
    transfer::sent::<i32>(count);
    Tensor::from_data(TensorData::new(values, [count]), device)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Batches of one to six sequences of one to four documents, from a small stream.
    fn some() -> impl Iterator<Item = Layout> {
        let mut state = 11u64;
        let mut below = move |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % bound) as usize
        };
        (0..40).map(move |_| {
            let sequences = 1 + below(6);
            Layout::packed(
                (0..sequences)
                    .map(|_| {
                        let documents = 1 + below(4);
                        (0..documents).map(|_| 1 + below(5)).collect()
                    })
                    .collect::<Vec<_>>(),
            )
        })
    }

    fn numbers(tokens: usize) -> Tensor<2> {
        let values: Vec<f32> = (0..tokens * 2).map(|i| 1.0 + i as f32).collect();
        Tensor::from_data(TensorData::new(values, [tokens, 2]), &Device::flex())
    }

    fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        x.into_data().try_into_vec().unwrap()
    }

    #[test]
    fn every_token_has_one_place_in_one_document_of_one_sequence() {
        for layout in some() {
            assert_eq!(layout.lengths().sum::<usize>(), layout.tokens());
            assert_eq!(layout.spans().map(|span| span.len()).sum::<usize>(), layout.tokens());
            let bounds = layout.sequences().iter().all(|bound| layout.documents().contains(bound));
            assert!(bounds, "a sequence begins and ends with a document: {layout:?}");
            for (document, span) in layout.spans().enumerate() {
                assert_eq!(layout.positions()[span.clone()], (0..span.len() as u32).collect::<Vec<_>>());
                let sequence = layout.sequences().partition_point(|start| *start <= span.start) - 1;
                assert_eq!(layout.rows()[document], sequence);
            }
        }
    }

    #[test]
    fn unpad_undoes_pad_and_padding_is_zero() {
        for layout in some() {
            let x = numbers(layout.tokens());
            let padded = layout.pad(x.clone());
            assert_eq!(padded.dims(), [layout.len(), layout.longest(), 2]);
            let zeros = values(padded.clone()).iter().filter(|x| **x == 0.0).count();
            assert_eq!(zeros, 2 * (layout.len() * layout.longest() - layout.tokens()));
            assert_eq!(values(layout.unpad(padded)), values(x));
        }
    }

    #[test]
    fn padded_tensors_and_padded_values_have_the_same_places() {
        for layout in some() {
            let x = numbers(layout.tokens());
            let first: Vec<f32> = values(x.clone()).chunks(2).map(|pair| pair[0]).collect();
            let padded: Vec<f32> = values(layout.pad(x)).chunks(2).map(|pair| pair[0]).collect();
            assert_eq!(padded, layout.pad_values(&first, 0.0));
        }
    }

    #[test]
    fn a_token_gets_the_gradient_of_its_place_and_of_no_padding() {
        for layout in some() {
            let x = numbers(layout.tokens()).autodiff().require_grad();
            let padded = layout.pad(x.clone());
            let factors: Vec<f32> = (0..padded.shape().num_elements()).map(|i| 3.0 + i as f32).collect();
            let factors = Tensor::<3>::from_data(TensorData::new(factors, padded.dims()), &Device::flex());
            let expected = values(layout.unpad(factors.clone()));
            let gradients = (padded * factors.clone()).sum().backward();
            assert_eq!(values(x.grad(&gradients).unwrap()), expected);

            let y = factors.clone().autodiff().require_grad();
            let weight = numbers(layout.tokens());
            let gradients = (layout.unpad(y.clone()) * weight.clone()).sum().backward();
            assert_eq!(values(y.grad(&gradients).unwrap()), values(layout.pad(weight)));
        }
    }

    #[test]
    fn segments_that_are_all_zero_are_none() {
        let layout = Layout::new([2, 1]);
        assert_eq!(layout.clone().with_segments(vec![0; 3]), layout);
        assert_eq!(layout.with_segments(vec![0, 1, 0]).segments(), Some(&[0, 1, 0][..]));
    }
}
