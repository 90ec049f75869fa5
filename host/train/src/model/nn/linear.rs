//! `y = x Wᵀ + b`, with `W` as checkpoints have it: `[out, in]`.

use burn::tensor::Tensor;
use retune_tensor::{AnyTensor, Head, lazy_logits};

use super::kernels;
use crate::model::Weights;
use crate::model::inventory::Inventory;

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

    /// The result as `[..lead, out]`, not computed yet: logits over a vocabulary. `x`: `[rows, in]`.
    pub(in crate::model) fn lazy(&self, weights: &Weights, x: Tensor<2>, lead: &[usize]) -> AnyTensor {
        let head = Head {
            hidden: x.into(),
            weight: weights.matrix(self.weight).into(),
            bias: self.bias.map(|bias| weights.vector(bias).into()),
            soft_cap: None,
        };
        lazy_logits(head, lead, None).unwrap_or_else(|error| unreachable!("described shapes: {error}"))
    }

    /// `x`: `[rows, in]`; gives `[rows, out]`.
    pub(in crate::model) fn forward(&self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        let y = kernels::project(x, weights.matrix(self.weight));
        match self.bias {
            Some(bias) => kernels::add_bias(y, weights.vector(bias)),
            None => y,
        }
    }
}
