//! The operations, and the functions by which the model calls them.

use std::sync::Arc;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{Int, Tensor};

use super::spans::{DroppedLines, Spans};
use super::{composed, padded_attention};

/// Fused operations on float32 tensors, with composed default bodies.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "cuda"))]
pub trait Kernels: Backend {
    /// The matrix product: `[m, k]` and `[k, n]` give `[m, n]`.
    fn product(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(a, b)
    }

    /// Rows of `table` `[rows, width]`: `ids` `[count]` give `[count, width]`.
    fn lookup(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        Self::float_select(table, 0, ids)
    }

    /// Gradient of [`Kernels::lookup`] for a table of `rows` rows.
    fn lookup_backward(ids: IntTensor<Self>, grad: FloatTensor<Self>, rows: usize) -> FloatTensor<Self> {
        composed::lookup_backward::<Self>(ids, grad, rows)
    }

    /// Sums the rows of `[rows, width]` into `[width]`.
    fn column_sum(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::column_sum::<Self>(x)
    }

    /// `x Φ(x)` with Φ the normal distribution function.
    fn exact_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::exact_gelu::<Self>(x)
    }

    /// `grad (Φ(x) + x φ(x))`.
    fn exact_gelu_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::exact_gelu_backward::<Self>(x, grad)
    }

    /// Rows to mean zero and variance one, then `scale` and `shift`.
    fn affine_norm(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        composed::affine_norm::<Self>(x, scale, shift, epsilon)
    }

    /// Gradients of [`Kernels::affine_norm`] for `x`, `scale` and `shift`.
    fn affine_norm_backward(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::affine_norm_backward::<Self>(x, scale, grad, epsilon)
    }

    /// `x` `[lines, width]` with dropout.
    fn drop_lines(x: FloatTensor<Self>, dropout: Arc<DroppedLines>) -> FloatTensor<Self> {
        composed::drop_lines::<Self>(x, Some(&dropout))
    }

    /// `x + y`, of equal shapes.
    fn sum_of(x: FloatTensor<Self>, y: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_add(x, y)
    }

    /// [`Kernels::affine_norm`] of `x`, with dropout when there is one, plus `residual`; the sum as well,
    /// for the backward pass.
    fn drop_add_norm(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f32,
        dropout: Option<Arc<DroppedLines>>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::drop_add_norm::<Self>(x, residual, scale, shift, epsilon, dropout.as_deref())
    }

    /// Gradients of [`Kernels::drop_add_norm`]'s norm for `x`, `residual`, `scale` and `shift`.
    fn drop_add_norm_backward(
        sum: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f32,
        dropout: Option<Arc<DroppedLines>>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::drop_add_norm_backward::<Self>(sum, scale, grad, epsilon, dropout.as_deref())
    }

    /// [`Kernels::root_norm`] of `x`, with dropout when there is one, plus `residual`; the sum as well. A loss that
    /// depends on the sum has to depend on the norm too, whose backward pass is that of both.
    fn drop_add_root_norm(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        epsilon: f32,
        dropout: Option<Arc<DroppedLines>>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::drop_add_root_norm::<Self>(x, residual, scale, epsilon, dropout.as_deref())
    }

    /// Gradients of [`Kernels::drop_add_root_norm`] for `x`, `residual` and `scale`, from those of the norm and of the
    /// sum.
    fn drop_add_root_norm_backward(
        sum: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        sum_grad: FloatTensor<Self>,
        epsilon: f32,
        dropout: Option<Arc<DroppedLines>>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::drop_add_root_norm_backward::<Self>(sum, scale, grad, sum_grad, epsilon, dropout.as_deref())
    }

    /// Rows to root mean square one, then `scale`.
    fn root_norm(x: FloatTensor<Self>, scale: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self> {
        composed::root_norm::<Self>(x, scale, epsilon)
    }

    /// Gradients of [`Kernels::root_norm`] for `x` and `scale`.
    fn root_norm_backward(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::root_norm_backward::<Self>(x, scale, grad, epsilon)
    }

    /// `gate σ(gate) up`.
    fn gated_silu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::gated_silu::<Self>(gate, up)
    }

    /// Gradients of [`Kernels::gated_silu`] for `gate` and `up`.
    fn gated_silu_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::gated_silu_backward::<Self>(gate, up, grad)
    }

    /// Softmax of scaled scores, dropout, times values, within each span. `q` is
    /// `[tokens, heads * width]`; `k` and `v` are `[tokens, kv_heads * width]`; gives `[tokens, heads * width]`.
    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        spans: Arc<Spans>,
    ) -> FloatTensor<Self> {
        padded_attention::forward::<Self>(q, k, v, &spans)
    }

    /// Gradients of [`Kernels::attend`] for `q`, `k` and `v`.
    fn attend_backward(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        spans: Arc<Spans>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        padded_attention::backward::<Self>(q, k, v, grad, &spans)
    }

    /// Turns the pair `(i, i + width / 2)` of each head of `x` `[tokens, heads * width]` by the angle whose `cos` and
    /// `sin` are `[tokens, width / 2]`, or `back` by it.
    fn turn_pairs(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        back: bool,
    ) -> FloatTensor<Self> {
        composed::turn_pairs::<Self>(x, cos, sin, back)
    }
}

