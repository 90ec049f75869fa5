//! A broken rule of the contract, found by the host while the guest runs.

use std::fmt;

/// Ends the guest's call as a trap, so that its author gets the line.
#[derive(Debug)]
pub(crate) struct Violation {
    /// One sentence without a full stop: `tensor.add: ...`.
    pub reason: String,
    /// What to do next, where there is more to say than "mend the plugin".
    pub help: Option<String>,
}

impl Violation {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), help: None }
    }

    /// A limit of the recipe that does not suffice.
    pub(crate) fn limit(reason: impl Into<String>, name: &str) -> Self {
        Self { reason: reason.into(), help: Some(format!("raise `limits.{name}` if this much is meant")) }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Violation {}
