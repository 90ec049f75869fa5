//! What a call has recorded for its backward pass, by operation: what is told when it is more than the call has time for.

use std::time::Duration;

use crate::operation::Operation;

/// Operations of one name that were recorded in a call.
pub(crate) struct Recorded {
    pub operation: Operation,
    pub count: u64,
    /// The least time of their backward passes.
    pub backward: Duration,
    /// The most of it that one of them takes, and the largest tensor that it reads.
    pub most: (Duration, Vec<usize>),
}
