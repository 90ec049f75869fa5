//! Layer normalisation (Ba et al. 2016) over the last dimension.

use burn::tensor::Tensor;

use super::kernels::{self, DroppedLines};
use crate::model::Weights;
use crate::model::inventory::Inventory;

/// `(x - mean) / sqrt(variance + epsilon) * scale + shift`.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct LayerNorm {
    scale: usize,
    shift: usize,
    epsilon: f64,
}

impl LayerNorm {
    /// `name.weight` and `name.bias`, `[width]`.
    pub(in crate::model) fn describe(inventory: &mut Inventory, name: &str, width: usize, epsilon: f64) -> Self {
        let scale = inventory.scale(format!("{name}.weight"), width);
        Self { scale, shift: inventory.bias(format!("{name}.bias"), width), epsilon }
    }

    /// `x`: `[rows, width]`.
    pub(in crate::model) fn forward(&self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        kernels::layer_norm(x, weights.vector(self.scale), weights.vector(self.shift), self.epsilon as f32)
    }

    /// The norm of `x`, with dropout where there is one, plus `residual`, both `[rows, width]`.
    pub(in crate::model) fn forward_residual(
        &self,
        weights: &Weights,
        x: Tensor<2>,
        residual: Tensor<2>,
        dropout: Option<DroppedLines>,
    ) -> Tensor<2> {
        let parameters = [weights.vector(self.scale), weights.vector(self.shift)];
        kernels::residual_layer_norm(x, residual, parameters, self.epsilon as f32, dropout)
    }
}
