//! The few operations that a step spends its time in, each fused into one pass,
//! with a backward pass of its own.
//!
//! burn composes a layer norm from nine element-wise operations and its gradient
//! from twenty, each a serial walk over memory on the CPU. Here each is a
//! [`Kernels`] operation: [`flex`] has parallel CPU versions, [`autodiff`] the
//! backward passes, and every other device gets the composed default bodies, which
//! compute the same. Results do not depend on the number of threads.
//!
//! The functions below are what the rest of the model calls.

mod autodiff;
#[cfg(feature = "cuda")]
mod cube;
mod flex;
mod wide;

use burn::backend::ops::{ActivationOps, FloatTensorOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Slice, Tensor};

/// Fused operations on float32 tensors, with composed default bodies.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "cuda"))]
pub trait Kernels: Backend {
    /// `x Wᵀ`: `[rows, in]` and `[out, in]` give `[rows, out]`.
    fn project(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(x, Self::float_swap_dims(weight, 0, 1))
    }

    /// `x + b` with `b` `[width]` added to every row.
    fn add_bias(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let width = bias.shape()[0];
        Self::float_add(x, Self::float_reshape(bias, Shape::new([1, width])))
    }

    /// Sums the rows of `[rows, width]` into `[width]`.
    fn column_sum(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let width = x.shape()[1];
        Self::float_reshape(Self::float_sum_dim(x, 0), Shape::new([width]))
    }

    /// `x Φ(x)` with Φ the normal distribution function.
    fn exact_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_mul(x.clone(), normal_distribution::<Self>(x))
    }

    /// `grad (Φ(x) + x φ(x))`.
    fn exact_gelu_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let density = Self::float_exp(Self::float_mul_scalar(Self::float_mul(x.clone(), x.clone()), (-0.5f32).into()));
        let density = Self::float_mul_scalar(density, (1.0 / std::f64::consts::TAU.sqrt()).into());
        let slope = Self::float_add(normal_distribution::<Self>(x.clone()), Self::float_mul(x, density));
        Self::float_mul(grad, slope)
    }

    /// Rows to mean zero and variance one, then `scale` and `shift`.
    fn affine_norm(x: FloatTensor<Self>, scale: FloatTensor<Self>, shift: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self> {
        let (standard, _) = standardise::<Self>(x, epsilon);
        Self::add_bias(Self::float_mul(standard, row::<Self>(scale)), shift)
    }

    /// Gradients of [`Kernels::affine_norm`] for `x`, `scale` and `shift`.
    fn affine_norm_backward(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (standard, inverse) = standardise::<Self>(x, epsilon);
        let scale_grad = Self::column_sum(Self::float_mul(grad.clone(), standard.clone()));
        let shift_grad = Self::column_sum(grad.clone());
        let inner = Self::float_mul(grad, row::<Self>(scale));
        let along = Self::float_mean_dim(Self::float_mul(inner.clone(), standard.clone()), 1);
        let mean = Self::float_mean_dim(inner.clone(), 1);
        let rest = Self::float_sub(Self::float_sub(inner, mean), Self::float_mul(standard, along));
        (Self::float_mul(rest, inverse), scale_grad, shift_grad)
    }

    /// Rows to root mean square one, then `scale`.
    fn root_norm(x: FloatTensor<Self>, scale: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self> {
        let inverse = inverse_root::<Self>(x.clone(), epsilon);
        Self::float_mul(Self::float_mul(x, inverse), row::<Self>(scale))
    }

    /// Gradients of [`Kernels::root_norm`] for `x` and `scale`.
    fn root_norm_backward(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let inverse = inverse_root::<Self>(x.clone(), epsilon);
        let standard = Self::float_mul(x, inverse.clone());
        let scale_grad = Self::column_sum(Self::float_mul(grad.clone(), standard.clone()));
        let inner = Self::float_mul(grad, row::<Self>(scale));
        let along = Self::float_mean_dim(Self::float_mul(inner.clone(), standard.clone()), 1);
        let rest = Self::float_sub(inner, Self::float_mul(standard, along));
        (Self::float_mul(rest, inverse), scale_grad)
    }

    /// `gate σ(gate) up`.
    fn gated_silu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let silu = Self::float_mul(gate.clone(), Self::sigmoid(gate));
        Self::float_mul(silu, up)
    }

    /// Gradients of [`Kernels::gated_silu`] for `gate` and `up`.
    fn gated_silu_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let sigmoid = Self::sigmoid(gate.clone());
        let silu = Self::float_mul(gate, sigmoid.clone());
        let rest = Self::float_sub(silu.clone(), Self::float_mul(silu.clone(), sigmoid.clone()));
        let slope = Self::float_add(sigmoid, rest);
        (Self::float_mul(Self::float_mul(grad.clone(), up), slope), Self::float_mul(grad, silu))
    }

    /// Softmax of `scores * factor + mask` over the last dimension. `scores`:
    /// `[batch, heads, query, key]`; `mask` is as long or one in each but the last.
    fn masked_softmax(scores: FloatTensor<Self>, mask: FloatTensor<Self>, factor: f32) -> FloatTensor<Self> {
        Self::softmax(Self::float_add(Self::float_mul_scalar(scores, factor.into()), mask), 3)
    }

    /// Gradient of [`Kernels::masked_softmax`] for `scores`, from its result.
    fn masked_softmax_backward(probabilities: FloatTensor<Self>, grad: FloatTensor<Self>, factor: f32) -> FloatTensor<Self> {
        let along = Self::float_sum_dim(Self::float_mul(grad.clone(), probabilities.clone()), 3);
        let inner = Self::float_mul(probabilities, Self::float_sub(grad, along));
        Self::float_mul_scalar(inner, factor.into())
    }

    /// Turns the pair `(i, i + width / 2)` of `x` `[batch, seq, heads, width]` by
    /// the angle whose `cos` and `sin` are `[seq, width / 2]`.
    fn turn_pairs(x: FloatTensor<Self>, cos: FloatTensor<Self>, sin: FloatTensor<Self>) -> FloatTensor<Self> {
        let [batch, seq, heads, width] = x.shape().dims();
        let half = width / 2;
        let part = |from: usize| {
            let whole = [batch, seq, heads].map(|n| Slice::from(0..n));
            Self::float_slice(x.clone(), &[whole[0], whole[1], whole[2], Slice::from(from..from + half)])
        };
        let (low, high) = (part(0), part(half));
        let angles = |t| Self::float_reshape(t, Shape::new([1, seq, 1, half]));
        let (cos, sin) = (angles(cos), angles(sin));
        let turned_low =
            Self::float_sub(Self::float_mul(low.clone(), cos.clone()), Self::float_mul(high.clone(), sin.clone()));
        let turned_high = Self::float_add(Self::float_mul(high, cos), Self::float_mul(low, sin));
        Self::float_cat(vec![turned_low, turned_high], 3)
    }
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

