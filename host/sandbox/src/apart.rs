//! What a program and the process that loads a component for it tell each other.
//!
//! The program gives the verb, the allowance, the component's path, a file for its code, and its bytes on standard input; the process
//! answers in lines of JSON. Nothing of it is kept: both are the same build of the same program.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use retune_roles::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::LoadError;

/// The first argument of a program that is to load a component.
pub(crate) const VERB: &str = "accept-component";

/// Whether this program can be started to load a component.
pub(crate) static ASKED_FOR: AtomicBool = AtomicBool::new(false);

/// Whether this program has called [`requested`].
pub(crate) fn is_asked_for() -> bool {
    ASKED_FOR.load(Ordering::Relaxed)
}

/// What loading a component may take. It grows with the component, because compiling honest code takes time and memory in
/// proportion to it: at most some four processor seconds and twenty MiB for each MiB, as measured for interpreters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Allowance {
    /// Processor seconds, of all threads.
    pub processor_s: u64,
    /// Memory in MiB, of all that can be written to.
    pub memory_mib: u64,
    /// Time until the child is ended whatever it does: it may have to wait for the processor.
    pub wall: Duration,
}

impl Allowance {
    pub(crate) fn of(bytes: u64) -> Self {
        let mib = bytes as f64 / f64::from(1 << 20);
        let processor_s = (5.0 + 10.0 * mib).ceil() as u64;
        let memory_mib = (640.0 + 24.0 * mib).ceil() as u64;
        Self { processor_s, memory_mib, wall: Duration::from_secs(30 + 5 * processor_s) }
    }
}

/// How far the child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// It starts.
    Start,
    /// It compiles.
    Compile,
    /// It instantiates, asks for the schema and looks at it.
    Ask,
}

impl Stage {
    /// What was being done, for messages.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Start => "loading it",
            Self::Compile => "compiling it",
            Self::Ask => "asking it for its schema",
        }
    }
}

/// A line of the child's answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Said {
    /// It begins with this.
    Stage(Stage),
    /// The component can be used.
    Accepted(Box<Accepted>),
    /// It cannot.
    Refused(Box<LoadError>),
}

/// What is known of a component that was accepted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Accepted {
    /// Its schema, or the failure to give one.
    pub schema: Result<Value, Unanswered>,
}

/// A failure on the way between processes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Unanswered {
    pub call: String,
    pub reason: String,
    pub help: Option<String>,
    pub backtrace: Vec<String>,
}

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        let details = failure.details().clone();
        Self { call: details.call, reason: details.reason, help: details.help, backtrace: details.backtrace }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loading_may_take_grows_with_the_component() {
        let allowed = |bytes| {
            let Allowance { processor_s, memory_mib, wall } = Allowance::of(bytes);
            (processor_s, memory_mib, wall.as_secs())
        };
        assert_eq!(allowed(3_000), (6, 641, 60));
        assert_eq!(allowed(18 << 20), (185, 1_072, 955));
    }
}
