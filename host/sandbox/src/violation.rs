//! A broken rule of the contract, found by the host while the guest runs.

use std::fmt;

/// Ends the guest's call as a trap, so that its author gets the line.
#[derive(Debug)]
pub(crate) struct Violation {
    /// One sentence without a full stop: `tensor.add: ...`.
    pub reason: String,
    /// What to do next, where there is more to say than "fix the plugin".
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

    /// More handles than `limit`.
    pub(crate) fn handles(limit: u32) -> Self {
        Self {
            reason: format!("held more than {limit} handles at a time"),
            help: Some("drop tensors that are no longer needed, or raise `limits.handles`".into()),
        }
    }

    /// Something that was lent for a call that is over.
    pub(crate) fn late(verb: &str, what: &str) -> Self {
        let help = match what {
            "tensor" => "tensors are lent for one call; only those made in `init` may be kept".to_owned(),
            _ => format!("a {what} is lent for one call"),
        };
        Self { reason: format!("{verb} a {what} that was kept from an earlier call"), help: Some(help) }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Violation {}
