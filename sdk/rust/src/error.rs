//! Why a call gave no result.
//!
//! Only for failures that somebody can act on. A mistake in the plugin itself
//! (a shape that does not fit) panics: in a test that is a failed test, in a
//! component a trap whose line the host reports.

use std::fmt;

/// The result of everything a plugin does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The configuration fits its schema and is still not usable.
    Config,
    /// The input breaks what the plugin promised to accept.
    Input,
    /// The host cannot do this here.
    Unsupported,
    /// Anything else.
    Internal,
}

/// A refusal, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The class.
    pub kind: ErrorKind,
    /// One sentence for a person, without a full stop.
    pub message: String,
    /// What was being done, outermost first.
    pub context: Vec<String>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: Vec::new() }
    }

    /// The configuration cannot be used: `gamma must not be negative, it is -1`.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// The input is not what was promised.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// The host cannot do this.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Anything else.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds what was being done when it failed, around what is there.
    #[must_use]
    pub fn context(mut self, doing: impl Into<String>) -> Self {
        self.context.insert(0, doing.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for doing in &self.context {
            write!(f, "{doing}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_reads_from_the_outside_in() {
        let error = Error::input("no row").context("reading the batch").context("step 3");
        assert_eq!(error.to_string(), "step 3: reading the batch: no row");
    }
}
