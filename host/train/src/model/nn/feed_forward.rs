//! The feed-forward half of a block: to a wider space, through a non-linearity, and back.

use burn::tensor::Tensor;

use super::{Linear, activate};
use crate::model::Weights;
use crate::model::inventory::Inventory;
use crate::model::shape::{Activation, FeedForwardShape};

/// `down(f(up(x)))`, or `down(f(gate(x)) up(x))` (Shazeer 2020).
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct FeedForward {
    gate: Option<Linear>,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl FeedForward {
    /// The projections of the block called `block`, with `hidden` features in and out.
    pub(in crate::model) fn describe(
        inventory: &mut Inventory,
        block: &str,
        hidden: usize,
        shape: &FeedForwardShape,
    ) -> Self {
        let inner = shape.intermediate_size;
        let mut linear = |name: &str, input, output| {
            Linear::describe(inventory, &format!("{block}.{name}"), input, output, shape.bias)
        };
        Self {
            gate: shape.gate.map(|name| linear(name, hidden, inner)),
            up: linear(shape.up, hidden, inner),
            down: linear(shape.down, inner, hidden),
            activation: shape.activation,
        }
    }

    /// `x`: `[tokens, hidden]`; gives the same.
    pub(in crate::model) fn forward(&self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        let inner = match &self.gate {
            None => self.up.activated(weights, x, self.activation),
            Some(gate) => match self.activation {
                Activation::Silu => Linear::gated(gate, &self.up, weights, x),
                activation => activate(activation, gate.forward(weights, x.clone())) * self.up.forward(weights, x),
            },
        };
        self.down.forward(weights, inner)
    }
}
