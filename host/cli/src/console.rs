//! What a person is told while a verb works: a bar on a terminal, plain lines elsewhere, warnings, or nothing.
//!
//! Everything goes to standard error; standard output is for results. Plain lines
//! come at most every few seconds, so that a log file stays readable; the event
//! log has every number in any case.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use retune_data::DataProgress;
use retune_roles::text::line;
use retune_train::TrainEvent;

use retune_run::Reporter;
use retune_run::report::svg::short;
use retune_run::words::{amount, count, duration, plain};

/// Most characters of a line.
const LONGEST: usize = 8_000;

/// How long a plain line waits for the next.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// How much is told on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Everything.
    Progress,
    /// Warnings and errors.
    Warnings,
    /// Errors.
    Errors,
}

/// Where progress goes.
pub struct Console {
    mode: Mode,
    bar: Option<ProgressBar>,
    /// What the bar counts, so that another stage gets its own.
    stage: String,
    last_line: Option<Instant>,
    began: Instant,
    total: u64,
    first: u64,
    /// Decisions of a policy that are alike, told in one line.
    decisions: Option<Decisions>,
}

/// One action of a policy on several globs.
struct Decisions {
    head: String,
    reason: String,
    layers: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Errors,
    Warnings,
    Plain,
    Terminal,
}

impl Console {
    /// For this process's standard error.
    pub fn new(verbosity: Verbosity) -> Self {
        let mode = match verbosity {
            Verbosity::Errors => Mode::Errors,
            Verbosity::Warnings => Mode::Warnings,
            Verbosity::Progress if std::io::stderr().is_terminal() => Mode::Terminal,
            Verbosity::Progress => Mode::Plain,
        };
        Self {
            mode,
            bar: None,
            stage: String::new(),
            last_line: None,
            began: Instant::now(),
            total: 0,
            first: 0,
            decisions: None,
        }
    }