/// [`Kernels::project`], typed.
pub(super) fn project(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::project(x.into_dispatch(), weight.into_dispatch()))
}

/// [`Kernels::add_bias`], typed.
pub(super) fn add_bias(x: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::add_bias(x.into_dispatch(), bias.into_dispatch()))
}

/// [`Kernels::exact_gelu`], typed.
pub(super) fn gelu(x: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::exact_gelu(x.into_dispatch()))
}

/// [`Kernels::affine_norm`], typed.
pub(super) fn layer_norm(x: Tensor<2>, scale: Tensor<1>, shift: Tensor<1>, epsilon: f32) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::affine_norm(x.into_dispatch(), scale.into_dispatch(), shift.into_dispatch(), epsilon))
}

/// [`Kernels::root_norm`], typed.
pub(super) fn rms_norm(x: Tensor<2>, scale: Tensor<1>, epsilon: f32) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::root_norm(x.into_dispatch(), scale.into_dispatch(), epsilon))
}

/// [`Kernels::gated_silu`], typed.
pub(in crate::model) fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::gated_silu(gate.into_dispatch(), up.into_dispatch()))
}

/// [`Kernels::masked_softmax`], typed.
pub(super) fn attention_softmax(scores: Tensor<4>, mask: Tensor<4>, factor: f32) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::masked_softmax(scores.into_dispatch(), mask.into_dispatch(), factor))
}

/// [`Kernels::turn_pairs`], typed.
pub(super) fn rope(x: Tensor<4>, cos: Tensor<2>, sin: Tensor<2>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::turn_pairs(x.into_dispatch(), cos.into_dispatch(), sin.into_dispatch()))
}

#[cfg(test)]
mod tests;
