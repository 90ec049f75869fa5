//! Pieces of work taken through steps, on all threads and in order.
//!
//! A source makes numbered pieces, steps change them, and a sink takes them in the order they were made. A
//! step runs anywhere (on any worker, several pieces at a time) or in order (one piece after another, on a thread
//! of its own). Pieces never wait for a group of others: as soon as one is taken out, the source may make the next.
//! At most [`IN_FLIGHT`] pieces a worker are on their way, which bounds the memory.
//!
//! Nothing outside can tell how many workers there were. Of several errors the one of the earliest piece is
//! returned, because the sink looks at pieces in order; a panic is passed on. With one worker everything
//! runs on the calling thread.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use crate::stack;

/// Pieces on their way, per worker.
const IN_FLIGHT: usize = 4;

/// What happens to every piece; `S` is a worker's own state.
pub(crate) enum Step<'a, S, T, E> {
    /// On any worker.
    Anywhere(Anywhere<'a, S, T, E>),
    /// One piece after another.
    InOrder(InOrder<'a, T, E>),
}

/// A step that any worker may take with any piece.
pub(crate) type Anywhere<'a, S, T, E> = Box<dyn Fn(&mut S, T) -> Result<T, E> + Send + Sync + 'a>;
/// A step that sees the pieces in their order.
pub(crate) type InOrder<'a, T, E> = Box<dyn FnMut(T) -> Result<T, E> + Send + 'a>;

/// Takes every piece of `source` through `steps` to `sink`, with a worker for every state.
///
/// # Errors
/// The error of the earliest piece that has one, or of the sink.
pub(crate) fn run<S: Send, T: Send, E: Send>(
    mut source: impl FnMut() -> Option<Result<T, E>> + Send,
    steps: Vec<Step<'_, S, T, E>>,
    states: &mut [S],
    sink: &mut dyn FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    match states {
        [] => Ok(()),
        [state] => {
            let mut steps = steps;
            while let Some(piece) = source() {
                let mut piece = piece?;
                for step in &mut steps {
                    piece = match step {
                        Step::Anywhere(step) => step(state, piece)?,
                        Step::InOrder(step) => step(piece)?,
                    };
                }
                sink(piece)?;
            }
            Ok(())
        }
        _ => on_threads(source, steps, states, sink),
    }
}

/// What the sink's thread is told.
enum Done<T, E> {
    Piece(usize, Result<T, E>),
    /// The source has made so many pieces.
    End(usize),
    Panic(Box<dyn Any + Send>),
}

/// A piece before its step; none: stop.
type Job<T> = Option<(usize, usize, T)>;

/// Where pieces go between steps.
struct Routes<T, E> {
    /// For a step that runs in order: its thread.
    in_order: Vec<Option<Sender<Job<T>>>>,
    workers: Sender<Job<T>>,
    done: Sender<Done<T, E>>,
}

impl<T, E> Routes<T, E> {
    /// Sends a piece to its next step. When the other side has gone, everything is coming to an end.
    fn send(&self, number: usize, step: usize, piece: T) {
        let _ = match self.in_order.get(step) {
            None => self.done.send(Done::Piece(number, Ok(piece))).is_ok(),
            Some(Some(thread)) => thread.send(Some((number, step, piece))).is_ok(),
            Some(None) => self.workers.send(Some((number, step, piece))).is_ok(),
        };
    }

    /// Sends on what became of a piece, or how it failed.
    fn result(&self, number: usize, next: usize, result: Result<Result<T, E>, Box<dyn Any + Send>>) {
        let _ = match result {
            Ok(Ok(piece)) => return self.send(number, next, piece),
            Ok(Err(error)) => self.done.send(Done::Piece(number, Err(error))),
            Err(panic) => self.done.send(Done::Panic(panic)),
        };
    }
}

fn on_threads<S: Send, T: Send, E: Send>(
    mut source: impl FnMut() -> Option<Result<T, E>> + Send,
    steps: Vec<Step<'_, S, T, E>>,
    states: &mut [S],
    sink: &mut dyn FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let (workers, inbox) = channel();
    let (done, results) = channel();
    let (tickets, gate) = channel();
    for _ in 0..IN_FLIGHT * states.len() {
        let _ = tickets.send(());
    }
    let mut routes = Routes { in_order: Vec::new(), workers, done };
    let mut anywhere: Vec<Option<Anywhere<'_, S, T, E>>> = Vec::new();
    let mut in_order = Vec::new();
    for step in steps {
        match step {
            Step::Anywhere(step) => {
                anywhere.push(Some(step));
                routes.in_order.push(None);
            }
            Step::InOrder(step) => {
                let (sender, receiver) = channel();
                in_order.push((step, receiver));
                anywhere.push(None);
                routes.in_order.push(Some(sender));
            }
        }
    }
    let (routes, anywhere, inbox) = (&routes, &anywhere[..], &Mutex::new(inbox));
    let stopped = &AtomicBool::new(false);
    let count = states.len();
    std::thread::scope(|scope| {
        scope.spawn(move || read(&mut source, &gate, routes));
        for (step, receiver) in in_order {
            stack::spawn(scope, move || ordered(step, &receiver, routes, stopped));
        }
        for state in states {
            stack::spawn(scope, move || work(state, inbox, anywhere, routes, stopped));
        }
        let collected = catch_unwind(AssertUnwindSafe(|| collect(&results, &tickets, sink)));
        stopped.store(true, Ordering::Relaxed);
        drop(tickets);
        for thread in routes.in_order.iter().flatten() {
            let _ = thread.send(None);
        }
        for _ in 0..count {
            let _ = routes.workers.send(None);
        }
        match collected {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) | Err(panic) => resume_unwind(panic),
        }
    })
}

