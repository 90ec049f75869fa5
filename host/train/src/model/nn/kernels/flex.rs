//! The kernels on the CPU: rows in parallel, each row one pass. While the CPU is to compute as other devices do, each
//! gives what these give.

use std::sync::Arc;

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::Shape;
use rayon::prelude::*;
use retune_tensor::device::portable;
use retune_tensor::product::product;
use retune_tensor::wide::accumulate;

use super::flat::{BAND, Flat, PIECE, add_up, by_piece, filled, like, matrix, owned, rows, values, zeros};
use super::operations::Kernels;
use super::spans::{DroppedLines, Spans};
use super::{attention, composed, padded_attention, residual, wide};

impl Kernels for Flex {
    /// As burn's own, into floats (see [`zeros`]), and in pieces (see [`product`]).
    fn product(a: Flat, b: Flat) -> Flat {
        if portable() {
            return Self::float_matmul(a, b);
        }
        let ([m, k], [inner, n]) = (a.shape().dims::<2>(), b.shape().dims::<2>());
        assert_eq!(k, inner, "a product of [{m}, {k}] and [{inner}, {n}]");
        filled(product([m, k, n], matrix(&a), matrix(&b)), m, n)
    }

    /// Touches the rows that were read and no others: the rest of a large table stays unwritten zeros. A row's sum goes
    /// in the order of the tokens, on one thread.
    fn lookup_backward(ids: Flat, grad: Flat, rows: usize) -> Flat {
        if portable() {
            return composed::lookup_backward::<Self>(ids, grad, rows);
        }
        let (ids, grad) = (ids.to_contiguous(), grad.to_contiguous());
        let width = grad.shape()[1];
        let mut read: Vec<(usize, usize)> = match (ids.as_slice::<i32>(), ids.as_slice::<i64>()) {
            (Some(ids), _) => ids.iter().enumerate().map(|(token, id)| (*id as usize, token)).collect(),
            (_, Some(ids)) => ids.iter().enumerate().map(|(token, id)| (*id as usize, token)).collect(),
            _ => return composed::lookup_backward::<Self>(ids, grad, rows),
        };
        read.sort_unstable();
        let (read, grad) = (&read, values(&grad));
        let mut out = zeros(Shape::new([rows, width]));
        out.storage_mut::<f32>().par_chunks_mut(BAND * width.max(1)).enumerate().for_each(|(band, table)| {
            let first = band * BAND;
            let of_band = &read[read.partition_point(|(id, _)| *id < first)..];
            for (id, token) in of_band.iter().take_while(|(id, _)| *id < first + BAND) {
                let row = &mut table[(id - first) * width..][..width];
                accumulate(row, &grad[token * width..][..width]);
            }
        });
        out
    }

    fn column_sum(x: Flat) -> Flat {
        if portable() {
            return composed::column_sum::<Self>(x);
        }
        let x = x.to_contiguous();
        let width = x.shape()[1];
        let bands: Vec<Vec<Vec<f32>>> = values(&x)
            .par_chunks(BAND * width)
            .map(|band| {
                let mut sum = vec![0.0; width];
                band.chunks(width).for_each(|row| accumulate(&mut sum, row));
                vec![sum]
            })
            .collect();
        let [sum] = add_up(bands, width);
        sum
    }

    fn exact_gelu(x: Flat) -> Flat {
        if portable() {
            return composed::exact_gelu::<Self>(x);
        }
        by_piece(&x.to_contiguous(), wide::gelu)
    }

    fn exact_gelu_backward(x: Flat, grad: Flat) -> Flat {
        if portable() {
            return composed::exact_gelu_backward::<Self>(x, grad);
        }
        let (x, grad) = (x.to_contiguous(), grad.to_contiguous());
        let mut out = like(&x);
        out.storage_mut::<f32>()
            .par_chunks_mut(PIECE)
            .zip(values(&x).par_chunks(PIECE).zip(values(&grad).par_chunks(PIECE)))
            .for_each(|(out, (x, grad))| wide::gelu_backward(x, grad, out));
        out
    }

