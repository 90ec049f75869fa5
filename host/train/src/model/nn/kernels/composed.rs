//! The kernels as burn's own operations: what a GPU runs, and the definition the
//! fused ones are tested against.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{IndexingUpdateOp, Shape, Slice};

use super::factors;
use super::spans::DroppedLines;
use crate::model::shape::Activation;

pub(super) fn lookup_backward<B: Backend>(ids: IntTensor<B>, grad: FloatTensor<B>, rows: usize) -> FloatTensor<B> {
    let shape = Shape::new([rows, grad.shape()[1]]);
    let zeros = B::float_zeros(shape, &grad.device(), grad.dtype().into());
    B::float_select_assign(zeros, 0, ids, grad, IndexingUpdateOp::Add)
}

pub(super) fn project<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    B::float_matmul(x, B::float_swap_dims(weight, 0, 1))
}

pub(super) fn add_bias<B: Backend>(x: FloatTensor<B>, bias: FloatTensor<B>) -> FloatTensor<B> {
    let width = bias.shape()[0];
    B::float_add(x, B::float_reshape(bias, Shape::new([1, width])))
}

pub(super) fn column_sum<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let width = x.shape()[1];
    B::float_reshape(B::float_sum_dim(x, 0), Shape::new([width]))
}

pub(super) fn exact_gelu<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(x.clone(), normal_distribution::<B>(x))
}