/// Makes pieces, one for each ticket.
fn read<T, E>(source: &mut dyn FnMut() -> Option<Result<T, E>>, gate: &Receiver<()>, routes: &Routes<T, E>) {
    let mut number = 0;
    while gate.recv().is_ok() {
        match catch_unwind(AssertUnwindSafe(&mut *source)) {
            Ok(None) => break,
            Ok(Some(Ok(piece))) => routes.send(number, 0, piece),
            Ok(Some(Err(error))) => {
                let _ = routes.done.send(Done::Piece(number, Err(error)));
                return;
            }
            Err(panic) => {
                let _ = routes.done.send(Done::Panic(panic));
                return;
            }
        }
        number += 1;
    }
    let _ = routes.done.send(Done::End(number));
}

/// One worker: takes a piece through as many steps as any worker may take.
fn work<S, T, E>(
    state: &mut S,
    inbox: &Mutex<Receiver<Job<T>>>,
    anywhere: &[Option<Anywhere<'_, S, T, E>>],
    routes: &Routes<T, E>,
    stopped: &AtomicBool,
) {
    loop {
        let job = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Some((number, mut at, piece))) = job else { return };
        if stopped.load(Ordering::Relaxed) {
            continue;
        }
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut piece = piece;
            while let Some(Some(step)) = anywhere.get(at) {
                piece = step(state, piece)?;
                at += 1;
            }
            Ok(piece)
        }));
        routes.result(number, at, result);
    }
}

/// The thread of a step that sees pieces in order.
fn ordered<T, E>(mut step: InOrder<'_, T, E>, inbox: &Receiver<Job<T>>, routes: &Routes<T, E>, stopped: &AtomicBool) {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    while let Ok(Some((number, at, piece))) = inbox.recv() {
        waiting.insert(number, (at, piece));
        while let Some((at, piece)) = waiting.remove(&next) {
            if stopped.load(Ordering::Relaxed) {
                break;
            }
            let result = catch_unwind(AssertUnwindSafe(|| step(piece)));
            // What comes after a failed piece is never asked for.
            let failed = !matches!(result, Ok(Ok(_)));
            routes.result(next, at + 1, result);
            if failed {
                return;
            }
            next += 1;
        }
    }
}

type Collected<E> = Result<Result<(), E>, Box<dyn Any + Send>>;

