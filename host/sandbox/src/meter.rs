//! What a use of a plugin takes, over all of its instances and calls.
//!
//! A limit on a call bounds a call; a run makes millions of them. So a use (a plugin in its place in a recipe) has a meter that all
//! its instances share: how often it was called, how long that took, the most memory and tensors an instance held, what it read
//! and what it had to say. Two of these have limits of their own, `limits.total_s` and `limits.words_mib`; all of them are written into
//! the run's manifest and shown in its report. Price: two looks at the clock and some additions a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a use of a plugin took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Used {
    /// Calls of its functions.
    pub calls: u64,
    /// Time in them, in seconds, added up over instances.
    pub seconds: f64,
    /// The most linear memory an instance had, in bytes.
    pub memory: u64,
    /// The most bytes of tensors an instance held, with what a backward pass keeps of them.
    pub tensors: u64,
    /// Calls of the host's tensor operations.
    pub operations: u64,
    /// Bytes of tensor data that it read.
    pub read: u64,
    /// Bytes of words that it had to say: log lines, reasons, names of values.
    pub words: u64,
    /// Log lines that were dropped, because its words were used up or there were too many in a call.
    pub dropped_lines: u64,
}

impl Used {
    /// Of two parts of a run, before and after it was stopped.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            seconds: self.seconds + other.seconds,
            memory: self.memory.max(other.memory),
            tensors: self.tensors.max(other.tensors),
            operations: self.operations + other.operations,
            read: self.read + other.read,
            words: self.words + other.words,
            dropped_lines: self.dropped_lines + other.dropped_lines,
        }
    }
}

/// Counts for one use; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU64,
    nanoseconds: AtomicU64,
    memory: AtomicU64,
    tensors: AtomicU64,
    operations: AtomicU64,
    read: AtomicU64,
    words: AtomicU64,
    dropped_lines: AtomicU64,
}

impl Meter {
    /// What was counted so far.
    pub fn used(&self) -> Used {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Used {
            calls: get(&self.0.calls),
            seconds: self.time().as_secs_f64(),
            memory: get(&self.0.memory),
            tensors: get(&self.0.tensors),
            operations: get(&self.0.operations),
            read: get(&self.0.read),
            words: get(&self.0.words),
            dropped_lines: get(&self.0.dropped_lines),
        }
    }

    /// Time in calls so far.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_nanos(self.0.nanoseconds.load(Ordering::Relaxed))
    }

    /// After a call.
    pub(crate) fn called(&self, took: Duration, memory: u64, tensors: u64, operations: u64, read: u64) {
        let add = |count: &AtomicU64, more: u64| count.fetch_add(more, Ordering::Relaxed);
        add(&self.0.calls, 1);
        add(&self.0.nanoseconds, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        add(&self.0.operations, operations);
        add(&self.0.read, read);
        self.0.memory.fetch_max(memory, Ordering::Relaxed);
        self.0.tensors.fetch_max(tensors, Ordering::Relaxed);
    }

    /// Counts words; whether there were at most `most` bytes of them, these included.
    pub(crate) fn say(&self, bytes: u64, most: u64) -> bool {
        self.0.words.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= most
    }

    /// Counts a log line that is dropped; whether it is the first.
    pub(crate) fn drop_line(&self) -> bool {
        self.0.dropped_lines.fetch_add(1, Ordering::Relaxed) == 0
    }
}