pub(super) fn exact_gelu_backward<B: Backend>(x: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B> {
    let density = B::float_exp(B::float_mul_scalar(B::float_mul(x.clone(), x.clone()), (-0.5f32).into()));
    let density = B::float_mul_scalar(density, (1.0 / std::f64::consts::TAU.sqrt()).into());
    let slope = B::float_add(normal_distribution::<B>(x.clone()), B::float_mul(x, density));
    B::float_mul(grad, slope)
}

/// Element by element.
pub(super) fn activate<B: Backend>(x: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    match activation {
        Activation::Gelu => exact_gelu::<B>(x),
        Activation::GeluTanh => {
            let (tanh, _) = gelu_tangent::<B>(x.clone());
            B::float_mul_scalar(B::float_mul(x, B::float_add_scalar(tanh, 1.0f32.into())), 0.5f32.into())
        }
        Activation::Relu => B::relu(x),
        Activation::Silu => B::float_mul(x.clone(), B::sigmoid(x)),
    }
}

/// Gradients of [`activate`].
pub(super) fn activate_backward<B: Backend>(
    x: FloatTensor<B>,
    grad: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    let slope = match activation {
        Activation::Gelu => return exact_gelu_backward::<B>(x, grad),
        Activation::GeluTanh => {
            // (1 + t) / 2 + x (1 - t²) u' / 2.
            let (tanh, inner) = gelu_tangent::<B>(x.clone());
            let fall = B::float_add_scalar(B::float_neg(B::float_mul(tanh.clone(), tanh.clone())), 1.0f32.into());
            let rest = B::float_mul(B::float_mul(x, fall), inner);
            let sum = B::float_add(B::float_add_scalar(tanh, 1.0f32.into()), rest);
            B::float_mul_scalar(sum, 0.5f32.into())
        }
        Activation::Relu => return B::relu_backward(B::relu(x), grad),
        Activation::Silu => {
            let sigmoid = B::sigmoid(x.clone());
            let silu = B::float_mul(x, sigmoid.clone());
            let rest = B::float_sub(silu.clone(), B::float_mul(silu, sigmoid.clone()));
            B::float_add(sigmoid, rest)
        }
    };
    B::float_mul(grad, slope)
}

/// `tanh(u)` and `u'`, with `u = √(2/π) (x + 0.044715 x³)`.
fn gelu_tangent<B: Backend>(x: FloatTensor<B>) -> (FloatTensor<B>, FloatTensor<B>) {
    let root = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
    let square = B::float_mul(x.clone(), x.clone());
    let curve = |factor: f64| {
        let inner =
            B::float_add_scalar(B::float_mul_scalar(square.clone(), (factor * 0.044_715).into()), 1.0f32.into());
        B::float_mul_scalar(inner, root.into())
    };
    (B::float_tanh(B::float_mul(x, curve(1.0))), curve(3.0))
}

pub(super) fn affine_norm<B: Backend>(
    x: FloatTensor<B>,
    scale: FloatTensor<B>,
    shift: FloatTensor<B>,
    epsilon: f32,
) -> FloatTensor<B> {
    let (standard, _) = standardise::<B>(x, epsilon);
    add_bias::<B>(B::float_mul(standard, row::<B>(scale)), shift)
}

pub(super) fn affine_norm_backward<B: Backend>(
    x: FloatTensor<B>,
    scale: FloatTensor<B>,
    grad: FloatTensor<B>,
    epsilon: f32,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let (standard, inverse) = standardise::<B>(x, epsilon);
    let scale_grad = column_sum::<B>(B::float_mul(grad.clone(), standard.clone()));
    let shift_grad = column_sum::<B>(grad.clone());
    let inner = B::float_mul(grad, row::<B>(scale));
    let along = B::float_mean_dim(B::float_mul(inner.clone(), standard.clone()), 1);
    let mean = B::float_mean_dim(inner.clone(), 1);
    let rest = B::float_sub(B::float_sub(inner, mean), B::float_mul(standard, along));
    (B::float_mul(rest, inverse), scale_grad, shift_grad)
}

pub(super) fn drop_lines<B: Backend>(x: FloatTensor<B>, dropout: Option<&DroppedLines>) -> FloatTensor<B> {
    let Some(dropout) = dropout else { return x };
    let factors = factors::of_lines::<B>(dropout, x.shape()[1], &x.device());
    B::float_mul(x, factors)
}

pub(super) fn drop_add_norm<B: Backend>(
    x: FloatTensor<B>,
    residual: FloatTensor<B>,
    scale: FloatTensor<B>,
    shift: FloatTensor<B>,
    epsilon: f32,
    dropout: Option<&DroppedLines>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let sum = B::float_add(drop_lines::<B>(x, dropout), residual);
    (affine_norm::<B>(sum.clone(), scale, shift, epsilon), sum)
}

pub(super) fn drop_add_norm_backward<B: Backend>(
    sum: FloatTensor<B>,
    scale: FloatTensor<B>,
    grad: FloatTensor<B>,
    epsilon: f32,
    dropout: Option<&DroppedLines>,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let (residual, scale, shift) = affine_norm_backward::<B>(sum, scale, grad, epsilon);
    (drop_lines::<B>(residual.clone(), dropout), residual, scale, shift)
}

pub(super) fn root_norm<B: Backend>(x: FloatTensor<B>, scale: FloatTensor<B>, epsilon: f32) -> FloatTensor<B> {
    let inverse = inverse_root::<B>(x.clone(), epsilon);
    B::float_mul(B::float_mul(x, inverse), row::<B>(scale))
}

pub(super) fn root_norm_backward<B: Backend>(
    x: FloatTensor<B>,
    scale: FloatTensor<B>,
    grad: FloatTensor<B>,
    epsilon: f32,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let inverse = inverse_root::<B>(x.clone(), epsilon);
    let standard = B::float_mul(x, inverse.clone());
    let scale_grad = column_sum::<B>(B::float_mul(grad.clone(), standard.clone()));
    let inner = B::float_mul(grad, row::<B>(scale));
    let along = B::float_mean_dim(B::float_mul(inner.clone(), standard.clone()), 1);
    let rest = B::float_sub(inner, B::float_mul(standard, along));
    (B::float_mul(rest, inverse), scale_grad)
}

pub(super) fn drop_add_root_norm<B: Backend>(
    x: FloatTensor<B>,
    residual: FloatTensor<B>,
    scale: FloatTensor<B>,
    epsilon: f32,
    dropout: Option<&DroppedLines>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let sum = B::float_add(drop_lines::<B>(x, dropout), residual);
    (root_norm::<B>(sum.clone(), scale, epsilon), sum)
}

pub(super) fn drop_add_root_norm_backward<B: Backend>(
    sum: FloatTensor<B>,
    scale: FloatTensor<B>,
    grad: FloatTensor<B>,
    sum_grad: FloatTensor<B>,
    epsilon: f32,
    dropout: Option<&DroppedLines>,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let (residual, scale) = root_norm_backward::<B>(sum, scale, grad, epsilon);
    let residual = B::float_add(residual, sum_grad);
    (drop_lines::<B>(residual.clone(), dropout), residual, scale)
}

pub(super) fn gated_silu<B: Backend>(gate: FloatTensor<B>, up: FloatTensor<B>) -> FloatTensor<B> {
    let silu = B::float_mul(gate.clone(), B::sigmoid(gate));
    B::float_mul(silu, up)
}

pub(super) fn gated_silu_backward<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let sigmoid = B::sigmoid(gate.clone());
    let silu = B::float_mul(gate, sigmoid.clone());
    let rest = B::float_sub(silu.clone(), B::float_mul(silu.clone(), sigmoid.clone()));
    let slope = B::float_add(sigmoid, rest);
    (B::float_mul(B::float_mul(grad.clone(), up), slope), B::float_mul(grad, silu))
}