/// Hands pieces to the sink in their order; the outer error is a panic of another thread.
fn collect<T, E>(
    results: &Receiver<Done<T, E>>,
    tickets: &Sender<()>,
    sink: &mut dyn FnMut(T) -> Result<(), E>,
) -> Collected<E> {
    let mut waiting = BTreeMap::new();
    let (mut next, mut end) = (0, usize::MAX);
    while next < end {
        match results.recv() {
            Ok(Done::Piece(number, result)) => {
                waiting.insert(number, result);
            }
            Ok(Done::End(count)) => end = count,
            Ok(Done::Panic(panic)) => return Err(panic),
            Err(_) => break,
        }
        while let Some(result) = waiting.remove(&next) {
            match result.and_then(&mut *sink) {
                Ok(()) => next += 1,
                Err(error) => return Ok(Err(error)),
            }
            let _ = tickets.send(());
        }
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> impl FnMut() -> Option<Result<usize, usize>> + Send {
        let mut numbers = 0..count;
        move || numbers.next().map(Ok)
    }

    fn through(steps: Vec<Step<'_, usize, usize, usize>>, threads: usize, count: usize) -> Result<Vec<usize>, usize> {
        let mut seen = vec![0usize; threads];
        let mut out = Vec::new();
        run(numbers(count), steps, &mut seen, &mut |piece| {
            out.push(piece);
            Ok(())
        })
        .map(|()| out)
    }

    #[test]
    fn pieces_come_in_order_and_a_step_in_order_sees_them_so_whatever_the_number_of_threads() {
        for threads in [1, 2, 5] {
            let mut sum = 0;
            let steps: Vec<Step<'_, usize, usize, usize>> = vec![
                Step::Anywhere(Box::new(|seen, piece| {
                    *seen += 1;
                    Ok(piece * 2)
                })),
                Step::InOrder(Box::new(move |piece| {
                    sum += piece;
                    Ok(sum)
                })),
                Step::InOrder(Box::new(|piece| Ok(piece + 1))),
                Step::Anywhere(Box::new(|_, piece| Ok(piece + 1))),
            ];
            let expected: Vec<usize> = (0..500).map(|i| i * (i + 1) + 2).collect();
            assert_eq!(through(steps, threads, 500).unwrap(), expected, "{threads} threads");
        }
        assert_eq!(through(Vec::new(), 3, 0).unwrap(), Vec::<usize>::new());
    }

    #[test]
    fn the_error_of_the_earliest_piece_wins() {
        for round in 0..50 {
            let fail: fn(&mut usize, usize) -> Result<usize, usize> =
                |_, piece| if piece >= 7 { Err(piece) } else { Ok(piece) };
            let late: fn(usize) -> Result<usize, usize> =
                |piece| if piece >= 5 { Err(1000 + piece) } else { Ok(piece) };
            assert_eq!(through(vec![Step::Anywhere(Box::new(fail))], 3, 64), Err(7), "round {round}");
            let steps = vec![Step::InOrder(Box::new(late)), Step::Anywhere(Box::new(fail))];
            assert_eq!(through(steps, 3, 64), Err(1005), "round {round}");
        }
    }

    #[test]
    fn an_error_of_the_source_comes_after_the_pieces_before_it() {
        let mut out = Vec::new();
        let mut next = 0;
        let source = || {
            next += 1;
            Some(if next == 10 { Err("broken") } else { Ok(next) })
        };
        let result = run(source, Vec::new(), &mut [(), ()], &mut |piece| {
            out.push(piece);
            Ok(())
        });
        assert_eq!((result, out), (Err("broken"), (1..10).collect::<Vec<i32>>()));
    }

    #[test]
    fn a_panic_of_a_step_is_passed_on_and_an_error_of_the_sink_ends_everything() {
        let step: fn(&mut usize, usize) -> Result<usize, usize> = |_, piece| {
            assert!(piece != 3, "a bug");
            Ok(piece)
        };
        let panicked = catch_unwind(|| through(vec![Step::Anywhere(Box::new(step))], 2, 8));
        assert!(panicked.is_err());
        let result = run(numbers(usize::MAX), Vec::new(), &mut [(), ()], &mut |piece| {
            if piece == 9 { Err(piece) } else { Ok(()) }
        });
        assert_eq!(result, Err(9));
    }
}
