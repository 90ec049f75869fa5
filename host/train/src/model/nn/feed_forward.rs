//! The feed-forward half of a block: to a wider space, through a non-linearity, and back.

use burn::tensor::Tensor;

use super::{Linear, activate, kernels};
use crate::model::Weights;
use crate::model::dropout::Dropout;
use crate::model::inventory::Inventory;
use crate::model::mask::Site;
use crate::model::shape::{Activation, Gate, Shape};

/// `down(f(up(x)))`, or `down(f(gate(x)) up(x))` (Shazeer 2020).
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct FeedForward {
    gate: Gated,
    up: Linear,
    down: Linear,
    activation: Activation,
    dropout: f64,
}

#[derive(Clone, Copy, Debug)]
enum Gated {
    Not,
    By(Linear),
    /// `up` gives both, this wide each.
    Fused(usize),
}

impl FeedForward {
    /// The projections of the block called `block`.
    pub(in crate::model) fn describe(inventory: &mut Inventory, block: &str, model: &Shape) -> Self {
        let (hidden, shape) = (model.hidden_size, &model.feed_forward);
        let inner = shape.intermediate_size;
        let describe = if model.transposed { Linear::describe_transposed } else { Linear::describe };
        let mut linear =
            |name: &str, input, output| describe(inventory, &format!("{block}.{name}"), input, output, shape.bias);
        let (gate, out) = match shape.gate {
            Gate::None => (Gated::Not, inner),
            Gate::Apart(name) => (Gated::By(linear(name, hidden, inner)), inner),
            Gate::Fused => (Gated::Fused(inner), 2 * inner),
        };
        Self {
            gate,
            up: linear(shape.up, hidden, out),
            down: linear(shape.down, inner, hidden),
            activation: shape.activation,
            dropout: shape.dropout,
        }
    }

    /// `x`: `[tokens, hidden]`; gives the same.
    pub(in crate::model) fn forward(
        &self,
        weights: &Weights,
        x: Tensor<2>,
        dropout: &Dropout,
        site: Site,
    ) -> Tensor<2> {
        let inner = match (&self.gate, self.activation) {
            (Gated::Not, activation) => self.up.activated(weights, x, activation, dropout),
            (Gated::By(gate), Activation::Silu) => Linear::gated(gate, &self.up, weights, x, dropout),
            (Gated::By(gate), activation) => {
                let gate = gate.forward(weights, x.clone(), dropout);
                activate(activation, gate) * self.up.forward(weights, x, dropout)
            }
            (Gated::Fused(width), activation) => {
                let [gate, up] = self.up.split(weights, x, [*width, *width], dropout);
                match activation {
                    Activation::Silu => kernels::swiglu(gate, up),
                    activation => activate(activation, gate) * up,
                }
            }
        };
        self.down.forward(weights, dropout.lines(inner, self.dropout, site), dropout)
    }
}
