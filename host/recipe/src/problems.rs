//! What is wrong with a recipe, gathered so that one reading tells all of it.

use std::ops::Range;

use crate::diagnostic::Diagnostic;
use crate::place::{Place, Source};

/// Where problems are gathered.
#[derive(Default)]
pub struct Problems(Vec<Found>);

struct Found {
    source: usize,
    span: Range<usize>,
    label: String,
    diagnostic: Diagnostic,
}

impl Problems {
    /// Adds one about the value at `place`.
    pub fn add(&mut self, place: &Place, message: impl Into<String>, label: impl Into<String>, help: Option<String>) {
        self.push(place.source, place.value.clone(), label, Diagnostic::new(message).help_some(help));
    }

    /// Adds one that points at bytes of a source.
    pub fn push(&mut self, source: usize, span: Range<usize>, label: impl Into<String>, diagnostic: Diagnostic) {
        self.0.push(Found { source, span, label: label.into(), diagnostic });
    }

    /// Whether nothing was wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of the texts; none is no diagnostic.
    pub fn into_diagnostic(mut self, sources: &[Source]) -> Option<Diagnostic> {
        self.0.sort_by_key(|found| (found.source, found.span.start));
        let at = |found: Found| match sources.get(found.source) {
            Some(source) => found.diagnostic.at(&source.text, found.span, found.label),
            None => found.diagnostic,
        };
        Diagnostic::all(self.0.into_iter().map(at).collect())
    }
}
