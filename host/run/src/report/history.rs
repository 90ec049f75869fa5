//! An event log read back, ready to be drawn.
//!
//! Reads by name and leniently: a torn line, an unknown event or a field of a
//! later version is skipped, so that a report can always be made. Where a run was
//! resumed, what the killed part did beyond the checkpoint is dropped.

use retune_data::DataReport;
use retune_train::{Answer, Confusion};
use serde_json::Value;

/// Most different warnings that are read.
const WARNINGS: usize = 2_000;

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Optimiser steps the run would take at most.
    pub total_steps: u64,
    /// Scalars, and how many of them are trainable at the start.
    pub parameters: (u64, u64),
    /// Steps from which the run went on after a stop.
    pub resumed_from: Vec<u64>,
    /// Logged steps, in order.
    pub steps: Vec<Step>,
    /// Evaluations during training, in order.
    pub evaluations: Vec<Evaluation>,
    /// Which layers are trainable, at the start and after each change.
    pub layers: Vec<LayerMoment>,
    /// What policies decided.
    pub changes: Vec<PolicyChange>,
    /// Measurements around training.
    pub measured: Vec<Measured>,
    /// What became of the data.
    pub data: Option<DataReport>,
    /// Things a person should know.
    pub warnings: Vec<String>,
    /// `finished`, `early_stop`, and what follows; absent while a run goes on.
    pub end: Option<End>,
    /// What went wrong.
    pub failed: Option<String>,
    /// Whether somebody stopped it.
    pub interrupted: bool,
    /// Wall time of all processes that worked on it, those that were stopped or killed included.
    pub seconds: f64,
    /// When the process that wrote last began and was last heard of, until it says itself how long it took.
    heard: Option<(f64, f64)>,
    /// Most memory any of them held, in bytes.
    pub peak_memory: Option<u64>,
    /// What was forecast of that.
    pub forecast_memory: Option<u64>,
}

/// One logged optimiser step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// From 1.
    pub step: u64,
    /// Of this step.
    pub loss: f64,
    /// Running mean.
    pub smoothed: f64,
    /// Of this step.
    pub learning_rate: f64,
    /// Before clipping.
    pub grad_norm: f64,
}

/// One look at the validation set.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Steps taken.
    pub step: u64,
    /// `loss` first.
    pub values: Vec<(String, f64)>,
    /// Whether it was the best so far.
    pub best: bool,
    /// A few of the model's answers.
    pub answers: Vec<Answer>,
}

/// Which layers are trainable from a step on.
#[derive(Clone, Debug)]
pub struct LayerMoment {
    /// Steps taken.
    pub step: u64,
    /// Name, whether it is trainable, its factor on the learning rate; in depth order.
    pub layers: Vec<(String, bool, f64)>,
}

/// A decision of a policy.
#[derive(Clone, Debug)]
pub struct PolicyChange {
    /// Steps taken.
    pub step: u64,
    /// Which policy.
    pub policy: String,
    /// The glob.
    pub layers: String,
    /// How many layers it selected.
    pub selected: usize,
    /// What.
    pub action: String,
    /// Why, in the policy's words.
    pub reason: String,
}

/// A measurement around training.
#[derive(Clone, Debug)]
pub struct Measured {
    /// `before`, `after`, `test`.
    pub when: String,
    /// Which rows.
    pub split: String,
    /// `loss` first.
    pub values: Vec<(String, f64)>,
    /// Rows by label and prediction; for classifiers.
    pub confusion: Option<Confusion>,
    /// Rows looked at.
    pub rows: u64,
    /// A few of the model's answers.
    pub answers: Vec<Answer>,
}

/// How training ended.
#[derive(Clone, Debug)]
pub struct End {
    /// Steps taken.
    pub step: u64,
    /// `finished`, `early_stop`.
    pub reason: String,
    /// Whose weights the run ended with.
    pub weights_from: u64,
    /// Frozen parameters whose bytes were compared.
    pub frozen_unchanged: u64,
}

