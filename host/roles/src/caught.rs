//! Code of others that may panic, run so that a panic is an answer.
//!
//! Libraries that read what a stranger wrote (tokenizers, headers of weights) are made for files that are well meant, and some of
//! them panic on others. [`caught`] makes of that a sentence for the caller's own error, and nothing is printed. What was being
//! changed when the panic came is thrown away by the caller. Price: nanoseconds a call. An abort (no memory, no stack) is not a
//! panic: sizes are checked before.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::text::shortened;

/// The most characters that are told of a panic.
const TOLD: usize = 300;

thread_local! {
    /// Whether a panic of this thread is an answer.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body`; a panic in it comes back as the first line of what it said, at most 300 characters.
///
/// # Errors
/// `body` panicked.
pub fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let told = take_hook();
        set_hook(Box::new(move |panic| {
            if !CAUGHT.get() {
                told(panic);
            }
        }));
    });
    let around = CAUGHT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(body));
    CAUGHT.set(around);
    result.map_err(|payload| {
        let said = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
        shortened(said.and_then(|said| said.lines().next()).unwrap_or("it did not say why"), TOLD)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_first_line_and_what_does_not_panic_its_value() {
        assert_eq!(caught(|| 3), Ok(3));
        let said = |text: String| caught(move || -> () { std::panic::panic_any(text) }).unwrap_err();
        assert_eq!(said("no\nsuch thing".to_owned()), "no");
        assert!(said("x".repeat(100_000)).chars().count() <= TOLD + 1);
        assert_eq!(caught(|| -> () { panic!("fixed") }), Err("fixed".to_owned()));
        assert_eq!(caught(|| caught(|| -> () { panic!("inner") })), Ok(Err("inner".to_owned())));
        assert!(!CAUGHT.get(), "a later panic is told again");
    }
}
