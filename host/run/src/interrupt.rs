//! Ctrl-C: the first asks a run to stop after its step, the second ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use retune_recipe::diagnostic::{Diagnostic, Result};

/// The exit code of an interrupted run, as shells give it.
pub const EXIT: u8 = 130;

/// Whether somebody pressed Ctrl-C.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from here on. Before that, Ctrl-C ends the process at once, which
    /// is right as long as there is nothing to finish.
    pub fn listen() -> Result<Self> {
        let interrupt = Self::default();
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // In this order: the first signal arms the second.
            signal_hook::flag::register_conditional_shutdown(signal, i32::from(EXIT), interrupt.0.clone())
                .and_then(|_| signal_hook::flag::register(signal, interrupt.0.clone()))
                .map_err(|e| Diagnostic::new("cannot listen for Ctrl-C").because(e))?;
        }
        Ok(interrupt)
    }

    /// Whether it happened.
    pub fn happened(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
