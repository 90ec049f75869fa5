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
    kind: Kind,
    epsilon: f32,
}

/// What sets norms apart.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Layer normalisation, with the index of the shift where there is one.
    Layer(Option<usize>),
    /// Root-mean-square normalisation.
    Rms,
    /// The same with a scale of one plus the parameter.
    RmsPlusOne,
}

impl Norm {
    /// `name.weight` and, for a layer norm with a shift, `name.bias`: `[width]`.
    pub(in crate::model) fn describe(inventory: &mut Inventory, name: &str, width: usize, shape: NormShape) -> Self {
        let weight = format!("{name}.weight");
        let (scale, kind, epsilon) = match shape {
            NormShape::Layer { epsilon } => {
                let scale = inventory.scale(weight, width);
                (scale, Kind::Layer(Some(inventory.bias(format!("{name}.bias"), width))), epsilon)
            }
            NormShape::Unshifted { epsilon } => (inventory.scale(weight, width), Kind::Layer(None), epsilon),
            NormShape::Rms { epsilon } => (inventory.scale(weight, width), Kind::Rms, epsilon),
            NormShape::RmsPlusOne { epsilon } => (inventory.added_scale(weight, width), Kind::RmsPlusOne, epsilon),
        };
        Self { scale, kind, epsilon: epsilon as f32 }
    }

    /// `x`: `[rows, width]`.
    pub(in crate::model) fn forward(&self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        let scale = self.scale(weights);
        match self.kind {
            Kind::Layer(shift) => {
                let shift = Self::shift(weights, shift, &scale);
                kernels::layer_norm(x, scale, shift, self.epsilon)
            }
            Kind::Rms | Kind::RmsPlusOne => kernels::rms_norm(x, scale, self.epsilon),
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
        match self.kind {
            Kind::Layer(shift) => {
                let scale = self.scale(weights);
                let shift = Self::shift(weights, shift, &scale);
                kernels::residual_layer_norm(x, residual, [scale, shift], self.epsilon, dropout)
            }
            Kind::Rms | Kind::RmsPlusOne => {
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
        match self.kind {
            Kind::Layer(_) => {
                let sum = residual_sum(x, residual, dropout);
                [self.forward(weights, sum.clone()), sum]
            }
            Kind::Rms | Kind::RmsPlusOne => {
                kernels::residual_rms_norm(x, residual, self.scale(weights), self.epsilon, dropout)
            }
        }
    }

    fn scale(&self, weights: &Weights) -> Tensor<1> {
        let parameter = weights.vector(self.scale);
        match self.kind {
            Kind::RmsPlusOne => parameter + 1.0,
            Kind::Layer(_) | Kind::Rms => parameter,
        }
    }

    /// The shift of a layer norm; zeros as wide as the scale where it has none.
    fn shift(weights: &Weights, shift: Option<usize>, scale: &Tensor<1>) -> Tensor<1> {
        match shift {
            Some(shift) => weights.vector(shift),
            None => Tensor::zeros(scale.dims(), &scale.device()),
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