    fn affine_norm(x: Flat, scale: Flat, shift: Flat, epsilon: f32) -> Flat {
        if portable() {
            return composed::affine_norm::<Self>(x, scale, shift, epsilon);
        }
        let (x, scale, shift) = (x.to_contiguous(), scale.to_contiguous(), shift.to_contiguous());
        let width = x.shape()[1];
        let mut out = like(&x);
        out.storage_mut::<f32>()
            .par_chunks_mut(width)
            .zip(values(&x).par_chunks(width))
            .with_min_len(rows(width))
            .for_each(|(out, x)| wide::affine_norm(x, values(&scale), values(&shift), epsilon, out));
        out
    }

    fn affine_norm_backward(x: Flat, scale: Flat, grad: Flat, epsilon: f32) -> (Flat, Flat, Flat) {
        if portable() {
            return composed::affine_norm_backward::<Self>(x, scale, grad, epsilon);
        }
        let (_, x, scale, shift) = Self::drop_add_norm_backward(x, scale, grad, epsilon, None);
        (x, scale, shift)
    }

    fn drop_lines(x: Flat, dropout: Arc<DroppedLines>) -> Flat {
        if portable() {
            return composed::drop_lines::<Self>(x, Some(&dropout));
        }
        let mut x = owned(x);
        let width = x.shape()[1];
        x.storage_mut::<f32>().par_chunks_mut(width.max(1)).enumerate().with_min_len(rows(width)).for_each_init(
            || vec![0.0; width],
            |factors, (line, x)| {
                dropout.fill(line, factors);
                wide::scale(x, factors);
            },
        );
        x
    }

    fn sum_of(x: Flat, y: Flat) -> Flat {
        if portable() {
            return Self::float_add(x, y);
        }
        let (mut x, y) = (owned(x), y.to_contiguous());
        let values = values(&y);
        x.storage_mut::<f32>().par_chunks_mut(PIECE).zip(values.par_chunks(PIECE)).for_each(|(x, y)| accumulate(x, y));
        x
    }

    fn drop_add_norm(
        x: Flat,
        residual: Flat,
        scale: Flat,
        shift: Flat,
        epsilon: f32,
        dropout: Option<Arc<DroppedLines>>,
    ) -> (Flat, Flat) {
        if portable() {
            return composed::drop_add_norm::<Self>(x, residual, scale, shift, epsilon, dropout.as_deref());
        }
        let (scale, shift) = (scale.to_contiguous(), shift.to_contiguous());
        residual::forward(x, residual, dropout.as_deref(), |sum, out| {
            wide::affine_norm(sum, values(&scale), values(&shift), epsilon, out);
        })
    }

    fn drop_add_norm_backward(
        sum: Flat,
        scale: Flat,
        grad: Flat,
        epsilon: f32,
        dropout: Option<Arc<DroppedLines>>,
    ) -> (Flat, Flat, Flat, Flat) {
        if portable() {
            return composed::drop_add_norm_backward::<Self>(sum, scale, grad, epsilon, dropout.as_deref());
        }
        let scale = scale.to_contiguous();
        let (x, residual, [scale, shift]) =
            residual::backward(sum, grad, None, dropout.as_deref(), |sum, grad, out, [scale_grad, shift_grad]| {
                wide::affine_norm_backward(sum, values(&scale), grad, epsilon, out, scale_grad, shift_grad);
            });
        (x, residual, scale, shift)
    }

    fn drop_add_root_norm(
        x: Flat,
        residual: Flat,
        scale: Flat,
        epsilon: f32,
        dropout: Option<Arc<DroppedLines>>,
    ) -> (Flat, Flat) {
        if portable() {
            return composed::drop_add_root_norm::<Self>(x, residual, scale, epsilon, dropout.as_deref());
        }
        let scale = scale.to_contiguous();
        residual::forward(x, residual, dropout.as_deref(), |sum, out| {
            wide::root_norm(sum, values(&scale), epsilon, out);
        })
    }

    fn drop_add_root_norm_backward(
        sum: Flat,
        scale: Flat,
        grad: Flat,
        sum_grad: Flat,
        epsilon: f32,
        dropout: Option<Arc<DroppedLines>>,
    ) -> (Flat, Flat, Flat) {
        if portable() {
            return composed::drop_add_root_norm_backward::<Self>(
                sum,
                scale,
                grad,
                sum_grad,
                epsilon,
                dropout.as_deref(),
            );
        }
        let scale = scale.to_contiguous();
        let (x, residual, [scale]) =
            residual::backward(sum, grad, Some(sum_grad), dropout.as_deref(), |sum, grad, out, [scale_grad]| {
                wide::root_norm_backward(sum, values(&scale), grad, epsilon, out, scale_grad);
            });
        (x, residual, scale)
    }

