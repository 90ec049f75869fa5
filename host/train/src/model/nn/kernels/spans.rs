//! What attention is to do: which tokens see which, and what drops out.
//!
//! Tokens of a batch lie in one flat list; a *span* is a document in it. A query sees
//! keys of its own span only, and positions count from the span's start.

use std::ops::Range;
use std::sync::Arc;

use super::documents::Documents;
use crate::model::mask::{Rate, Site, place_of, stream};

/// Which keys a query at position `i` of its span sees: `i - before ..= i + after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    before: usize,
    after: usize,
}

impl Pattern {
    /// All keys of the span.
    pub const FULL: Self = Self { before: usize::MAX, after: usize::MAX };

    /// Itself and what is before.
    pub const CAUSAL: Self = Self { before: usize::MAX, after: 0 };

    /// Itself, `before` keys before and `after` keys after: a sliding window.
    pub const fn window(before: usize, after: usize) -> Self {
        Self { before, after }
    }

    /// What the queries `from..to` of a span of `length` see together.
    pub(super) fn seen(self, from: usize, to: usize, length: usize) -> Range<usize> {
        from.saturating_sub(self.before)..to.saturating_add(self.after).min(length)
    }
}

/// Dropout of hidden states, whose factors are computed where they are used and never stored.
#[derive(Clone, Debug)]
pub struct DroppedLines {
    /// How many, and the scale of the rest.
    pub rate: Rate,
    /// The place in the model.
    pub site: Site,
    /// For each line the seed of its row and its position there.
    pub places: Arc<[(u64, u64)]>,
}

impl DroppedLines {
    /// The factors of one line.
    #[inline]
    pub(super) fn fill(&self, line: usize, factors: &mut [f32]) {
        self.rate.fill(self.stream(line), 0, factors);
    }

    /// The random stream of one line.
    #[inline]
    pub(super) fn stream(&self, line: usize) -> u64 {
        let (seed, position) = self.places[line];
        stream(seed, self.site, position)
    }
}

/// Dropout of the probabilities.
#[derive(Clone, Debug)]
pub struct Dropped {
    /// How many, and the scale of the rest.
    pub rate: Rate,
    /// A seed for each span.
    pub seeds: Arc<[u64]>,
    /// The place in the model.
    pub site: Site,
}

impl Dropped {
    /// The random stream of one query's line of probabilities.
    pub(super) fn stream(&self, span: usize, head: usize, query: usize) -> u64 {
        stream(self.seeds[span], self.site, Self::position(head, query))
    }

    /// What a stream is made of besides the seed.
    pub(super) fn place(&self, head: usize, query: usize) -> u64 {
        place_of(self.site, Self::position(head, query))
    }

    fn position(head: usize, query: usize) -> u64 {
        (head as u64) << 32 | query as u64
    }
}

/// One call of attention.
#[derive(Clone, Debug)]
pub struct Spans {
    /// Tokens of each document. What lies outside of all gets zeros.
    pub spans: Documents,
    /// Query heads; a multiple of `kv_heads`.
    pub heads: usize,
    /// Key and value heads. Query head `h` reads key head `h / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// Which keys a query sees.
    pub pattern: Pattern,
    /// Scores are multiplied by it.
    pub scale: f32,
    /// Scaled scores become `cap tanh(score / cap)` (Gemma 2).
    pub soft_cap: Option<f32>,
    /// Dropout of the probabilities.
    pub dropout: Option<Dropped>,
}
