//! A number that says how good the model is, computed in a stream.

use crate::{Batch, InputSpec, Result, TextExample};

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

/// What a metric is fed; one of them at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads {
    /// What the model computes for the rows of an evaluation set: [`Metric::update`].
    pub tensors: bool,
    /// What it writes when it is asked: [`Metric::update_texts`].
    pub texts: bool,
}

impl Reads {
    /// Tensors alone.
    pub const TENSORS: Self = Self { tensors: true, texts: false };
    /// Texts alone.
    pub const TEXTS: Self = Self { tensors: false, texts: true };
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
    /// What it is fed.
    fn reads(&self) -> Reads {
        Reads::TENSORS
    }
    /// The tensors `update` will ask for; none of a metric that reads texts alone.
    fn wants(&self) -> &[InputSpec];
    /// Folds one batch of untracked tensors into the state. Not called unless it reads tensors.
    fn update(&mut self, batch: &Batch) -> Result<()>;
    /// Folds answers into the state. Not called unless it reads texts.
    fn update_texts(&mut self, _: &[TextExample]) -> Result<()> {
        Ok(())
    }
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
