//! Dense float32 tensors on the CPU as slices, and loops over their rows.
//!
//! Work is cut into pieces of fixed size, and partial sums are added in order, so
//! results are the same for any number of threads. Sums of at least 16 Ki elements
//! are worth a second thread.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Shape, TensorData};
use rayon::prelude::*;
use retune_tensor::product::Matrix;
use retune_tensor::wide::accumulate;

pub(super) type Flat = FloatTensor<Flex>;

/// Elements a thread takes at a time.
pub(super) const PIECE: usize = 16 * 1024;

/// Rows over which gradients of row vectors are summed before they are added up.
pub(super) const BAND: usize = 64;

pub(super) fn values(tensor: &Flat) -> &[f32] {
    match tensor.as_slice::<f32>() {
        Some(values) => values,
        None => unreachable!("a contiguous float32 tensor"),
    }
}

/// Contiguous without another handle, so that writing to it copies nothing.
pub(super) fn owned(tensor: Flat) -> Flat {
    if tensor.is_contiguous() && tensor.layout().start_offset() == 0 { tensor } else { tensor.to_contiguous() }
}

/// Made from floats, whose memory can be taken back as floats: burn's own constructors make bytes, which
/// are copied both when the tensor is made and when it is taken apart.
pub(super) fn zeros(shape: Shape) -> Flat {
    Flat::from_data(TensorData::new(vec![0.0f32; shape.num_elements()], shape))
}

pub(super) fn like(tensor: &Flat) -> Flat {
    zeros(tensor.shape())
}

pub(super) fn vector(width: usize) -> Flat {
    zeros(Shape::new([width]))
}

/// Rows a thread takes at a time.
pub(super) fn rows(width: usize) -> usize {
    (PIECE / width.max(1)).max(1)
}

/// Runs `op(piece of x, piece of out)` over pieces of both.
pub(super) fn by_piece(x: &Flat, op: impl Fn(&[f32], &mut [f32]) + Sync) -> Flat {
    let mut out = like(x);
    let x = values(x);
    out.storage_mut::<f32>().par_chunks_mut(PIECE).zip(x.par_chunks(PIECE)).for_each(|(out, x)| op(x, out));
    out
}

/// Adds the sums of each band, in the order of the bands.
pub(super) fn add_up<const N: usize>(bands: Vec<Vec<Vec<f32>>>, width: usize) -> [Flat; N] {
    let mut totals = [(); N].map(|()| vector(width));
    for sums in &bands {
        for (total, sum) in totals.iter_mut().zip(sums) {
            accumulate(total.storage_mut::<f32>(), sum);
        }
    }
    totals
}

/// A matrix where it lies; the strides of a view of a tensor here are never negative.
pub(super) fn matrix(tensor: &Flat) -> Matrix<'_> {
    let (layout, storage) = (tensor.layout(), tensor.storage::<f32>());
    let strides = layout.strides();
    Matrix {
        values: &storage[layout.start_offset()..],
        row: strides[0].unsigned_abs(),
        column: strides[1].unsigned_abs(),
    }
}

/// [`zeros`] with values in place of zeros.
pub(super) fn filled(values: Vec<f32>, rows: usize, width: usize) -> Flat {
    Flat::from_data(TensorData::new(values, [rows, width]))
}
