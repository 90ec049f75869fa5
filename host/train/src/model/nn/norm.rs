//! The norms over the last dimension: layer normalisation (Ba et al. 2016), `(x - mean) / sqrt(variance + epsilon) * scale +
//! shift`, and root-mean-square normalisation (Zhang and Sennrich 2019), `x / sqrt(mean(x²) + epsilon) * scale`.

use burn::tensor::Tensor;

use super::kernels::{self, DroppedLines, add, drop_lines};
use crate::model::Weights;
use crate::model::inventory::Inventory;
use crate::model::shape::NormShape;

/// One of the two, as the shape of a model says.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Norm {
    scale: usize,
    /// Of a layer norm.
    shift: Option<usize>,
    epsilon: f32,
}

impl Norm {
    /// `name.weight` and, for a layer norm, `name.bias`: `[width]`.
    pub(in crate::model) fn describe(inventory: &mut Inventory, name: &str, width: usize, shape: NormShape) -> Self {
        let scale = inventory.scale(format!("{name}.weight"), width);
        let (shift, epsilon) = match shape {
            NormShape::Layer { epsilon } => (Some(inventory.bias(format!("{name}.bias"), width)), epsilon),
            NormShape::Rms { epsilon } => (None, epsilon),
        };
        Self { scale, shift, epsilon: epsilon as f32 }
    }

    /// `x`: `[rows, width]`.
    pub(in crate::model) fn forward(&self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        let scale = weights.vector(self.scale);
        match self.shift {
            Some(shift) => kernels::layer_norm(x, scale, weights.vector(shift), self.epsilon),
            None => kernels::rms_norm(x, scale, self.epsilon),
        }
    }

    /// The norm of `x`, with dropout where there is one, plus `residual`, both `[rows, width]`.
    pub(in crate::model) fn of_sum(
        &self,
        weights: &Weights,
        x: Tensor<2>,
        residual: Tensor<2>,
        dropout: Option<DroppedLines>,
    ) -> Tensor<2> {
        match self.shift {
            Some(shift) => {
                let parameters = [weights.vector(self.scale), weights.vector(shift)];
                kernels::residual_layer_norm(x, residual, parameters, self.epsilon, dropout)
            }
            None => {
                let [norm, _] = self.with_sum(weights, x, residual, dropout);
                norm
            }
        }
    }

    /// [`Norm::of_sum`], and the sum.
    pub(in crate::model) fn with_sum(
        &self,
        weights: &Weights,
        x: Tensor<2>,
        residual: Tensor<2>,
        dropout: Option<DroppedLines>,
    ) -> [Tensor<2>; 2] {
        match self.shift {
            Some(_) => {
                let sum = residual_sum(x, residual, dropout);
                [self.forward(weights, sum.clone()), sum]
            }
            None => kernels::residual_rms_norm(x, residual, weights.vector(self.scale), self.epsilon, dropout),
        }
    }
}

/// `x`, with dropout where there is one, plus `residual`, both `[rows, width]`.
pub(super) fn residual_sum(x: Tensor<2>, residual: Tensor<2>, dropout: Option<DroppedLines>) -> Tensor<2> {
    match dropout {
        Some(dropout) => add(drop_lines(x, dropout), residual),
        None => add(x, residual),
    }
}
