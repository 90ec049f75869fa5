//! Who is told how a run goes, while it goes.
//!
//! The command line draws a bar and prints lines; a program that calls [`run`](crate::run())
//! as a library gives its own, or [`Silent`]. Nothing here decides anything: a run is the
//! same whoever listens, and every number is in the event log too.

use retune_data::DataProgress;
use retune_train::TrainEvent;

/// Receives what a person may want to see.
pub trait Reporter {
    /// A line that stays. It may hold words of plugins and data: what is printed must be made harmless first.
    fn line(&self, text: &str);

    /// Something that a person should know even where progress is not shown. As for [`line`](Self::line).
    fn warning(&self, text: &str);

    /// How far the reading of a file has come.
    fn data(&mut self, at: &DataProgress);

    /// What happens in training and evaluation.
    fn event(&mut self, event: &TrainEvent);

    /// The stage is over: a progress bar goes away.
    fn clear(&mut self);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn line(&self, _: &str) {}
    fn warning(&self, _: &str) {}
    fn data(&mut self, _: &DataProgress) {}
    fn event(&mut self, _: &TrainEvent) {}
    fn clear(&mut self) {}
}
