//! Dropout, a residual sum and its norm as one pass over rows, forward and backward, for either norm.
//!
//! A row of the sum is normed while it is in the cache. Backward, the gradient that comes through the norm and the one
//! of the sum itself are added where the first is made. Gradients of row vectors (scale, shift) are summed by bands
//! of rows, and the bands in order, so that results are the same bits for any number of threads.

use burn::backend::TensorMetadata;
use rayon::prelude::*;
use retune_tensor::wide::accumulate;

use super::flat::{BAND, Flat, add_up, like, owned, rows, values};
use super::spans::DroppedLines;
use super::wide;

/// `norm(sum, out)` of every row of `x`, with dropout where there is one, plus `residual`; and the sum.
pub(super) fn forward(
    x: Flat,
    residual: Flat,
    dropout: Option<&DroppedLines>,
    norm: impl Fn(&[f32], &mut [f32]) + Sync,
) -> (Flat, Flat) {
    let (mut sum, residual) = (owned(x), residual.to_contiguous());
    let width = sum.shape()[1];
    let mut out = like(&sum);
    out.storage_mut::<f32>()
        .par_chunks_mut(width)
        .zip(sum.storage_mut::<f32>().par_chunks_mut(width).zip(values(&residual).par_chunks(width)))
        .enumerate()
        .with_min_len(rows(width))
        .for_each_init(
            || vec![0.0; width],
            |factors, (line, (out, (sum, residual)))| {
                if let Some(dropout) = dropout {
                    dropout.fill(line, factors);
                    wide::scale(sum, factors);
                }
                accumulate(sum, residual);
                norm(sum, out);
            },
        );
    (out, sum)
}

/// Gradients of [`forward`] for `x` and `residual`, and the `N` of the norm's row vectors.
/// `norm(sum, grad, out, sums)` writes the gradient of a row of the sum and adds to those of the row vectors;
/// `sum_grad` is what the sum got from elsewhere.
pub(super) fn backward<const N: usize>(
    sum: Flat,
    grad: Flat,
    sum_grad: Option<Flat>,
    dropout: Option<&DroppedLines>,
    norm: impl Fn(&[f32], &[f32], &mut [f32], &mut [Vec<f32>; N]) + Sync,
) -> (Flat, Flat, [Flat; N]) {
    let (sum, grad) = (sum.to_contiguous(), grad.to_contiguous());
    let sum_grad = sum_grad.map(|grad| grad.to_contiguous());
    let width = sum.shape()[1];
    let band = BAND * width.max(1);
    let mut residual_grad = like(&sum);
    let mut x_grad = dropout.map(|_| like(&sum));
    let bands: Vec<Vec<Vec<f32>>> = {
        let count = values(&sum).len().div_ceil(band);
        let dropped: Vec<&mut [f32]> = match &mut x_grad {
            Some(x_grad) => x_grad.storage_mut::<f32>().chunks_mut(band).collect(),
            None => (0..count).map(|_| Default::default()).collect(),
        };
        let further = sum_grad.as_ref().map(values);
        let ins = values(&sum).par_chunks(band).zip(values(&grad).par_chunks(band));
        residual_grad
            .storage_mut::<f32>()
            .par_chunks_mut(band)
            .zip(dropped.into_par_iter().zip(ins))
            .enumerate()
            .map(|(index, (out, (dropped, (sum, grad))))| {
                let mut sums = [(); N].map(|()| vec![0.0; width]);
                let lines = out.chunks_mut(width).zip(sum.chunks(width).zip(grad.chunks(width)));
                for (line, (out, (sum, grad))) in lines.enumerate() {
                    norm(sum, grad, out, &mut sums);
                    let row = index * BAND + line;
                    if let Some(further) = further {
                        accumulate(out, &further[row * width..][..width]);
                    }
                    if let Some(dropout) = dropout {
                        let dropped = &mut dropped[line * width..][..width];
                        dropout.fill(row, dropped);
                        wide::scale(dropped, out);
                    }
                }
                sums.into()
            })
            .collect()
    };
    (x_grad.unwrap_or_else(|| residual_grad.clone()), residual_grad, add_up(bands, width))
}
