//! The residual stream: hidden states, and what a half of a block adds to them.
//!
//! What is added waits until somebody reads the stream: where that is a norm, sum and norm are one pass over memory.

use burn::tensor::Tensor;

use super::kernels::DroppedLines;
use super::norm::{Norm, residual_sum};
use crate::model::Weights;

/// `[tokens, hidden]`.
pub(in crate::model) struct Stream {
    states: Tensor<2>,
    added: Option<(Tensor<2>, Option<DroppedLines>)>,
}

impl Stream {
    /// Of these hidden states.
    pub(in crate::model) fn new(states: Tensor<2>) -> Self {
        Self { states, added: None }
    }

    /// Adds `x`, with dropout where there is one.
    pub(in crate::model) fn plus(self, x: Tensor<2>, dropout: Option<DroppedLines>) -> Self {
        Self { states: self.states(), added: Some((x, dropout)) }
    }

    /// The hidden states.
    pub(in crate::model) fn states(self) -> Tensor<2> {
        match self.added {
            Some((x, dropout)) => residual_sum(x, self.states, dropout),
            None => self.states,
        }
    }

    /// The hidden states, and the stream as it goes on beside them.
    pub(in crate::model) fn read(self) -> (Tensor<2>, Self) {
        let states = self.states();
        (states.clone(), Self::new(states))
    }

    /// The norm of the hidden states, and the stream as it goes on beside it.
    pub(in crate::model) fn normed(self, norm: &Norm, weights: &Weights) -> (Tensor<2>, Self) {
        let [normed, states] = match self.added {
            Some((x, dropout)) => norm.with_sum(weights, x, self.states, dropout),
            None => [norm.forward(weights, self.states.clone()), self.states],
        };
        (normed, Self::new(states))
    }
}
