//! Where the documents of a batch lie, and what a device was told of them.
//!
//! All blocks of a network attend within the same documents, forward and backward. What a device needs to know of
//! them (see [`super::padded_attention`]) is made once for all, and lives as long as they do.

use std::any::Any;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::{Arc, OnceLock};

/// The tokens of each document of a batch, disjoint: attention does not leave them. A clone is a handle.
#[derive(Clone)]
pub struct Documents(Arc<Inner>);

struct Inner {
    spans: Vec<Range<usize>>,
    /// Of whichever backend asked first.
    prepared: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Documents {
    /// What `make` gave when it was first called.
    pub(super) fn prepared<T: Any + Clone + Send + Sync>(&self, make: impl Fn() -> T) -> T {
        let prepared = self.0.prepared.get_or_init(|| Box::new(make()));
        prepared.downcast_ref().cloned().unwrap_or_else(make)
    }
}

impl FromIterator<Range<usize>> for Documents {
    fn from_iter<I: IntoIterator<Item = Range<usize>>>(spans: I) -> Self {
        Self(Arc::new(Inner { spans: spans.into_iter().collect(), prepared: OnceLock::new() }))
    }
}

impl Deref for Documents {
    type Target = [Range<usize>];

    fn deref(&self) -> &Self::Target {
        &self.0.spans
    }
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Documents").field(&self.0.spans).finish()
    }
}
