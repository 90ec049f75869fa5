//! What a run tells about itself, as it goes.
//!
//! Events are facts, in order, each a JSON object with the key `event`; the event
//! log is one per line. Numbers that depend on the clock (`seconds`, rates) are
//! there for people and decide nothing.

use std::ops::ControlFlow;

use serde::{Deserialize, Deserializer, Serialize};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TrainEvent {
    /// Training begins, or goes on.
    RunStart {
        /// Rows to learn from.
        train_rows: usize,
        /// Rows to evaluate on.
        validation_rows: usize,
        /// Optimiser steps the run will take at most.
        total_steps: u64,
        /// Optimiser steps in an epoch.
        steps_per_epoch: u64,
        /// Scalars that learn.
        trainable_parameters: u64,
        /// All scalars.
        parameters: u64,
        /// The step of the checkpoint that the run goes on from.
        resumed_from: Option<u64>,
    },
    /// An optimiser step was taken.
    Step {
        /// From 1.
        step: u64,
        /// Epochs done, with the part of this one.
        epoch: f64,
        /// Sum of numerators over sum of denominators of this step.
        loss: f64,
        /// Exponential mean over about twenty steps.
        smoothed_loss: f64,
        /// Of this step, before a layer's scale.
        learning_rate: f64,
        /// Global norm of the gradient before clipping.
        grad_norm: f64,
        /// Rows of this step.
        rows: u64,
        /// Tokens of this step, padding not counted.
        tokens: u64,
        /// Of this step, padding not counted.
        tokens_per_second: f64,
        /// Of this step.
        examples_per_second: f64,
        /// Further scalars of the loss.
        #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "values")]
        reported: Vec<(String, f64)>,
    },
    /// The validation set was looked at.
    Evaluation {
        /// Steps taken.
        step: u64,
        /// Epochs done, with the part of this one.
        epoch: f64,
        /// `loss` first, then what the metrics give; `null` in JSON where undefined.
        #[serde(deserialize_with = "values")]
        values: Vec<(String, f64)>,
        /// Whether these weights are the best so far; absent when nobody asked for the best.
        best: Option<bool>,
        /// Rows looked at.
        rows: usize,
        /// Wall time.
        seconds: f64,
    },
    /// What the model answered at the evaluation before this event: a few of its answers.
    Answers {
        /// Steps taken.
        step: u64,
        /// In the order of their rows.
        answers: Vec<Answer>,
    },
    /// A policy changed something; one event a change.
    PolicyChange {
        /// Steps taken.
        step: u64,
        /// Who decided.
        policy: String,
        /// `start`, `epoch`, `steps`, `evaluation`.
        trigger: String,
        /// The glob.
        layers: String,
        /// What it selected; the first of them, where they are many.
        selected: Vec<String>,
        /// How many these are.
        #[serde(default)]
        selected_count: usize,
        /// `freeze`, `unfreeze`, `lr_scale 0.5`, …
        action: String,
        /// In the policy's words.
        reason: String,
    },
    /// Which layers learn from here on: at the start and after every change.
    Layers {
        /// Steps taken.
        step: u64,
        /// In depth order.
        layers: Vec<LayerState>,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// Steps taken.
        step: u64,
        /// Where.
        path: String,
    },
    /// The run ends before its last step, because it stopped getting better.
    EarlyStop {
        /// Steps taken.
        step: u64,
        /// What was watched.
        metric: String,
        /// Its best value; absent when it was never a number.
        best: Option<f64>,
        /// Evaluations since then.
        patience: u32,
    },
    /// Something a person should know.
    Warning {
        /// Steps taken.
        step: u64,
        /// One sentence.
        message: String,
    },
    /// A stretch of work outside the steps.
    Progress {
        /// `evaluate`, `generate`, `predict`.
        stage: String,
        /// Rows done.
        done: usize,
        /// Rows in all.
        total: usize,
    },
    /// Training is over.
    RunEnd {
        /// Steps taken.
        step: u64,
        /// `finished`, `early_stop`.
        reason: String,
        /// The step whose weights the run ends with.
        weights_from: u64,
        /// Frozen parameters whose bytes were compared and found unchanged.
        frozen_unchanged: usize,
        /// Wall time of this process's part.
        seconds: f64,
    },
}

/// JSON has no NaN: it is written as `null`, and read back as NaN.
fn values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, f64)>, D::Error> {
    let read = Vec::<(String, Option<f64>)>::deserialize(deserializer)?;
    Ok(read.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

/// A layer in [`TrainEvent::Layers`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerState {
    /// As the model names it.
    pub name: String,
    /// Whether any of its parameters learns.
    pub trainable: bool,
    /// What multiplies the learning rate.
    pub lr_scale: f64,
}

/// One answer, to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The row's key.
    pub key: String,
    /// What was asked, with the markers of the template; its end where it is long.
    pub prompt: String,
    /// What was answered.
    pub prediction: String,
    /// What would have been right.
    pub reference: String,
}

/// Somebody who watches a run.
pub trait Observer {
    /// Told of every event, in order. `Break` ends the run at once, as a kill
    /// would: nothing is saved beyond the last checkpoint.
    fn event(&mut self, event: &TrainEvent) -> ControlFlow<()>;

    /// Asked before every micro-batch of training and evaluation. True ends the run before it: the
    /// step that was begun is given up, a checkpoint of the steps taken is written (if there are any), and a
    /// resumed run goes on from there as if nothing had happened.
    fn interrupted(&self) -> bool {
        false
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _event: &TrainEvent) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(&TrainEvent) -> ControlFlow<()>> Observer for F {
    fn event(&mut self, event: &TrainEvent) -> ControlFlow<()> {
        self(event)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_value_that_is_undefined_survives_the_event_log() {
        let values = vec![("loss".to_string(), 0.5), ("f1".to_string(), f64::NAN)];
        let event = TrainEvent::Evaluation { step: 1, epoch: 0.5, values, best: None, rows: 3, seconds: 0.1 };
        let line = serde_json::to_string(&event).unwrap();
        assert!(line.starts_with(r#"{"event":"evaluation","step":1,"#) && line.contains(r#"["f1",null]"#), "{line}");
        let TrainEvent::Evaluation { values, .. } = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
        assert!(values[0].1 == 0.5 && values[1].1.is_nan());
    }
}
