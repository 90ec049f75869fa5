//! The tensors of one micro-batch, by name.
//!
//! Well-known names. Sequence tasks: `logits` `[batch, classes]`, `labels`
//! `[batch]`, `pooled` `[batch, hidden]`. Token tasks: `logits`
//! `[batch, seq, vocab]` or `[batch, seq, classes]`; `labels` `[batch, seq]`, aligned with the logits and
//! [`IGNORE_INDEX`] where there is none; `weights` `[batch, seq]`, zero on
//! padding. Several labels a row: `labels` `[batch, classes]`, float32 1 where
//! the label holds, else 0. Regression: `predictions` and `targets`
//! `[batch, outputs]`, in place of logits and labels. Any task: `hidden` `[batch, seq, hidden]` and `column.<name>`
//! `[batch]` from the data.

use crate::{Error, Result, Tensor};

#[cfg(target_arch = "wasm32")]
type Inner = crate::bindings::host::retune::plugin::batch::Batch;
#[cfg(not(target_arch = "wasm32"))]
type Inner = crate::mock::Batch;

/// The label of a position that carries no loss.
pub const IGNORE_INDEX: i64 = -100;

/// A tensor a plugin will ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The name to ask for.
    pub name: String,
    /// When true, a run that cannot supply it goes on without.
    pub optional: bool,
}

impl Input {
    /// A tensor the plugin cannot work without: a run that has none is refused.
    pub fn required(name: impl Into<String>) -> Self {
        Self { name: name.into(), optional: false }
    }

    /// A tensor the plugin uses where there is one.
    pub fn optional(name: impl Into<String>) -> Self {
        Self { name: name.into(), optional: true }
    }
}

/// Named tensors, lent for one call.
pub struct Batch(pub(crate) Inner);

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").finish_non_exhaustive()
    }
}

impl Batch {
    /// The tensor called `name`, when the run can supply it.
    pub fn get(&self, name: &str) -> Option<Tensor> {
        self.0.get(name).map(Tensor)
    }

    /// The tensor called `name`.
    ///
    /// # Errors
    /// When there is none; cannot happen for a name that `wants` gives as required.
    pub fn require(&self, name: &str) -> Result<Tensor> {
        self.get(name).ok_or_else(|| {
            Error::input(format!("the batch has no tensor `{name}`; name it in `wants` to have the host supply it"))
        })
    }
}
