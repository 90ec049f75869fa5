//! What an operation on tensors answers in place of a tensor.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The most characters of a reason.
const LONGEST: usize = 1_000;

/// An operation that could not be done: which one, and why, in one sentence.
///
/// The sentence names the shapes or types that were given and what would have
/// been accepted. Nothing was computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorError {
    operation: &'static str,
    reason: String,
}

impl TensorError {
    /// `operation` could not be done because of `reason`, a clause without a full stop.
    pub fn new(operation: &'static str, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        if let Some((end, _)) = reason.char_indices().nth(LONGEST) {
            reason.truncate(end);
            reason.push('…');
        }
        Self { operation, reason }
    }

    /// The operation as the contract spells it: `index-select`.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// Why, without the operation's name.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for TensorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.operation, self.reason)
    }
}

impl std::error::Error for TensorError {}

/// The result of every operation in this crate.
pub type Result<T> = std::result::Result<T, TensorError>;

/// Leaves the function with a [`TensorError`].
macro_rules! fail {
    ($operation:expr, $($reason:tt)+) => {
        return Err($crate::error::TensorError::new($operation, format!($($reason)+)))
    };
}
pub(crate) use fail;

/// Leaves the function with a [`TensorError`] unless `condition` holds.
macro_rules! ensure {
    ($condition:expr, $operation:expr, $($reason:tt)+) => {
        let holds: bool = $condition;
        if !holds {
            $crate::error::fail!($operation, $($reason)+);
        }
    };
}
pub(crate) use ensure;

/// Runs `body` and turns a panic of the backend into an error.
///
/// The checks in front of each operation are meant to make this unreachable; it
/// is what keeps a gap in them from ending the process. An error that was [`thrown`]
/// comes back as it is.
pub(crate) fn guard<T>(operation: &'static str, body: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        let payload = match payload.downcast::<TensorError>() {
            Ok(error) => return *error,
            Err(payload) => payload,
        };
        let said = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        TensorError::new(operation, format!("the backend failed: {}", said.lines().next().unwrap_or_default()))
    })
}

/// Leaves the surrounding [`guard`] with `error`, past code of the backend that knows no errors. No panic is reported.
pub(crate) fn thrown(error: TensorError) -> ! {
    std::panic::resume_unwind(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_sentence_with_its_first_line() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let error = guard("add", || -> () { std::panic::panic_any(String::from("one\ntwo")) }).unwrap_err();
        std::panic::set_hook(hook);
        assert_eq!(error.to_string(), "`add`: the backend failed: one");
    }
    #[test]
    fn an_error_that_is_thrown_comes_back_as_it_is() {
        let error = TensorError::new("logits", "too large");
        assert_eq!(guard("add", || -> () { thrown(error.clone()) }), Err(error));
    }
}