pub(super) fn turn_pairs<B: Backend>(
    x: FloatTensor<B>,
    cos: FloatTensor<B>,
    sin: FloatTensor<B>,
    back: bool,
) -> FloatTensor<B> {
    let ([tokens, all], half) = (x.shape().dims(), cos.shape()[1]);
    let heads = all / (2 * half);
    let x = B::float_reshape(x, Shape::new([tokens, heads, 2 * half]));
    let part = |from: usize| {
        let part = [Slice::from(0..tokens), Slice::from(0..heads), Slice::from(from..from + half)];
        B::float_slice(x.clone(), &part)
    };
    let (low, high) = (part(0), part(half));
    let angles = |t| B::float_reshape(t, Shape::new([tokens, 1, half]));
    let (cos, sin) = (angles(cos), angles(if back { B::float_neg(sin) } else { sin }));
    let turned_low = B::float_sub(B::float_mul(low.clone(), cos.clone()), B::float_mul(high.clone(), sin.clone()));
    let turned_high = B::float_add(B::float_mul(high, cos), B::float_mul(low, sin));
    B::float_reshape(B::float_cat(vec![turned_low, turned_high], 2), Shape::new([tokens, all]))
}

/// `[width]` as `[1, width]`.
fn row<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let width = x.shape()[0];
    B::float_reshape(x, Shape::new([1, width]))
}

fn normal_distribution<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let erf = B::float_erf(B::float_mul_scalar(x, std::f64::consts::FRAC_1_SQRT_2.into()));
    B::float_mul_scalar(B::float_add_scalar(erf, 1f32.into()), 0.5f32.into())
}

/// `1 / sqrt(mean(x²) + epsilon)` of each row, `[rows, 1]`.
fn inverse_root<B: Backend>(x: FloatTensor<B>, epsilon: f32) -> FloatTensor<B> {
    let square = B::float_mean_dim(B::float_mul(x.clone(), x), 1);
    B::float_recip(B::float_sqrt(B::float_add_scalar(square, epsilon.into())))
}

/// Rows to mean zero and variance one, and the inverse deviation of each.
fn standardise<B: Backend>(x: FloatTensor<B>, epsilon: f32) -> (FloatTensor<B>, FloatTensor<B>) {
    let centred = B::float_sub(x.clone(), B::float_mean_dim(x, 1));
    let inverse = inverse_root::<B>(centred.clone(), epsilon);
    (B::float_mul(centred, inverse.clone()), inverse)
}
