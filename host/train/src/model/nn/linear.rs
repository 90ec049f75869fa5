//! `y = x Wᵀ + b`, with `W` as checkpoints have it: `[out, in]`.

use burn::tensor::Tensor;
use retune_tensor::{AnyTensor, Head, lazy_logits};

use super::{activate, kernels};
use crate::model::inventory::Inventory;
use crate::model::shape::Activation;
use crate::model::{Layout, Weights};

/// A projection.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Linear {
    weight: usize,
    bias: Option<usize>,
}

impl Linear {
    /// `name.weight` `[out, in]` and, when asked for, `name.bias` `[out]`.
    pub(in crate::model) fn describe(
        inventory: &mut Inventory,
        name: &str,
        input: usize,
        out: usize,
        bias: bool,
    ) -> Self {
        let weight = inventory.matrix(format!("{name}.weight"), out, input);
        Self { weight, bias: bias.then(|| inventory.bias(format!("{name}.bias"), out)) }
    }

    /// A projection with another parameter's matrix: tied embeddings.
    pub(in crate::model) fn tied(weight: usize) -> Self {
        Self { weight, bias: None }
    }

    /// The result as `[sequences, longest, out]`, not computed yet: logits over a vocabulary, zero on padding. `x`: `[tokens, in]`.
    pub(in crate::model) fn lazy(&self, weights: &Weights, x: Tensor<2>, layout: &Layout) -> AnyTensor {
        let head = Head {
            hidden: x.into(),
            weight: weights.matrix(self.weight).into(),
            bias: self.bias.map(|bias| weights.vector(bias).into()),
            soft_cap: None,
        };
        let rows = (!layout.is_even()).then(|| {
            let tokens: Vec<Option<u32>> = (0..layout.tokens() as u32).map(Some).collect();
            layout.pad_values(&tokens, None)
        });
        lazy_logits(head, &[layout.len(), layout.longest()], rows)
            .unwrap_or_else(|error| unreachable!("described shapes: {error}"))
    }

    /// `x`: `[rows, in]`; gives `[rows, out]`.
    pub(in crate::model) fn forward(&self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        let weight = weights.matrix(self.weight);
        match self.bias {
            Some(bias) => kernels::project_bias(x, weight, weights.vector(bias)),
            None => kernels::project(x, weight),
        }
    }

    /// `activation` of the result.
    pub(in crate::model) fn activated(&self, weights: &Weights, x: Tensor<2>, activation: Activation) -> Tensor<2> {
        match self.bias {
            Some(bias) => kernels::project_activate(x, weights.matrix(self.weight), weights.vector(bias), activation),
            None => activate(activation, self.forward(weights, x)),
        }
    }

    /// `silu` of the result of `gate`, times that of `up`.
    pub(in crate::model) fn gated(gate: &Self, up: &Self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        if gate.bias.is_none() && up.bias.is_none() {
            return kernels::project_gated(x, weights.matrix(gate.weight), weights.matrix(up.weight));
        }
        kernels::swiglu(gate.forward(weights, x.clone()), up.forward(weights, x))
    }
}
