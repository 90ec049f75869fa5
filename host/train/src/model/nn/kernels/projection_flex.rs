//! Projections on the CPU: a piece of a product is finished on the thread that made it.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{DType, bf16};
use rayon::prelude::*;
use retune_tensor::device::portable;
use retune_tensor::narrow::{widen, widened};
use retune_tensor::product::{Matrix, Panel, few_rows_of_narrow, product, product_then, together};
use retune_tensor::wide::accumulate;

use super::composed_projection;
use super::flat::{BAND, Flat, add_up, filled, matrix, values};
use super::operations::Kernels;
use super::projection::Parts;
use super::wide;
use crate::model::shape::Activation;

impl Parts for Flex {
    fn wide(weight: Flat) -> Flat {
        if portable() || weight.dtype() != DType::BF16 {
            return widened::<Self>(weight, DType::F32);
        }
        // Of a matrix that is read by columns, the rows that lie in memory.
        let turned = weight.layout().strides()[0].unsigned_abs() < weight.layout().strides()[1].unsigned_abs();
        let lying = if turned { Self::float_swap_dims(weight, 0, 1) } else { weight };
        let lying = lying.to_contiguous();
        let (start, length) = (lying.layout().start_offset(), lying.layout().num_elements());
        let values = widen(&lying.storage::<bf16>()[start..start + length]);
        let [rows, columns] = lying.shape().dims();
        let wide = filled(values, rows, columns);
        if turned { Self::float_swap_dims(wide, 0, 1) } else { wide }
    }

    fn few_rows(x: &Flat, weight: &Flat) -> Option<Flat> {
        let lies = || weight.is_contiguous() && x.layout().strides()[1] == 1;
        if portable() || weight.dtype() != DType::BF16 || !lies() {
            return None;
        }
        let sizes = sizes(x, weight);
        let weight = &weight.storage::<bf16>()[weight.layout().start_offset()..];
        Some(filled(few_rows_of_narrow(sizes, matrix(x), weight)?, sizes[0], sizes[2]))
    }

    fn biased(x: Flat, weight: Flat, bias: Flat) -> Flat {
        if portable() {
            return composed_projection::biased::<Self>(x, weight, bias);
        }
        let bias = bias.to_contiguous();
        let sizes = sizes(&x, &weight);
        let out = product_then(sizes, matrix(&x), matrix(&weight).transposed(), |panel| {
            let bias = &values(&bias)[panel.columns()];
            panel.lines().for_each(|line| accumulate(line, bias));
        });
        filled(out, sizes[0], sizes[2])
    }

    fn activated(x: Flat, weight: Flat, bias: Flat, activation: Activation) -> [Flat; 2] {
        if portable() {
            return composed_projection::activated::<Self>(x, weight, bias, activation);
        }
        let bias = bias.to_contiguous();
        let (sizes, left, right) = (sizes(&x, &weight), matrix(&x), matrix(&weight).transposed());
        let work = |[mut out, mut before]: [Panel<'_>; 2]| {
            before.multiply(sizes[1], left, right, false);
            let bias = &values(&bias)[before.columns()];
            for (out, before) in out.lines().zip(before.lines()) {
                accumulate(before, bias);
                wide::activate(activation, before, out);
            }
        };
        // SAFETY: `before` is multiplied into, and every line of `out` written.
        let made = unsafe { together(sizes, work) };
        made.map(|part| filled(part, sizes[0], sizes[2]))
    }

    fn gated(x: Flat, gate: Flat, up: Flat) -> [Flat; 3] {
        if portable() {
            return composed_projection::gated::<Self>(x, gate, up);
        }
        let (sizes, left) = (sizes(&x, &gate), matrix(&x));
        let [by_gate, by_up] = [&gate, &up].map(|weight| matrix(weight).transposed());
        let work = |[mut out, mut gate, mut up]: [Panel<'_>; 3]| {
            gate.multiply(sizes[1], left, by_gate, false);
            up.multiply(sizes[1], left, by_up, false);
            for (out, (gate, up)) in out.lines().zip(gate.lines().zip(up.lines())) {
                wide::gated_silu(gate, up, out);
            }
        };
        // SAFETY: `gate` and `up` are multiplied into, and every line of `out` written.
        let made = unsafe { together(sizes, work) };
        made.map(|part| filled(part, sizes[0], sizes[2]))
    }

