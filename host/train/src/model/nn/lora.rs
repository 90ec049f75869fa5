//! Adapters beside a projection or a table: `y = x Wᵀ + b + s (x Aᵀ) Bᵀ` (Hu et al. 2021), and with each row of `W + s B A`
//! brought to a learnt length (Liu et al. 2024), as `peft` computes them.
//!
//! `W` is never added to: a pass costs two thin products, and nothing of the size of `W` is kept for the backward pass. Of an adapter
//! that started as a part of `W` (Meng et al. 2024), what it added at the start is taken off what it adds, so that a new one adds
//! zeros; that costs two more thin products. Price of DoRA: `s B A` is made once a pass for the lengths of the rows, which carry no
//! gradient, and with dropout `x Wᵀ` is computed twice, because `peft` drops it out too.

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
    // As in peft, what was taken off the base does not drop out.
    let less = |sum: Tensor<2>, x: &Tensor<2>| match placed.start {
        Some([a, b]) => sum - kernels::project(low(weights, a, placed.scale, x.clone()), weights.matrix(b)),
        None => sum,
    };
    let Some(magnitude) = placed.magnitude else {
        return kernels::add(plain(x.clone(), bias), less(added(drop(x.clone())), &x));
    };
    let change = change(placed, |index| untracked(weights.matrix(index)));
    let lengths = row_norms(matrix.clone(), Some(change));
    let ratio = (weights.vector(magnitude) / lengths).unsqueeze::<2>();
    if dropped.is_some() {
        let (whole, x) = (less(plain(x.clone(), bias), &x), drop(x));
        return whole + (ratio.clone() - 1.0) * less(plain(x.clone(), None), &x) + ratio * added(x);
    }
    let scaled = ratio * kernels::add(plain(x.clone(), None), less(added(x.clone()), &x));
    match bias {
        Some(bias) => scaled + bias.unsqueeze::<2>(),
        None => scaled,
    }
}

/// `s x Aᵀ`, `[rows, r]`.
fn down(placed: &Placed, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
    low(weights, placed.a, placed.scale, x)
}

/// The same with another A.
fn low(weights: &Weights, a: usize, scale: f64, x: Tensor<2>) -> Tensor<2> {
    kernels::project(x, weights.matrix(a)) * scale
}

/// What makes logits of an adapted head: `[x, s x Aᵀ]` and `[W, B]`, and what was taken off the base as one adapter more.
pub(super) fn widened(
    placed: &Placed,
    weights: &Weights,
    matrix: Tensor<2>,
    x: Tensor<2>,
    dropout: &Dropout,
) -> (Tensor<2>, Tensor<2>) {
    let added = down(placed, weights, dropout.lines(x.clone(), placed.dropout, placed.site));
    let (mut read, mut matrices) = (vec![x.clone(), added], vec![wide(matrix), weights.matrix(placed.b)]);
    if let Some([a, b]) = placed.start {
        read.push(low(weights, a, -placed.scale, x));
        matrices.push(weights.matrix(b));
    }
    (Tensor::cat(read, 1), Tensor::cat(matrices, 1))
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

/// `s B A`, less what that was at the start where it is taken off the base: `[out, in]`. `matrix` gives a parameter by its index.
pub(in crate::model) fn change(placed: &Placed, matrix: impl Fn(usize) -> Tensor<2>) -> Tensor<2> {
    let product = |a, b| matrix(b).matmul(matrix(a));
    let now = product(placed.a, placed.b);
    let change = match placed.start {
        Some([a, b]) => now - product(a, b),
        None => now,
    };
    change * placed.scale
}

/// Lengths of the rows of `matrix` and what is added to it, both `[out, in]`: `[out]`. Without a gradient.
pub(in crate::model) fn row_norms(matrix: Tensor<2>, added: Option<Tensor<2>>) -> Tensor<1> {
    let matrix = wide(matrix);
    let matrix = match added {
        Some(added) => added + matrix,
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