impl History {
    /// Reads an event log.
    pub fn read(log: &str) -> Self {
        let mut history = Self::default();
        for line in log.lines() {
            if let Ok(event) = serde_json::from_str::<Value>(line) {
                history.take(&event);
            }
        }
        history.count_up_to_the_last_word();
        history
    }

    /// The measurement of this kind, the last one where there are several.
    pub fn measured(&self, when: &str) -> Option<&Measured> {
        self.measured.iter().rev().find(|m| m.when == when)
    }

    /// The last step the run reached.
    pub fn last_step(&self) -> u64 {
        let logged = self.steps.last().map_or(0, |s| s.step);
        self.end.as_ref().map_or(logged, |end| end.step.max(logged))
    }

    /// Adds the time of a process that did not come to say it.
    fn count_up_to_the_last_word(&mut self) {
        if let Some((began, last)) = self.heard.take() {
            self.seconds += (last - began).max(0.0);
        }
    }

    fn take(&mut self, event: &Value) {
        if let Some(time) = event["time"].as_f64() {
            // The account of the data is the first that each process writes.
            if event["event"] == "data" {
                self.count_up_to_the_last_word();
                self.heard = Some((time, time));
            } else if let Some((_, last)) = &mut self.heard {
                *last = time;
            }
        }
        let number = |key: &str| event[key].as_f64().unwrap_or(f64::NAN);
        let whole = |key: &str| event[key].as_u64().unwrap_or(0);
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        match event["event"].as_str().unwrap_or_default() {
            "run_start" => {
                self.total_steps = whole("total_steps");
                self.parameters = (whole("parameters"), whole("trainable_parameters"));
                (self.failed, self.interrupted, self.end) = (None, false, None);
                match event["resumed_from"].as_u64() {
                    Some(step) => self.rewind(step),
                    None => self.restart(),
                }
            }
            "step" => self.steps.push(Step {
                step: whole("step"),
                loss: number("loss"),
                smoothed: number("smoothed_loss"),
                learning_rate: number("learning_rate"),
                grad_norm: number("grad_norm"),
            }),
            "evaluation" => self.evaluations.push(Evaluation {
                step: whole("step"),
                values: values(event),
                best: event["best"].as_bool().unwrap_or(false),
                answers: Vec::new(),
            }),
            "answers" => {
                if let Some(evaluation) = self.evaluations.last_mut().filter(|e| e.step == whole("step")) {
                    evaluation.answers = answers(event);
                }
            }
            "policy_change" => self.changes.push(PolicyChange {
                step: whole("step"),
                policy: text("policy"),
                layers: text("layers"),
                selected: event["selected_count"]
                    .as_u64()
                    .map_or_else(|| event["selected"].as_array().map_or(0, Vec::len), |count| count as usize),
                action: text("action"),
                reason: text("reason"),
            }),
            "layers" => self.layers.push(LayerMoment { step: whole("step"), layers: layers(event) }),
            // A process that goes on with the run finds what the one before it found.
            "warning" => {
                let message = text("message");
                if self.warnings.len() < WARNINGS && !self.warnings.contains(&message) {
                    self.warnings.push(message);
                }
            }
            "run_end" => {
                self.end = Some(End {
                    step: whole("step"),
                    reason: text("reason"),
                    weights_from: whole("weights_from"),
                    frozen_unchanged: whole("frozen_unchanged"),
                });
            }
            "data" => self.data = serde_json::from_value(event["report"].clone()).ok(),
            "measured" => self.measured.push(Measured {
                when: text("when"),
                split: text("split"),
                values: values(event),
                confusion: serde_json::from_value(event["confusion"].clone()).ok().flatten(),
                rows: whole("rows"),
                answers: answers(event),
            }),
            "forecast" => self.forecast_memory = event["memory"]["peak"].as_u64(),
            "failed" => self.failed = Some(text("message")),
            "interrupted" => self.interrupted = true,
            "finished" => {
                self.heard = None;
                self.seconds += event["seconds"].as_f64().unwrap_or(0.0);
                self.peak_memory = self.peak_memory.max(event["peak_memory"].as_u64());
            }
            _ => {}
        }
    }