    /// Prints a line, whatever is in it.
    fn print(&self, text: &str) {
        let text: &str = &line(text, LONGEST);
        match &self.bar {
            Some(bar) => bar.println(text),
            // A closed pipe (`2>&1 | head`) must not end a run.
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }

    /// Anything that is counted.
    fn count(&mut self, stage: &str, done: u64, total: u64, more: &str) {
        if self.mode != Mode::Terminal {
            return;
        }
        if self.stage != stage {
            self.clear();
            self.stage = stage.to_owned();
            let bar = ProgressBar::new(total);
            bar.set_style(style("{msg:40!} {bar:30} {percent:>3} %  {eta}"));
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(format!("{stage}, {more}"));
        }
    }

    /// How many answers are complete, and how fast tokens come.
    pub fn answers(&mut self, done: u64, total: u64, tokens: u64, seconds: f64) {
        let rate = format!("{:.0} tokens/s", tokens as f64 / seconds.max(1e-9));
        self.count("generate", done, total, &rate);
        let last = *self.last_line.get_or_insert_with(Instant::now);
        if self.mode == Mode::Plain && done < total && last.elapsed() >= PLAIN_EVERY {
            self.last_line = Some(Instant::now());
            self.line(&format!("generate  {}/{} answers, {rate}", count(done), count(total)));
        }
    }

    /// Prints something on standard output that the bar, if there is one, makes room for.
    pub fn aside(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// A stretch of work outside the steps; within training it borrows training's bar.
    fn progress(&mut self, stage: &str, done: u64, total: u64) {
        match &self.bar {
            Some(bar) if self.stage == "train" => {
                bar.set_message(format!("{stage} {}/{} rows", count(done), count(total)))
            }
            _ => self.count(stage, done, total, &format!("{} rows", count(done))),
        }
    }

    /// Prints what policies decided since the last event.
    fn tell_decisions(&mut self) {
        let Some(Decisions { head, reason, layers }) = self.decisions.take() else { return };
        let shown = layers.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let more = if layers.len() > 3 { format!(" and {} more", layers.len() - 3) } else { String::new() };
        self.line(&format!("{head} {shown}{more} ({reason})"));
    }

    /// Ends a stage that is not training's own bar.
    fn unstage(&mut self) {
        if self.stage != "train" {
            self.clear();
        }
    }

    fn step(&mut self, step: u64, loss: f64, learning_rate: f64, speed: &str) {
        let done = step.saturating_sub(self.first).max(1);
        let left = self.began.elapsed().as_secs_f64() / done as f64 * self.total.saturating_sub(step) as f64;
        match self.mode {
            Mode::Errors | Mode::Warnings => {}
            Mode::Terminal => {
                if self.stage != "train" {
                    self.clear();
                    self.stage = "train".to_owned();
                    let bar = ProgressBar::new(self.total);
                    bar.set_style(style("train     {bar:30} {pos}/{len}  {msg}"));
                    self.bar = Some(bar);
                }
                if let Some(bar) = &self.bar {
                    bar.set_position(step);
                    bar.set_message(format!(
                        "loss {}  lr {learning_rate:.2e}  {speed}  {} left",
                        short(loss),
                        duration(left)
                    ));
                }
            }
            Mode::Plain => {
                let due = self.last_line.is_none_or(|at| at.elapsed() >= PLAIN_EVERY) || step == self.total;
                if due {
                    self.last_line = Some(Instant::now());
                    self.line(&format!(
                        "step      {step}/{}  loss {}  lr {learning_rate:.2e}  {speed}  {} left",
                        self.total,
                        short(loss),
                        duration(left)
                    ));
                }
            }
        }
    }
}

impl Reporter for Console {
    fn line(&self, text: &str) {
        if matches!(self.mode, Mode::Plain | Mode::Terminal) {
            self.print(text);
        }
    }

    fn warning(&self, text: &str) {
        if self.mode != Mode::Errors {
            self.print(&format!("warning   {text}"));
        }
    }

    fn data(&mut self, at: &DataProgress) {
        let stage = format!("prepare {} ({})", at.file, at.split);
        self.count(&stage, at.bytes_read, at.bytes_total, &format!("{} rows", count(at.rows)));
    }

    fn event(&mut self, event: &TrainEvent) {
        if !matches!(event, TrainEvent::PolicyChange { .. } | TrainEvent::Layers { .. }) {
            self.tell_decisions();
        }
        match event {
            TrainEvent::RunStart {
                train_rows,
                validation_rows,
                total_steps,
                parameters,
                trainable_parameters,
                resumed_from,
                ..
            } => {
                self.clear();
                self.total = *total_steps;
                self.first = resumed_from.unwrap_or(0);
                self.began = Instant::now();
                self.last_line = None;
                let rows = match validation_rows {
                    0 => format!("{} rows", count(*train_rows as u64)),
                    some => format!("{} rows, {} for validation", count(*train_rows as u64), count(*some as u64)),
                };
                let learning =
                    format!("{} of {} parameters trainable", amount(*trainable_parameters), amount(*parameters));
                self.line(&format!("train     {} steps on {rows}; {learning}", count(*total_steps)));
                if let Some(step) = resumed_from {
                    self.line(&format!("resume    from the checkpoint of step {step}"));
                }
            }
            TrainEvent::Step { step, smoothed_loss, learning_rate, rows, examples_per_second, .. } => {
                self.step(*step, *smoothed_loss, *learning_rate, &speed(*rows, *examples_per_second))
            }
            TrainEvent::Evaluation { step, epoch, values, best, .. } => {
                self.unstage();
                let shown: Vec<String> = values
                    .iter()
                    .filter(|(name, _)| !name.contains(['.', '/', '[']))
                    .map(|(name, value)| format!("{name} {}", short(*value)))
                    .collect();
                let best = if *best == Some(true) { "  (best so far)" } else { "" };
                self.line(&format!("evaluate  step {step}, epoch {epoch:.1}: {}{best}", shown.join("  ")));
            }
            TrainEvent::PolicyChange { step, policy, layers, action, reason, .. } => {
                let head = format!("policy    step {step}: {}: {action}", plain(policy));
                match &mut self.decisions {
                    Some(last) if last.head == head && last.reason == *reason => last.layers.push(layers.clone()),
                    _ => {
                        self.tell_decisions();
                        self.decisions = Some(Decisions { head, reason: reason.clone(), layers: vec![layers.clone()] });
                    }
                }
            }
            TrainEvent::EarlyStop { step, metric, best, patience } => {
                let best = best.map(|best| format!(" on {}", short(best))).unwrap_or_default();
                self.line(&format!(
                    "stop      step {step}: {metric} has not improved{best} for {patience} evaluations"
                ));
            }
            TrainEvent::Warning { message, .. } => self.warning(message),
            TrainEvent::Progress { stage, done, total } => self.progress(stage, *done as u64, *total as u64),
            TrainEvent::RunEnd { .. } => self.clear(),
            TrainEvent::Layers { .. } | TrainEvent::Checkpoint { .. } | TrainEvent::Answers { .. } => {}
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.stage.clear();
    }
}

/// `93 rows/s`; where that says little, `12.5 s per step`.
fn speed(rows: u64, per_second: f64) -> String {
    match per_second {
        rate if rate >= 10.0 => format!("{rate:.0} rows/s"),
        rate => format!("{} per step", duration(rows as f64 / rate.max(1e-9))),
    }
}

/// A style; an invalid template, which the tests would show, is the plain bar.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_machine_is_told_how_long_a_step_takes() {
        assert_eq!(speed(16, 93.4), "93 rows/s");
        assert_eq!(speed(16, 0.4), "40 s per step");
        assert_eq!(speed(4, 8.0), "0.5 s per step");
    }
}
