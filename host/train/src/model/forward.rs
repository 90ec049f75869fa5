//! What a forward pass gives to the roles of a run.
//!
//! The network computes hidden states of real tokens, without padding. A role that wants them as `[batch, seq, hidden]` gets
//! them so; until one asks, they are not padded.

use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;
use retune_tensor::AnyTensor;

use super::Layout;
use super::head::Output;

/// What one forward pass gives.
#[derive(Clone, Debug)]
pub struct Forward {
    /// `[batch, classes]`; `[batch, seq, vocab]` for language models, `[batch, seq, classes]` where tokens are labelled.
    pub logits: AnyTensor,
    /// What the classifier reads, before its dropout: `[batch, hidden]`.
    pub pooled: Option<AnyTensor>,
    /// `[tokens, hidden]`.
    states: Tensor<2>,
    layout: Arc<Layout>,
    padded: OnceLock<AnyTensor>,
}

impl Forward {
    pub(super) fn new(output: Output, layout: Arc<Layout>) -> Self {
        let Output { logits, hidden, pooled } = output;
        Self { logits, pooled: pooled.map(AnyTensor::from), states: hidden, layout, padded: OnceLock::new() }
    }

    /// The last hidden states, `[batch, seq, hidden]`: padded when they are first asked for.
    pub fn hidden(&self) -> &AnyTensor {
        self.padded.get_or_init(|| self.layout.pad(self.states.clone()).into())
    }

    /// Whether somebody has asked for [`Forward::hidden`].
    #[cfg(test)]
    pub(crate) fn is_padded(&self) -> bool {
        self.padded.get().is_some()
    }
}
