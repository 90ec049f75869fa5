//! Threads with a stack that no template fills.
//!
//! A template can put a list into a list a million times in its bounds. Dropping that takes a call a level, and a stack that
//! is full ends the process, which no guard catches. So templates are rendered on threads with much stack: those that take rows
//! are made so, and any other asks for one. Price: address space alone, until it is used; [`deep`] costs a thread where the caller is
//! not on such a one.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, Scope, scope};

/// Bytes of stack, some four hundred for each list that a template's bounds allow.
const STACK: usize = 512 << 20;

thread_local! {
    static DEEP: Cell<bool> = const { Cell::new(false) };
}

/// Starts a thread with much stack, or with the usual one where the system refuses so much.
pub(crate) fn spawn<'scope>(scope: &'scope Scope<'scope, '_>, body: impl FnOnce() + Send + 'scope) {
    let body = std::sync::Arc::new(Mutex::new(Some(body)));
    let run = |deep: bool| {
        let body = std::sync::Arc::clone(&body);
        move || {
            DEEP.set(deep);
            let body = body.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(body) = body {
                body();
            }
        }
    };
    if Builder::new().stack_size(STACK).spawn_scoped(scope, run(true)).is_err() {
        scope.spawn(run(false));
    }
}

/// Runs `body` with much stack; `None` when the system has none to give.
pub(crate) fn deep<T: Send>(body: impl FnOnce() -> T + Send) -> Option<T> {
    if DEEP.get() {
        return Some(body());
    }
    scope(|scope| {
        let thread = Builder::new().stack_size(STACK).spawn_scoped(scope, || {
            DEEP.set(true);
            body()
        });
        Some(thread.ok()?.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames that no optimiser joins.
    fn down(levels: usize) -> usize {
        let here = std::hint::black_box([levels; 16]);
        if levels == 0 { 0 } else { down(levels - 1) + here[0] - levels + 1 }
    }

    #[test]
    fn what_needs_more_stack_than_a_thread_has_runs_and_threads_for_rows_have_it() {
        assert_eq!(deep(|| down(100_000)), Some(100_000));
        scope(|scope| {
            spawn(scope, || {
                assert!(DEEP.get());
                assert_eq!(deep(|| down(100_000)), Some(100_000));
            });
        });
        assert!(!DEEP.get());
    }
}
