//! One of the two norms, as the shape of a model says.

use burn::tensor::Tensor;

use super::kernels::{DroppedLines, add, drop_lines};
use super::{LayerNorm, RmsNorm};
use crate::model::Weights;
use crate::model::inventory::Inventory;
use crate::model::shape::NormShape;

/// A norm over the last dimension.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) enum Norm {
    Layer(LayerNorm),
    Rms(RmsNorm),
}

impl Norm {
    /// `name.weight` and, for a layer norm, `name.bias`: `[width]`.
    pub(in crate::model) fn describe(inventory: &mut Inventory, name: &str, width: usize, shape: NormShape) -> Self {
        match shape {
            NormShape::Layer { epsilon } => Self::Layer(LayerNorm::describe(inventory, name, width, epsilon)),
            NormShape::Rms { epsilon } => Self::Rms(RmsNorm::describe(inventory, name, width, epsilon)),
        }
    }

    /// `x`: `[rows, width]`.
    pub(in crate::model) fn forward(&self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Layer(norm) => norm.forward(weights, x),
            Self::Rms(norm) => norm.forward(weights, x),
        }
    }

    /// The norm of `x`, with dropout where there is one, plus `residual`, both `[rows, width]`.
    pub(in crate::model) fn forward_residual(
        &self,
        weights: &Weights,
        x: Tensor<2>,
        residual: Tensor<2>,
        dropout: Option<DroppedLines>,
    ) -> Tensor<2> {
        match self {
            Self::Layer(norm) => norm.forward_residual(weights, x, residual, dropout),
            Self::Rms(norm) => norm.forward(weights, residual_sum(x, residual, dropout)),
        }
    }
}

/// `x`, with dropout where there is one, plus `residual`, both `[rows, width]`.
pub(in crate::model) fn residual_sum(x: Tensor<2>, residual: Tensor<2>, dropout: Option<DroppedLines>) -> Tensor<2> {
    match dropout {
        Some(dropout) => add(drop_lines(x, dropout), residual),
        None => add(x, residual),
    }
}