    /// Forgets what lies beyond the checkpoint a run went on from.
    fn rewind(&mut self, step: u64) {
        self.resumed_from.push(step);
        self.steps.retain(|s| s.step <= step);
        self.evaluations.retain(|e| e.step <= step);
        self.layers.retain(|l| l.step <= step);
        self.changes.retain(|c| c.step <= step);
    }

    /// A run that began anew in the same directory.
    fn restart(&mut self) {
        self.resumed_from.clear();
        self.steps.clear();
        self.evaluations.clear();
        self.layers.clear();
        self.changes.clear();
    }
}

/// Pairs of name and number; a NaN, which JSON writes as null, stays one.
fn values(event: &Value) -> Vec<(String, f64)> {
    let pairs = event["values"].as_array().map(Vec::as_slice).unwrap_or_default();
    pairs.iter().filter_map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].as_f64().unwrap_or(f64::NAN)))).collect()
}

fn answers(event: &Value) -> Vec<Answer> {
    let answers = event["answers"].as_array().map(Vec::as_slice).unwrap_or_default();
    answers.iter().filter_map(|answer| serde_json::from_value(answer.clone()).ok()).collect()
}

fn layers(event: &Value) -> Vec<(String, bool, f64)> {
    let layers = event["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    layers
        .iter()
        .filter_map(|l| {
            Some((l["name"].as_str()?.to_owned(), l["trainable"].as_bool()?, l["lr_scale"].as_f64().unwrap_or(1.0)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_run_shows_each_step_once() {
        let step = |n: u64| {
            format!(r#"{{"event":"step","step":{n},"loss":{n},"smoothed_loss":1,"learning_rate":1,"grad_norm":1}}"#)
        };
        let log = [
            r#"{"event":"run_start","total_steps":5,"parameters":10,"trainable_parameters":10,"resumed_from":null}"#
                .to_owned(),
            step(1),
            step(2),
            step(3),
            r#"{"event":"step","step":4,"lo"#.to_owned(),
            r#"{"event":"run_start","total_steps":5,"parameters":10,"trainable_parameters":10,"resumed_from":2}"#
                .to_owned(),
            step(3),
            step(4),
        ];
        let history = History::read(&log.join("\n"));
        assert_eq!(history.steps.iter().map(|s| s.step).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(history.resumed_from, [2]);
    }

    #[test]
    fn a_resumed_run_warns_once() {
        let warning = |message: &str| format!(r#"{{"event":"warning","step":0,"message":"{message}"}}"#);
        let log = [warning("a"), warning("b"), r#"{"event":"run_start","resumed_from":2}"#.to_owned(), warning("a")];
        assert_eq!(History::read(&log.join("\n")).warnings, ["a", "b"]);
    }

    #[test]
    fn the_time_of_a_process_that_was_killed_counts_too() {
        let log = [
            r#"{"time":100.0,"event":"data"}"#,
            r#"{"time":160.0,"event":"checkpoint","step":9}"#,
            r#"{"time":900.0,"event":"data"}"#,
            r#"{"time":930.0,"event":"exported"}"#,
            r#"{"time":931.0,"event":"finished","seconds":33.5}"#,
        ];
        assert_eq!(History::read(&log.join("\n")).seconds, 60.0 + 33.5);
        assert_eq!(History::read(&log[..4].join("\n")).seconds, 60.0 + 30.0, "one that is still at work");
    }

    #[test]
    fn an_undefined_value_stays_undefined() {
        let history =
            History::read(r#"{"event":"evaluation","step":1,"values":[["loss",0.5],["f1",null]],"best":true}"#);
        assert_eq!(history.evaluations[0].values[0].1, 0.5);
        assert!(history.evaluations[0].values[1].1.is_nan());
    }
}
