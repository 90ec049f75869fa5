//! A number that says how good the model is, computed in a stream.

use crate::{Batch, InputSpec, Result};

/// One value a metric gives.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueSpec {
    /// Name in reports and in `evaluation.best`: `accuracy`, `macro_f1`.
    pub name: String,
    /// `percent`, `nats`; absent for plain numbers.
    pub unit: Option<String>,
    /// Which way is better, for best-model choice and early stopping.
    pub higher_is_better: bool,
}

/// Streams over an evaluation set; state is small and mergeable.
///
/// `merge` is associative and commutative, with the state after `reset` as its
/// unit, so that workers' parts can be folded in any grouping.
pub trait Metric {
    /// Who this is, for messages.
    fn name(&self) -> &str;
    /// What `compute` gives, in order.
    fn describe(&self) -> &[ValueSpec];
    /// The tensors `update` will ask for.
    fn wants(&self) -> &[InputSpec];
    /// Folds one batch of untracked tensors into the state.
    fn update(&mut self, batch: &Batch) -> Result<()>;
    /// The state as bytes.
    fn snapshot(&mut self) -> Result<Vec<u8>>;
    /// Adds another instance's state to this one.
    fn merge(&mut self, snapshot: &[u8]) -> Result<()>;
    /// The values, named as in `describe` (further ones may follow, for example
    /// one per class). NaN means "undefined on this data".
    fn compute(&mut self) -> Result<Vec<(String, f64)>>;
    /// Back to the state before the first batch.
    fn reset(&mut self) -> Result<()>;
}
