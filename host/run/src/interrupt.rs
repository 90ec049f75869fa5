//! Ctrl-C and SIGTERM: the first asks a run to stop, the second ends the process.
//!
//! A thread waits for signals, so that the first is answered at once, whatever the run is busy with. A run
//! that has nothing to finish yet (it reads files and prepares rows) ends there and then. From
//! [`Interrupt::finish_first`] on the thread only raises a flag, which is read between micro-batches and between
//! stages: the run writes down where it is, and ends. Exit codes are those of shells: 130 for SIGINT, 143 for SIGTERM.
//! Nothing cuts a backward pass short. A run that does not come to such a place says so, and since when, at the signal and
//! again every ten seconds.
//!
//! A program that calls a run as a library keeps its own signal handlers: it makes an
//! [`Interrupt::default`], and calls [`Interrupt::request`] when the run is to stop.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use retune_recipe::diagnostic::{Diagnostic, Result};
use signal_hook::consts::{SIGINT, SIGTERM};

/// What the first signal is answered with while a run has something to finish.
pub const STOPPING: &str = "stopping after this micro-batch; once more ends the process at once";

/// How long a run may be at one thing before that is worth a word.
const LONG: Duration = Duration::from_secs(10);

/// What it is answered with before that.
pub const NOTHING_BEGUN: &str = "stopped before the run began: nothing was written to a run directory";

/// Whether somebody wants a run to stop. Clones share the answer.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// The signal that came; 0 before one did.
    signal: AtomicI32,
    /// Whether a signal waits for the run to finish what it is at.
    finish_first: AtomicBool,
    /// When the run last looked whether it is to stop.
    looked: Mutex<Option<Instant>>,
}

/// What a signal leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The run stops by itself.
    Ask,
    /// The process ends; whether that wants a word first.
    End { told: bool },
}

impl Interrupt {
    /// Listens to SIGINT and SIGTERM in this process from here on, and ends the process where that is
    /// right. `tell` gets the line that answers the first signal, from another thread.
    ///
    /// # Errors
    /// When the system lets nobody listen.
    pub fn listen(tell: impl Fn(&str) + Send + Sync + 'static) -> Result<Self> {
        let interrupt = Self::default();
        let cannot = |e: std::io::Error| Diagnostic::new("cannot listen for Ctrl-C").because(e);
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map_err(cannot)?;
        let (shared, tell) = (interrupt.clone(), Arc::new(tell));
        let listen = move || {
            for signal in signals.forever() {
                match shared.take(signal) {
                    Answer::Ask => {
                        tell(&stopping(shared.since(Instant::now())));
                        let (shared, tell) = (shared.clone(), Arc::clone(&tell));
                        // Without it the run stops all the same, only with fewer words.
                        let _ = std::thread::Builder::new().name("reminder".to_owned()).spawn(move || {
                            shared.remind(|line| tell(line));
                        });
                    }
                    Answer::End { told } => {
                        if !told {
                            tell(NOTHING_BEGUN);
                        }
                        std::process::exit(i32::from(shared.exit_code()));
                    }
                }
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map_err(cannot)?;
        Ok(interrupt)
    }

    /// From here on a signal lets the run finish what it is at.
    pub fn finish_first(&self) {
        self.0.finish_first.store(true, Ordering::SeqCst);
    }

    /// Asks the run to stop, as SIGINT does.
    pub fn request(&self) {
        self.take(SIGINT);
    }

    /// Whether the run is to stop.
    pub fn happened(&self) -> bool {
        *self.0.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.0.signal.load(Ordering::SeqCst) != 0
    }

    /// How long the run has not looked whether it is to stop.
    fn since(&self, now: Instant) -> Duration {
        let looked = *self.0.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.map_or(Duration::ZERO, |looked| now.saturating_duration_since(looked))
    }

    /// Says again and again what is waited for, until the run has seen that it is to stop.
    fn remind(&self, tell: impl Fn(&str)) {
        let asked = Instant::now();
        loop {
            std::thread::sleep(LONG);
            let since = self.since(Instant::now());
            if since < asked.elapsed() {
                return;
            }
            tell(&stopping(since));
        }
    }

    /// The exit code of a process that stops for this: 128 and the number of the signal.
    pub fn exit_code(&self) -> u8 {
        let signal = match self.0.signal.load(Ordering::SeqCst) {
            0 => SIGINT,
            signal => signal,
        };
        u8::try_from(128 + signal).unwrap_or(u8::MAX)
    }

    /// Notes a signal, the first one for good.
    fn take(&self, signal: i32) -> Answer {
        let first = self.0.signal.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        match (first, self.0.finish_first.load(Ordering::SeqCst)) {
            (true, true) => Answer::Ask,
            (true, false) => Answer::End { told: false },
            (false, _) => Answer::End { told: true },
        }
    }
}

/// The answer to the first signal, of a run that has been at one thing for `since`.
fn stopping(since: Duration) -> String {
    if since < LONG {
        return STOPPING.to_owned();
    }
    let seconds = since.as_secs();
    format!(
        "stopping after this micro-batch, which has gone forward and backward for {seconds} s and cannot be cut short; once more \
         ends the process at once and keeps the last checkpoint"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_ends_a_process_with_nothing_to_finish() {
        let interrupt = Interrupt::default();
        assert!(!interrupt.happened());
        assert_eq!(interrupt.take(SIGTERM), Answer::End { told: false });
        assert_eq!(interrupt.exit_code(), 143);
    }

    #[test]
    fn the_first_signal_asks_a_run_that_has_begun_and_the_second_ends_it() {
        let interrupt = Interrupt::default();
        interrupt.clone().finish_first();
        assert_eq!(interrupt.take(SIGINT), Answer::Ask);
        assert!(interrupt.clone().happened());
        assert_eq!(interrupt.take(SIGTERM), Answer::End { told: true });
        assert_eq!(interrupt.exit_code(), 130, "the exit code is that of the first");
    }

    #[test]
    fn what_is_waited_for_is_said_when_it_takes_long() {
        let interrupt = Interrupt::default();
        let now = Instant::now();
        assert_eq!(stopping(interrupt.since(now)), STOPPING, "nothing is known of a run that has not looked yet");
        assert!(!interrupt.happened());
        assert_eq!(stopping(interrupt.since(Instant::now())), STOPPING);
        insta::assert_snapshot!(stopping(interrupt.since(Instant::now() + Duration::from_secs(75))), @"stopping after this micro-batch, which has gone forward and backward for 75 s and cannot be cut short; once more ends the process at once and keeps the last checkpoint");
    }

    #[test]
    fn a_program_asks_as_ctrl_c_does() {
        let interrupt = Interrupt::default();
        interrupt.request();
        assert!(interrupt.happened());
        assert_eq!(interrupt.exit_code(), 130);
    }
}
