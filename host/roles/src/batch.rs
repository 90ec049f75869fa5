//! The tensors of one micro-batch, by name.

use std::sync::Arc;

use retune_tensor::AnyTensor;

/// A tensor that a loss or a metric asks for.
///
/// Well-known names. Sequence tasks: `logits` `[batch, classes]`, `labels`
/// `[batch]`, `pooled` `[batch, hidden]`. Token tasks: `logits`
/// `[batch, seq, vocab]` or `[batch, seq, classes]`, `labels` `[batch, seq]` aligned with the logits and
/// -100 where there is none, `weights` `[batch, seq]`, zero on padding. Several labels a row: `labels`
/// `[batch, classes]`, float32 1 or 0. Regression: `predictions` and `targets` `[batch, outputs]` in place of both. Any task:
/// `hidden` `[batch, seq, hidden]` and `column.<name>` `[batch]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSpec {
    /// The name to ask for.
    pub name: String,
    /// When true, a run that cannot supply it goes on without.
    pub optional: bool,
}

impl InputSpec {
    /// A tensor the role cannot work without.
    pub fn required(name: impl Into<String>) -> Self {
        Self { name: name.into(), optional: false }
    }
}

/// Named tensors, lent for one call. Cheap to clone: tensors are handles.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    tensors: Vec<(String, AnyTensor)>,
    keys: Vec<String>,
    classes: Arc<[String]>,
}

impl Batch {
    /// A batch of the rows `keys`, with no tensors yet.
    pub fn new(keys: Vec<String>) -> Self {
        Self { tensors: Vec::new(), keys, classes: Arc::default() }
    }

    /// Adds a tensor, replacing one of the same name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: AnyTensor) {
        let name = name.into();
        match self.tensors.iter_mut().find(|(n, _)| *n == name) {
            Some(slot) => slot.1 = tensor,
            None => self.tensors.push((name, tensor)),
        }
    }

    /// The same batch with one more tensor.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, tensor: AnyTensor) -> Self {
        self.insert(name, tensor);
        self
    }

    /// The tensor called `name`, when the run can supply it.
    pub fn get(&self, name: &str) -> Option<&AnyTensor> {
        self.tensors.iter().find(|(n, _)| n == name).map(|(_, t)| t)
    }

    /// The names that are there, in insertion order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().map(|(n, _)| n.as_str())
    }

    /// Keys of the rows, in order; for error messages.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The same batch, of a task with these classes.
    #[must_use]
    pub fn of_classes(mut self, classes: Arc<[String]>) -> Self {
        self.classes = classes;
        self
    }

    /// Names of the task's classes, class 0 first, or of a regression's numbers; empty without a label set.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }
}
