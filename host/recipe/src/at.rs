//! A value and where in the recipe it stands.

use std::ops::{Deref, Range};

use serde::Serialize;

/// A value with the bytes of the recipe it came from; none for a default.
///
/// Compares and serialises as the value alone.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct At<T> {
    value: T,
    #[serde(skip)]
    span: Option<Range<usize>>,
}

impl<T> At<T> {
    /// A value that stands at `span`.
    pub fn new(value: T, span: Range<usize>) -> Self {
        Self { value, span: Some(span) }
    }

    /// A value the recipe leaves out.
    pub fn default_of(value: T) -> Self {
        Self { value, span: None }
    }

    /// Where it stands.
    pub fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }

    /// The value alone.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// The same place, another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At { value: f(self.value), span: self.span }
    }
}

impl<T> Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
