//! A training objective.

use retune_tensor::AnyTensor;

use crate::{Batch, InputSpec, Progress, Result};

/// What a loss gives for one micro-batch: two sums.
///
/// The host adds numerators and denominators over the micro-batches and workers
/// of an optimiser step and divides once, so accumulation and data parallelism
/// never change the result.
#[derive(Clone, Debug)]
pub struct LossOutput {
    /// Sum of the per-item losses, shape `[]`, differentiable.
    pub numerator: AnyTensor,
    /// What to divide by, shape `[]`; carries no gradient.
    pub denominator: AnyTensor,
    /// Further scalars for the log.
    pub reported: Vec<Reported>,
}

/// A scalar a loss wants logged: `sum / count` over the step.
#[derive(Clone, Debug)]
pub struct Reported {
    /// Name in the event log.
    pub name: String,
    /// Shape `[]`.
    pub sum: AnyTensor,
    /// Shape `[]`.
    pub count: AnyTensor,
}

/// A training objective.
pub trait Loss {
    /// Who this is, for messages: `cross-entropy`, `focal (plugins/focal.wasm)`.
    fn name(&self) -> &str;

    /// The tensors `compute` will ask for. The run is refused before it starts
    /// when a required one cannot be had; no others are computed.
    fn wants(&self) -> &[InputSpec];

    /// Called once per micro-batch, in training (tracked tensors) and in
    /// validation (untracked ones). What an instance with state remembers of a
    /// validation in the course of a run is taken back after it.
    fn compute(&mut self, batch: &Batch, at: &Progress) -> Result<LossOutput>;

    /// State for the checkpoint; `None` when there is none.
    fn save(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Restores what [`Loss::save`] gave: on a new instance, and on the one that gave
    /// it after each validation in the course of a run.
    fn load(&mut self, _state: &[u8]) -> Result<()> {
        Ok(())
    }
}
