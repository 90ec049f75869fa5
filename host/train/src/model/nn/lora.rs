//! Adapters beside a projection or a table: `y = x Wᵀ + b + s (x Aᵀ) Bᵀ` (Hu et al. 2021), and with each row of `W + s B A`
//! brought to a learnt length (Liu et al. 2024), as `peft` computes them.
//!
//! `W` is never added to: a pass costs two thin products, and nothing of the size of `W` is kept for the backward pass. Price of
//! DoRA: `s B A` is made once a pass for the lengths of the rows, which carry no gradient, and with dropout `x Wᵀ` is computed
//! twice, because `peft` drops it out too.

use burn::tensor::{DType, FloatDType, Int, Tensor};
use retune_tensor::AnyTensor;

use super::kernels;
use crate::model::Weights;
use crate::model::adapter::Placed;
use crate::model::dropout::Dropout;

/// A projection of `x` `[rows, in]` by `matrix` `[out, in]` and `bias`, with its adapter.
pub(super) fn forward(
    placed: &Placed,
    weights: &Weights,
    (matrix, bias): (Tensor<2>, Option<Tensor<1>>),
    x: Tensor<2>,
    dropout: &Dropout,
) -> Tensor<2> {
    let plain = |x, bias| match bias {
        Some(bias) => kernels::project_bias(x, matrix.clone(), bias),
        None => kernels::project(x, matrix.clone()),
    };
    let dropped = dropout.of_lines(x.dims()[0], placed.dropout, placed.site);
    let drop = |x| match &dropped {
        Some(dropped) => kernels::drop_lines(x, dropped.clone()),
        None => x,
    };
    let added = |x| kernels::project(down(placed, weights, x), weights.matrix(placed.b));
    let Some(magnitude) = placed.magnitude else {
        return kernels::add(plain(x.clone(), bias), added(drop(x)));
    };
    let [a, b] = [placed.a, placed.b].map(|index| untracked(weights.matrix(index)));
    let lengths = row_norms(matrix.clone(), Some((a, b, placed.scale)));
    let ratio = (weights.vector(magnitude) / lengths).unsqueeze::<2>();
    if dropped.is_some() {
        let (whole, x) = (plain(x.clone(), bias), drop(x));
        return whole + (ratio.clone() - 1.0) * plain(x.clone(), None) + ratio * added(x);
    }
    let scaled = ratio * kernels::add(plain(x.clone(), None), added(x));
    match bias {
        Some(bias) => scaled + bias.unsqueeze::<2>(),
        None => scaled,
    }
}

/// `s x Aᵀ`, `[rows, r]`.
pub(super) fn down(placed: &Placed, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
    kernels::project(x, weights.matrix(placed.a)) * placed.scale
}

/// What makes logits of an adapted head: `[x, s x Aᵀ]` and `[W, B]`.
pub(super) fn widened(
    placed: &Placed,
    weights: &Weights,
    matrix: Tensor<2>,
    x: Tensor<2>,
    dropout: &Dropout,
) -> (Tensor<2>, Tensor<2>) {
    let low = down(placed, weights, dropout.lines(x.clone(), placed.dropout, placed.site));
    (Tensor::cat(vec![x, low], 1), Tensor::cat(vec![wide(matrix), weights.matrix(placed.b)], 1))
}

/// `s B A` of a table, for `ids` `[tokens]`: `[tokens, width]`.
pub(super) fn of_rows(placed: &Placed, weights: &Weights, ids: Tensor<1, Int>) -> Tensor<2> {
    let low = kernels::lookup(weights.matrix(placed.a).transpose(), ids) * placed.scale;
    kernels::project(low, weights.matrix(placed.b))
}

/// The same for the first `count` rows.
pub(super) fn of_first(placed: &Placed, weights: &Weights, count: usize) -> Tensor<2> {
    let low = weights.matrix(placed.a).narrow(1, 0, count).transpose() * placed.scale;
    kernels::project(low, weights.matrix(placed.b))
}

/// Lengths of the rows of `matrix + s B A`, both `[out, in]`: `[out]`. Without a gradient.
pub(in crate::model) fn row_norms(matrix: Tensor<2>, added: Option<(Tensor<2>, Tensor<2>, f64)>) -> Tensor<1> {
    let matrix = wide(matrix);
    let matrix = match added {
        Some((a, b, scale)) => b.matmul(a) * scale + matrix,
        None => matrix,
    };
    matrix.square().sum_dim(1).sqrt().squeeze_dim(1)
}

/// The same values; what is computed from them records nothing.
fn untracked(x: Tensor<2>) -> Tensor<2> {
    AnyTensor::from(x).untracked().typed().unwrap_or_else(|error| unreachable!("a matrix: {error}"))
}

/// In float32 what is kept in bfloat16.
pub(in crate::model) fn wide(x: Tensor<2>) -> Tensor<2> {
    if x.dtype() == DType::BF16 { x.cast(FloatDType::F32) } else { x }
}
