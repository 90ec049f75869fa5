//! Watches a run: writes every event down, shows progress, stops it at Ctrl-C.

use std::ops::ControlFlow;

use retune_train::{Observer, TrainEvent};

use crate::Reporter;
use crate::events::EventLog;
use crate::interrupt::Interrupt;
use retune_recipe::diagnostic::Diagnostic;

/// Watches one run.
pub struct RunObserver<'a> {
    /// Where events go.
    pub log: &'a mut EventLog,
    /// Where progress goes.
    pub console: &'a mut dyn Reporter,
    /// Whether to stop.
    pub interrupt: Interrupt,
    /// Why the log cannot be written any more.
    pub failed: Option<Diagnostic>,
    /// The step of the newest checkpoint.
    pub checkpoint: Option<u64>,
}

impl<'a> RunObserver<'a> {
    /// Ready to watch.
    pub fn new(log: &'a mut EventLog, console: &'a mut dyn Reporter, interrupt: Interrupt) -> Self {
        Self { log, console, interrupt, failed: None, checkpoint: None }
    }
}

impl Observer for RunObserver<'_> {
    fn event(&mut self, event: &TrainEvent) -> ControlFlow<()> {
        match event {
            TrainEvent::RunStart { resumed_from, .. } => self.checkpoint = *resumed_from,
            TrainEvent::Checkpoint { step, .. } => self.checkpoint = Some(*step),
            _ => {}
        }
        self.console.event(event);
        // How far an evaluation has come is for the eye only.
        if !matches!(event, TrainEvent::Progress { .. })
            && let Err(diagnostic) = self.log.write(event)
        {
            self.failed = Some(diagnostic);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn interrupted(&self) -> bool {
        self.interrupt.happened()
    }
}