    fn project_gradients(x: Option<Flat>, weight: Option<Flat>, grad: Flat) -> [Option<Flat>; 2] {
        if portable() {
            return composed_projection::project_gradients::<Self>(x, weight, grad);
        }
        let [tokens, out] = grad.shape().dims();
        let upstream = matrix(&grad);
        let of_x = || {
            let weight = weight.as_ref()?;
            let width = weight.shape()[1];
            Some(filled(product([tokens, out, width], upstream, matrix(weight)), tokens, width))
        };
        let of_weight = || Some(weight_gradient(x.as_ref()?, &grad));
        let (x_grad, weight_grad) = rayon::join(of_x, of_weight);
        [x_grad, weight_grad]
    }

    fn activation_gradients(before: Flat, grad: Flat, activation: Activation) -> [Flat; 2] {
        if portable() {
            return composed_projection::activation_gradients::<Self>(before, grad, activation);
        }
        let (before, grad) = (before.to_contiguous(), grad.to_contiguous());
        let [rows, width] = before.shape().dims();
        let mut out = vec![0.0f32; rows * width];
        let band = BAND * width.max(1);
        let lines = out.par_chunks_mut(band).zip(values(&before).par_chunks(band).zip(values(&grad).par_chunks(band)));
        let sums: Vec<Vec<Vec<f32>>> = lines
            .map(|(out, (before, grad))| {
                wide::activate_backward(activation, before, grad, out);
                let mut sum = vec![0.0; width];
                out.chunks(width).for_each(|line| accumulate(&mut sum, line));
                vec![sum]
            })
            .collect();
        let [sum] = add_up(sums, width);
        [filled(out, rows, width), sum]
    }

    fn gated_gradients(
        x: Option<Flat>,
        weights: Option<[Flat; 2]>,
        [gate, up]: [Flat; 2],
        grad: Flat,
    ) -> [Option<Flat>; 3] {
        if portable() {
            return composed_projection::gated_gradients::<Self>(x, weights, [gate, up], grad);
        }
        let (gate, up) = Self::gated_silu_backward(gate, up, grad);
        let [tokens, inner] = gate.shape().dims();
        let of_x = || {
            let [by_gate, by_up] = weights.as_ref()?;
            let width = by_gate.shape()[1];
            let work = |[mut out]: [Panel<'_>; 1]| {
                out.multiply(inner, matrix(&gate), matrix(by_gate), false);
                out.multiply(inner, matrix(&up), matrix(by_up), true);
            };
            // SAFETY: `out` is multiplied into, and then added to.
            let [made] = unsafe { together([tokens, 2 * inner, width], work) };
            Some(filled(made, tokens, width))
        };
        let of_weights = || {
            let Some(x) = &x else { return (None, None) };
            rayon::join(|| Some(weight_gradient(x, &gate)), || Some(weight_gradient(x, &up)))
        };
        let (x_grad, (gate_grad, up_grad)) = rayon::join(of_x, of_weights);
        [x_grad, gate_grad, up_grad]
    }
}

/// `[rows, in]` and `[out, in]`: rows, in, out.
fn sizes(x: &Flat, weight: &Flat) -> [usize; 3] {
    let ([rows, width], [out, inner]) = (x.shape().dims::<2>(), weight.shape().dims::<2>());
    assert_eq!(width, inner, "a projection of [{rows}, {width}] by [{out}, {inner}]");
    [rows, width, out]
}

/// `gradᵀ x`.
fn weight_gradient(x: &Flat, grad: &Flat) -> Flat {
    let ([tokens, width], [_, out]) = (x.shape().dims::<2>(), grad.shape().dims::<2>());
    let upstream: Matrix<'_> = matrix(grad).transposed();
    filled(product([out, tokens, width], upstream, matrix(x)), out, width)
}
