//! `x Wᵀ` and what follows it at once: a bias, an activation, a gate.
//!
//! On the CPU a piece of the product is finished while it is in the cache, and the products of the backward pass, which do not wait
//! for one another, go to all cores together. Passes over memory of a feed-forward block's `act(x Wᵀ + b)` beside its
//! product, reads and writes of `[tokens, inner]` counted, apart and as one kernel:
//!
//! | | apart | one |
//! |---|---|---|
//! | forward, bias and activation | 2 bias + 2 activation = 4 | 1 |
//! | forward, silu(gate) up | 3 | 1 |
//! | backward, bias and activation | 3 activation + 1 bias = 4 | 3 |
//!
//! A frozen weight may be kept in bfloat16: it is widened for each product ([`Parts::wide`]), and the tape keeps the narrow one.
//!
//! [`Projections`] is what the model calls; [`Parts`] is what its autodiff version runs on a device.

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{DType, Shape, Tensor};
use retune_tensor::narrow::widened;

use super::composed_projection;
use super::operations::Kernels;
use crate::model::shape::Activation;

/// Projections of `x` `[rows, in]` by weights `[out, in]`, with a gradient or without.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "cuda"))]
pub trait Projections: Backend {
    /// `x Wᵀ`, `[rows, out]`.
    fn project(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// `x Wᵀ + b` with `b` `[out]`.
    fn project_bias(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;

    /// `act(x Wᵀ + b)`.
    fn project_activate(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// `silu(x Gᵀ) x Uᵀ` (Shazeer 2020), with `silu(y) = y σ(y)`.
    fn project_gated(x: FloatTensor<Self>, gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The same without a tape, with what backward needs, and the gradients; the bodies are burn's operations.
pub trait Parts: Kernels {
    /// A weight for a product with float32: itself, or float32 of one that is kept in bfloat16.
    fn wide(weight: FloatTensor<Self>) -> FloatTensor<Self> {
        widened::<Self>(weight, DType::F32)
    }

    /// `x Wᵀ` of a few rows with a weight that is kept in bfloat16, where there is a way without widening it first.
    fn few_rows(_: &FloatTensor<Self>, _: &FloatTensor<Self>) -> Option<FloatTensor<Self>> {
        None
    }

    /// `x Wᵀ + b`.
    fn biased(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        composed_projection::biased::<Self>(x, weight, bias)
    }

    /// [`Projections::project_activate`], and what it was before the activation.
    fn activated(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> [FloatTensor<Self>; 2] {
        composed_projection::activated::<Self>(x, weight, bias, activation)
    }

    /// [`Projections::project_gated`], gate and up.
    fn gated(x: FloatTensor<Self>, gate: FloatTensor<Self>, up: FloatTensor<Self>) -> [FloatTensor<Self>; 3] {
        composed_projection::gated::<Self>(x, gate, up)
    }

    /// Gradients of `x Wᵀ` for `x`, from the weight, and for the weight, from `x`; of those that are there.
    fn project_gradients(
        x: Option<FloatTensor<Self>>,
        weight: Option<FloatTensor<Self>>,
        grad: FloatTensor<Self>,
    ) -> [Option<FloatTensor<Self>>; 2] {
        composed_projection::project_gradients::<Self>(x, weight, grad)
    }

    /// Gradients before the activation, and their sum over rows.
    fn activation_gradients(
        before: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        activation: Activation,
    ) -> [FloatTensor<Self>; 2] {
        composed_projection::activation_gradients::<Self>(before, grad, activation)
    }

    /// Gradients of [`Projections::project_gated`] for `x`, from the weights, and for these, from `x`; of those that are there.
    /// `parts`: gate and up.
    fn gated_gradients(
        x: Option<FloatTensor<Self>>,
        weights: Option<[FloatTensor<Self>; 2]>,
        parts: [FloatTensor<Self>; 2],
        grad: FloatTensor<Self>,
    ) -> [Option<FloatTensor<Self>>; 3] {
        composed_projection::gated_gradients::<Self>(x, weights, parts, grad)
    }
}

/// The same on every device.
macro_rules! untaped {
    ($backend:ty) => {
        impl Projections for $backend {
            fn project(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
                if let Some(out) = Self::few_rows(&x, &weight) {
                    return out;
                }
                Self::product(x, <Self as FloatTensorOps<Self>>::float_swap_dims(Self::wide(weight), 0, 1))
            }

            fn project_bias(
                x: FloatTensor<Self>,
                weight: FloatTensor<Self>,
                bias: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                if let Some(out) = Self::few_rows(&x, &weight) {
                    let [width] = bias.shape().dims();
                    return Self::float_add(out, Self::float_reshape(bias, Shape::new([1, width])));
                }
                Self::biased(x, Self::wide(weight), bias)
            }

            fn project_activate(
                x: FloatTensor<Self>,
                weight: FloatTensor<Self>,
                bias: FloatTensor<Self>,
                activation: Activation,
            ) -> FloatTensor<Self> {
                let [out, _] = Self::activated(x, Self::wide(weight), bias, activation);
                out
            }

            fn project_gated(
                x: FloatTensor<Self>,
                gate: FloatTensor<Self>,
                up: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                if let (Some(gate), Some(up)) = (Self::few_rows(&x, &gate), Self::few_rows(&x, &up)) {
                    return Self::gated_silu(gate, up);
                }
                let [out, ..] = Self::gated(x, Self::wide(gate), Self::wide(up));
                out
            }
        }
    };
}

untaped!(burn::backend::Flex);
#[cfg(feature = "cuda")]
untaped!(burn::backend::Cube);
#[cfg(feature = "cuda")]
impl Parts for burn::backend::Cube {}

/// [`Projections::project`], typed.
pub(in crate::model) fn project(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::project(x.into_dispatch(), weight.into_dispatch()))
}

/// [`Projections::project_bias`], typed.
pub(in crate::model) fn project_bias(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::project_bias(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()))
}

/// [`Projections::project_activate`], typed.
pub(in crate::model) fn project_activate(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    activation: Activation,
) -> Tensor<2> {
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(Dispatch::project_activate(x, weight, bias, activation))
}

/// [`Projections::project_gated`], typed.
pub(in crate::model) fn project_gated(x: Tensor<2>, gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::project_gated(x.into_dispatch(), gate.into_dispatch(), up.into_dispatch()))
}