    fn root_norm(x: Flat, scale: Flat, epsilon: f32) -> Flat {
        if portable() {
            return composed::root_norm::<Self>(x, scale, epsilon);
        }
        let (x, scale) = (x.to_contiguous(), scale.to_contiguous());
        let width = x.shape()[1];
        let mut out = like(&x);
        out.storage_mut::<f32>()
            .par_chunks_mut(width)
            .zip(values(&x).par_chunks(width))
            .with_min_len(rows(width))
            .for_each(|(out, x)| wide::root_norm(x, values(&scale), epsilon, out));
        out
    }

    fn root_norm_backward(x: Flat, scale: Flat, grad: Flat, epsilon: f32) -> (Flat, Flat) {
        if portable() {
            return composed::root_norm_backward::<Self>(x, scale, grad, epsilon);
        }
        let scale = scale.to_contiguous();
        let (_, x, [scale]) = residual::backward(x, grad, None, None, |x, grad, out, [scale_grad]| {
            wide::root_norm_backward(x, values(&scale), grad, epsilon, out, scale_grad);
        });
        (x, scale)
    }

    fn gated_silu(gate: Flat, up: Flat) -> Flat {
        if portable() {
            return composed::gated_silu::<Self>(gate, up);
        }
        let (gate, up) = (gate.to_contiguous(), up.to_contiguous());
        let mut out = like(&gate);
        out.storage_mut::<f32>()
            .par_chunks_mut(PIECE)
            .zip(values(&gate).par_chunks(PIECE).zip(values(&up).par_chunks(PIECE)))
            .for_each(|(out, (gate, up))| wide::gated_silu(gate, up, out));
        out
    }

    fn gated_silu_backward(gate: Flat, up: Flat, grad: Flat) -> (Flat, Flat) {
        if portable() {
            return composed::gated_silu_backward::<Self>(gate, up, grad);
        }
        let (gate, up, grad) = (gate.to_contiguous(), up.to_contiguous(), grad.to_contiguous());
        let (mut gate_grad, mut up_grad) = (like(&gate), like(&up));
        let outs = gate_grad
            .storage_mut::<f32>()
            .par_chunks_mut(PIECE)
            .zip(up_grad.storage_mut::<f32>().par_chunks_mut(PIECE));
        let ins =
            values(&gate).par_chunks(PIECE).zip(values(&up).par_chunks(PIECE)).zip(values(&grad).par_chunks(PIECE));
        outs.zip(ins).for_each(|((gate_grad, up_grad), ((gate, up), grad))| {
            wide::gated_silu_backward(gate, up, grad, gate_grad, up_grad);
        });
        (gate_grad, up_grad)
    }

    fn attend(q: Flat, k: Flat, v: Flat, spans: Arc<Spans>) -> Flat {
        if portable() {
            return padded_attention::forward::<Self>(q, k, v, &spans);
        }
        attention::forward(q, k, v, &spans)
    }

    fn attend_backward(q: Flat, k: Flat, v: Flat, grad: Flat, spans: Arc<Spans>) -> (Flat, Flat, Flat) {
        if portable() {
            return padded_attention::backward::<Self>(q, k, v, grad, &spans);
        }
        attention::backward(q, k, v, grad, &spans)
    }

    /// In the memory of `x`, when nobody else holds it.
    fn turn_pairs(x: Flat, cos: Flat, sin: Flat, back: bool) -> Flat {
        if portable() {
            return composed::turn_pairs::<Self>(x, cos, sin, back);
        }
        let (mut x, cos, sin) = (owned(x), cos.to_contiguous(), sin.to_contiguous());
        let (all, half) = (x.shape()[1], cos.shape()[1]);
        let (cos, sin) = (values(&cos), values(&sin));
        let sign = if back { -1.0 } else { 1.0 };
        let angles = cos.par_chunks(half).zip(sin.par_chunks(half));
        x.storage_mut::<f32>().par_chunks_mut(all).zip(angles).with_min_len(rows(all)).for_each(|(x, (cos, sin))| {
            x.chunks_exact_mut(2 * half).for_each(|head| wide::turn_pairs(head, cos, sin, sign));
        });
        x
    }
}
