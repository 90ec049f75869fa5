//! Where the heads of a `[tokens, heads * width]` matrix lie: read as views, written by several threads at once.
//!
//! Attention leaves heads side by side, as the projections made them, so that nothing is copied to turn them round.

use std::ops::Range;

use burn::backend::TensorMetadata;

use super::block_product::Matrix;
use super::flat::Flat;

/// A matrix whose columns are adjacent; rows are `stride` apart.
pub(super) struct Rows {
    tensor: Flat,
    start: usize,
    stride: usize,
}

impl Rows {
    pub(super) fn new(tensor: Flat) -> Self {
        let strides = tensor.layout().strides();
        let tensor = if strides[1] == 1 && strides[0] > 0 { tensor } else { tensor.to_contiguous() };
        let (start, stride) = (tensor.layout().start_offset(), tensor.layout().strides()[0] as usize);
        Self { tensor, start, stride }
    }

    /// Rows `span` of the columns of one head.
    pub(super) fn head(&self, span: &Range<usize>, head: usize, width: usize) -> Matrix<'_> {
        let start = self.start + span.start * self.stride + head * width;
        let end = start + (span.len() - 1) * self.stride + width;
        Matrix { data: &self.tensor.storage::<f32>()[start..end], stride: self.stride }
    }
}

/// A result that pieces of work write disjoint parts of.
pub(super) struct Target {
    data: *mut f32,
    length: usize,
    pub(super) stride: usize,
}

// SAFETY: pieces of work write disjoint spans or heads, see `Target::head`.
unsafe impl Sync for Target {}

impl Target {
    pub(super) fn new(tensor: &mut Flat) -> Self {
        let stride = tensor.shape()[1];
        let data = tensor.storage_mut::<f32>();
        Self { data: data.as_mut_ptr(), length: data.len(), stride }
    }

    /// From row `row` of a head on.
    pub(super) fn head(&self, row: usize, head: usize, width: usize) -> *mut f32 {
        let start = row * self.stride + head * width;
        assert!(start + width <= self.length);
        // SAFETY: within the allocation.
        unsafe { self.data.add(start) }
    }
}