/// [`Kernels::lookup`], typed; `ids`: `[count]`.
pub(in crate::model) fn lookup(table: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::lookup(table.into_dispatch(), ids.into_dispatch()))
}

/// [`Kernels::exact_gelu`], typed.
pub(in crate::model) fn gelu(x: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::exact_gelu(x.into_dispatch()))
}

/// [`Kernels::affine_norm`], typed.
pub(in crate::model) fn layer_norm(x: Tensor<2>, scale: Tensor<1>, shift: Tensor<1>, epsilon: f32) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::affine_norm(
        x.into_dispatch(),
        scale.into_dispatch(),
        shift.into_dispatch(),
        epsilon,
    ))
}

/// [`Kernels::drop_lines`], typed.
pub(in crate::model) fn drop_lines(x: Tensor<2>, dropout: DroppedLines) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::drop_lines(x.into_dispatch(), Arc::new(dropout)))
}

/// [`Kernels::sum_of`], typed.
pub(in crate::model) fn add(x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::sum_of(x.into_dispatch(), y.into_dispatch()))
}

/// The norm of [`Kernels::drop_add_norm`], typed.
pub(in crate::model) fn residual_layer_norm(
    x: Tensor<2>,
    residual: Tensor<2>,
    [scale, shift]: [Tensor<1>; 2],
    epsilon: f32,
    dropout: Option<DroppedLines>,
) -> Tensor<2> {
    let (norm, _) = Dispatch::drop_add_norm(
        x.into_dispatch(),
        residual.into_dispatch(),
        scale.into_dispatch(),
        shift.into_dispatch(),
        epsilon,
        dropout.map(Arc::new),
    );
    Tensor::from_dispatch(norm)
}

/// [`Kernels::drop_add_root_norm`], typed: the norm and the sum.
pub(in crate::model) fn residual_rms_norm(
    x: Tensor<2>,
    residual: Tensor<2>,
    scale: Tensor<1>,
    epsilon: f32,
    dropout: Option<DroppedLines>,
) -> [Tensor<2>; 2] {
    let (norm, sum) = Dispatch::drop_add_root_norm(
        x.into_dispatch(),
        residual.into_dispatch(),
        scale.into_dispatch(),
        epsilon,
        dropout.map(Arc::new),
    );
    [norm, sum].map(Tensor::from_dispatch)
}

/// [`Kernels::root_norm`], typed.
pub(in crate::model) fn rms_norm(x: Tensor<2>, scale: Tensor<1>, epsilon: f32) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::root_norm(x.into_dispatch(), scale.into_dispatch(), epsilon))
}

/// [`Kernels::gated_silu`], typed.
pub(in crate::model) fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::gated_silu(gate.into_dispatch(), up.into_dispatch()))
}

/// [`Kernels::attend`], typed.
pub(in crate::model) fn attention(q: Tensor<2>, k: Tensor<2>, v: Tensor<2>, spans: Spans) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::attend(q.into_dispatch(), k.into_dispatch(), v.into_dispatch(), Arc::new(spans)))
}

/// [`Kernels::turn_pairs`], typed.
pub(in crate::model) fn rope(x: Tensor<2>, cos: Tensor<2>, sin: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::turn_pairs(x.into_dispatch(), cos.into_dispatch(), sin.into_dispatch(), false))
}
