//! Root-mean-square normalisation (Zhang and Sennrich 2019) over the last dimension.

use burn::tensor::Tensor;

use super::kernels;
use crate::model::Weights;
use crate::model::inventory::Inventory;

/// `x / sqrt(mean(x²) + epsilon) * scale`.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct RmsNorm {
    scale: usize,
    epsilon: f64,
}

impl RmsNorm {
    /// `name.weight`, `[width]`.
    pub(in crate::model) fn describe(inventory: &mut Inventory, name: &str, width: usize, epsilon: f64) -> Self {
        Self { scale: inventory.scale(format!("{name}.weight"), width), epsilon }
    }

    /// `x`: `[rows, width]`.
    pub(in crate::model) fn forward(&self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        kernels::rms_norm(x, weights.vector(self.scale), self.epsilon as f32)
    }
}
