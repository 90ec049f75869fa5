//! What is written down of the decisions of policies, within bounds.
//!
//! A policy is asked thousands of times and may answer with thousands of changes each time. All of them are carried out.
//! Written is a change that alters something, or that its policy has not written before; of one moment at most [`MOMENT`],
//! of a run's process at most [`RUN`] bytes. What is not written is said once, in a warning. Price: eight bytes for each
//! change that was written, up to [`KNOWN`] of them.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::event::TrainEvent;

/// Most changes of one moment that are written.
const MOMENT: usize = 1_000;

/// Most bytes that are written of all changes.
const RUN: usize = 16 << 20;

/// Most changes that are known to be written.
const KNOWN: usize = 100_000;

/// What a line of the event log takes beside its words.
const LINE: usize = 200;

/// What has been written so far.
#[derive(Debug)]
pub(crate) struct Told {
    known: HashSet<u64>,
    left: usize,
}

impl Default for Told {
    fn default() -> Self {
        Self { known: HashSet::new(), left: RUN }
    }
}

impl Told {
    /// Whether these words are said for the first time.
    pub fn first(&mut self, words: &[&str]) -> bool {
        let mut hash = DefaultHasher::new();
        words.hash(&mut hash);
        self.known.len() < KNOWN && self.known.insert(hash.finish())
    }

    /// As many of the `events` of a moment as may be written, and a warning where these are not all.
    pub fn bounded(&mut self, events: Vec<TrainEvent>, step: u64) -> Vec<TrainEvent> {
        if self.left == 0 {
            return Vec::new();
        }
        let (mut kept, mut changes) = (Vec::new(), 0_usize);
        for event in events {
            changes += usize::from(matches!(event, TrainEvent::PolicyChange { .. }));
            let of_change = matches!(event, TrainEvent::PolicyChange { .. } | TrainEvent::Warning { .. });
            if changes > MOMENT && of_change {
                continue;
            }
            let length = length(&event);
            if length > self.left {
                self.left = 0;
                let message = format!(
                    "policies have written more than {} MiB of changes: from here on they are carried out and not written",
                    RUN >> 20
                );
                kept.push(TrainEvent::Warning { step, message });
                return kept;
            }
            self.left -= length;
            kept.push(event);
        }
        if changes > MOMENT {
            let message =
                format!("{} more changes of policies at this step are carried out and not written", changes - MOMENT);
            kept.push(TrainEvent::Warning { step, message });
        }
        kept
    }
}

/// About the bytes of an event's line.
fn length(event: &TrainEvent) -> usize {
    let words = match event {
        TrainEvent::PolicyChange { policy, layers, selected, reason, .. } => {
            let names: usize = selected.iter().map(|name| name.len() + 3).sum();
            policy.len() + layers.len() + names + reason.len()
        }
        TrainEvent::Warning { message, .. } => message.len(),
        TrainEvent::Layers { layers, .. } => layers.iter().map(|layer| layer.name.len() + 50).sum(),
        _ => 0,
    };
    LINE + words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn change(reason: &str) -> TrainEvent {
        TrainEvent::PolicyChange {
            step: 3,
            policy: "thaw".into(),
            trigger: "steps".into(),
            layers: "**".into(),
            selected: vec!["embeddings".into()],
            selected_count: 1,
            action: "freeze".into(),
            reason: reason.into(),
        }
    }

    fn last_warning(events: &[TrainEvent]) -> &str {
        match events.last() {
            Some(TrainEvent::Warning { message, .. }) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_one_moment_a_thousand_changes_are_written_and_the_rest_is_counted() {
        let written = Told::default().bounded(vec![change("r"); MOMENT + 2_000], 3);
        assert_eq!(written.len(), MOMENT + 1);
        assert_eq!(
            last_warning(&written),
            "2000 more changes of policies at this step are carried out and not written"
        );
        assert_eq!(Told::default().bounded(vec![change("r"); MOMENT], 3).len(), MOMENT);
    }

    #[test]
    fn of_a_run_so_many_bytes_are_written_and_that_there_are_more_is_said_once() {
        let mut told = Told::default();
        let reason = "r".repeat(4_000);
        let written: Vec<TrainEvent> = (0..100).flat_map(|_| told.bounded(vec![change(&reason); 900], 3)).collect();
        assert!(written.iter().map(length).sum::<usize>() <= RUN + 2 * LINE);
        assert!(written.len() > RUN / 5_000, "{}", written.len());
        let said =
            "policies have written more than 16 MiB of changes: from here on they are carried out and not written";
        assert_eq!(last_warning(&written), said);
        assert_eq!(written.iter().filter(|event| matches!(event, TrainEvent::Warning { .. })).count(), 1);
    }

    #[test]
    fn words_are_said_for_the_first_time_once() {
        let mut told = Told::default();
        assert!(told.first(&["thaw", "**", "freeze"]) && !told.first(&["thaw", "**", "freeze"]));
        assert!(told.first(&["thaw", "**f", "reeze"]), "where one ends and the next begins counts");
    }
}
