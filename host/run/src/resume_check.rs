//! Does a recipe's run, killed anywhere and resumed, end with the bytes of one that was left alone?
//!
//! The run is made by processes of the program itself, in a temporary folder: once whole, then several times with one or two
//! kills at places drawn from a seed. A place is so many lines of the event log and then a share of the time between two
//! lines, so that a kill hits steps, evaluations and checkpoints alike. What is compared: every file of the exported model,
//! every file of the checkpoints that are kept (weights, optimiser, state), and the event log without clocks and paths.
//! Price: the whole run, once for each kill and once more.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use retune_recipe::diagnostic::{Diagnostic, Result, listed, unreadable};
use retune_tensor::random::Stream;
use serde::Serialize;
use serde_json::Value;

use crate::Reporter;
use crate::words::count;

/// What is to be run, and how often it is killed.
#[derive(Clone, Debug)]
pub struct ResumeCheck {
    /// The program whose verb `train` is called.
    pub program: PathBuf,
    /// Recipe, and settings of it.
    pub arguments: Vec<OsString>,
    /// Whether the recipe exports to a second place, which then lies in the temporary folder.
    pub exports: bool,
    /// Optimiser steps.
    pub steps: u64,
    /// Runs that are killed.
    pub kills: u64,
    /// Decides where.
    pub seed: u64,
}

/// One run that was killed.
#[derive(Clone, Debug, Serialize)]
pub struct Killed {
    /// Lines of the event log at each kill, counted from where that process began.
    pub lines: Vec<u64>,
    /// Steps of the checkpoints it went on from; `null` where there was none yet.
    pub resumed_from: Vec<Option<u64>>,
    /// What is not as in the whole run: files, and events by their place.
    pub differs: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// Whether every run ended with the same bytes.
    pub ok: bool,
    /// Optimiser steps that were taken.
    pub steps: u64,
    /// Files that were compared.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Events that were compared.
    pub events: u64,
    /// Each run that was killed.
    pub runs: Vec<Killed>,
}

/// What a run left behind.
struct Left {
    files: BTreeMap<String, Vec<u8>>,
    events: Vec<String>,
}

/// Where a kill is to hit.
#[derive(Clone, Copy, Debug)]
struct Place {
    lines: u64,
    wait: Duration,
}

impl ResumeCheck {
    /// Runs everything.
    ///
    /// # Errors
    /// When a run fails by itself, with what it said; differences are no error.
    pub fn run(&self, console: &dyn Reporter) -> Result<Checked> {
        let folder = tempfile::tempdir().map_err(|e| Diagnostic::new("cannot make a temporary folder").because(e))?;
        let whole = folder.path().join("whole");
        let began = Instant::now();
        self.finish(self.command(&whole, false), &whole)?;
        let lines = log(&whole)?.lines().count() as u64;
        let pause = began.elapsed() / u32::try_from(lines.max(1)).unwrap_or(u32::MAX);
        let expected = Left::of(&whole)?;
        console.line(&format!("whole run: {} lines of the event log", count(lines)));
        let mut runs = Vec::new();
        for number in 0..self.kills {
            let mut draw = Stream::new(self.seed, number << 32);
            let mut place =
                |lines: u64| Place { lines: 1 + draw.below(lines.max(1)), wait: pause.mul_f64(draw.positive_unit()) };
            let (first, second) = (place(lines.saturating_sub(2)), place(lines.saturating_sub(2)));
            let root = folder.path().join(format!("killed-{}", number + 1));
            let run = self.killed(&root, first, (number % 2 == 1).then_some(second), &expected)?;
            console.line(&told(number + 1, &run));
            runs.push(run);
            fs::remove_dir_all(&root).map_err(|e| Diagnostic::new("cannot remove a finished run").because(e))?;
        }
        let steps = expected.events.iter().filter_map(|line| step_of(line)).max().unwrap_or(0);
        Ok(Checked {
            ok: runs.iter().all(|run| run.differs.is_empty()),
            steps,
            files: expected.files.len() as u64,
            bytes: expected.files.values().map(|bytes| bytes.len() as u64).sum(),
            events: expected.events.len() as u64,
            runs,
        })
    }

    /// A run that is killed at `first`, resumed, perhaps killed at `second`, and resumed to its end.
    fn killed(&self, root: &Path, mut first: Place, second: Option<Place>, expected: &Left) -> Result<Killed> {
        let mut lines = Vec::new();
        loop {
            if let Some(at) = self.kill(self.command(root, false), root, first)? {
                lines.push(at);
                break;
            }
            // It was over too soon: once more, and earlier.
            if first.lines == 1 {
                let message = "the run is over before it can be killed";
                return Err(Diagnostic::new(message).help("give it more steps: --steps 100"));
            }
            fs::remove_dir_all(root).map_err(|e| Diagnostic::new("cannot remove a finished run").because(e))?;
            first = Place { lines: first.lines.div_ceil(2), wait: Duration::ZERO };
        }
        if let Some(second) = second {
            lines.extend(self.kill(self.command(root, true), root, second)?);
        }
        self.finish(self.command(root, true), root)?;
        let found = Left::of(root)?;
        let log = log(root)?;
        let resumed_from = log.lines().filter_map(event).filter(|e| e["event"] == "run_start").skip(1);
        let resumed_from = resumed_from.map(|event| event["resumed_from"].as_u64()).collect();
        Ok(Killed { lines, resumed_from, differs: expected.differences(&found) })
    }

    fn command(&self, root: &Path, resume: bool) -> Command {
        let every = (self.steps / 4).max(1);
        let mut command = Command::new(&self.program);
        command.arg("train").args(&self.arguments).arg("--output").arg(root);
        command.args(["--set", &format!("training.max_steps={}", self.steps)]);
        command.args(["--set", &format!("training.checkpoint.every_steps={every}")]);
        if self.exports {
            let place = toml::Value::String(root.with_extension("export").display().to_string());
            command.arg("--set").arg(format!("export.directory={place}"));
        }
        if resume {
            command.arg("--resume");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Starts a run; its standard error goes to a file beside its folder.
    fn start(&self, mut command: Command, root: &Path) -> Result<Child> {
        let failed = |e: io::Error| Diagnostic::new(format!("cannot start `{}`", self.program.display())).because(e);
        command.stderr(File::create(said(root)).map_err(failed)?);
        command.spawn().map_err(failed)
    }

    /// Runs to the end.
    fn finish(&self, command: Command, root: &Path) -> Result<()> {
        let mut child = self.start(command, root)?;
        let status = child.wait().map_err(|e| Diagnostic::new("cannot wait for a run").because(e))?;
        if status.success() { Ok(()) } else { Err(unfinished(root)) }
    }

    /// Runs up to a place; the lines that were there when it was killed, or `None` when it was over before.
    fn kill(&self, command: Command, root: &Path, place: Place) -> Result<Option<u64>> {
        let failed = |e: io::Error| Diagnostic::new("cannot watch a run").because(e);
        let before = log(root).map_or(0, |log| log.len() as u64);
        let mut child = self.start(command, root)?;
        let mut watched = Watched { path: root.join("events.jsonl"), from: before, file: None, lines: 0 };
        loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                return if status.success() { Ok(None) } else { Err(unfinished(root)) };
            }
            if watched.count().map_err(failed)? >= place.lines {
                std::thread::sleep(place.wait);
                child.kill().map_err(failed)?;
                let status = child.wait().map_err(failed)?;
                return Ok((!status.success()).then_some(watched.count().map_err(failed)?));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// An event log that grows.
struct Watched {
    path: PathBuf,
    /// Bytes that were there before.
    from: u64,
    file: Option<File>,
    lines: u64,
}

impl Watched {
    /// Lines so far.
    fn count(&mut self) -> io::Result<u64> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
            if let Some(file) = &mut self.file {
                io::Seek::seek(file, io::SeekFrom::Start(self.from))?;
            }
        }
        let mut new = Vec::new();
        if let Some(file) = &mut self.file {
            file.read_to_end(&mut new)?;
        }
        self.lines += new.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(self.lines)
    }
}

impl Left {
    fn of(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for part in ["model", "checkpoints"] {
            collect(&root.join(part), part, &mut files)?;
        }
        Ok(Self { files, events: events(&log(root)?) })
    }

    /// What `other` has not as this one has it.
    fn differences(&self, other: &Self) -> Vec<String> {
        let names = self.files.keys().chain(other.files.keys().filter(|name| !self.files.contains_key(*name)));
        let mut differs: Vec<String> = names
            .filter_map(|name| match (self.files.get(name), other.files.get(name)) {
                (Some(then), Some(now)) if then == now => None,
                (Some(_), Some(_)) => Some(name.clone()),
                (Some(_), None) => Some(format!("{name}: missing")),
                (None, _) => Some(format!("{name}: only there")),
            })
            .collect();
        let longest = self.events.len().max(other.events.len());
        if let Some(at) = (0..longest).find(|at| self.events.get(*at) != other.events.get(*at)) {
            let told = |events: &[String]| events.get(at).cloned().unwrap_or_else(|| "nothing".to_owned());
            differs.push(format!("event {}: {} in place of {}", at + 1, told(&other.events), told(&self.events)));
        }
        differs
    }
}

/// Every file below `folder`, by its name from the run directory.
fn collect(folder: &Path, name: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|e| unreadable(folder, &e))? {
        let entry = entry.map_err(|e| unreadable(folder, &e))?;
        let (path, name) = (entry.path(), format!("{name}/{}", entry.file_name().to_string_lossy()));
        if path.is_dir() {
            collect(&path, &name, files)?;
        } else {
            files.insert(name, fs::read(&path).map_err(|e| unreadable(&path, &e))?);
        }
    }
    Ok(())
}

/// What the log says happened, each thing once: without what was undone by going back to a checkpoint, and without clocks,
/// paths and what only tells of processes.
fn events(log: &str) -> Vec<String> {
    let mut kept: Vec<(u64, String)> = Vec::new();
    for mut event in log.lines().filter_map(event) {
        let step = event["step"].as_u64().unwrap_or(0);
        match event["event"].as_str().unwrap_or_default() {
            "run_start" => match event["resumed_from"].as_u64() {
                Some(from) => kept.retain(|(step, _)| *step <= from),
                None => kept.clear(),
            },
            "step" | "evaluation" | "policy_change" | "layers" | "early_stop" | "run_end" => {
                let fields = event.as_object_mut();
                if let Some(fields) = fields {
                    for volatile in ["time", "seconds", "tokens_per_second", "examples_per_second"] {
                        fields.remove(volatile);
                    }
                }
                let line = event.to_string();
                // What a process tells of the step that it goes on from stands there already.
                if !kept.iter().any(|(_, known)| *known == line) {
                    kept.push((step, line));
                }
            }
            _ => {}
        }
    }
    kept.into_iter().map(|(_, line)| line).collect()
}

fn event(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}

fn step_of(line: &str) -> Option<u64> {
    event(line)?["step"].as_u64()
}

fn log(root: &Path) -> Result<String> {
    let path = root.join("events.jsonl");
    let bytes = fs::read(&path).map_err(|e| unreadable(&path, &e))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where the standard error of a run goes.
fn said(root: &Path) -> PathBuf {
    root.with_extension("stderr")
}

/// A run that failed by itself, with the last it said.
fn unfinished(root: &Path) -> Diagnostic {
    let text = fs::read_to_string(said(root)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(12)..].join("\n");
    Diagnostic::new("a run of this recipe fails by itself").because(last).help("first see that `retune train` runs it")
}

/// A killed run in a line.
fn told(number: u64, run: &Killed) -> String {
    let kills: Vec<String> = run.lines.iter().map(|lines| count(*lines)).collect();
    let from: Vec<String> = run
        .resumed_from
        .iter()
        .map(|step| step.map_or("the beginning".to_owned(), |step| format!("step {}", count(step))))
        .collect();
    let result = if run.differs.is_empty() { "the same bytes" } else { "DIFFERS" };
    format!(
        "run {number}: killed after line {} of the log, resumed from {}: {result}",
        listed(kills.iter().map(String::as_str)).replace('`', ""),
        if from.is_empty() { "the end of training".to_owned() } else { from.join(", then ") }
    )
}

impl Checked {
    /// For people.
    pub fn page(&self) -> String {
        let kills: usize = self.runs.iter().map(|run| run.lines.len()).sum();
        let runs = self.runs.len() as u64;
        let mut out = format!(
            "{}: {} run{} of {} steps, killed {} time{} and resumed; compared with one that was left alone: {} files ({}), {} \
             events\n",
            if self.ok { "OK" } else { "DIFFERS" },
            count(runs),
            if runs == 1 { "" } else { "s" },
            count(self.steps),
            count(kills as u64),
            if kills == 1 { "" } else { "s" },
            count(self.files),
            crate::words::bytes(self.bytes),
            count(self.events)
        );
        for (number, run) in self.runs.iter().enumerate().filter(|(_, run)| !run.differs.is_empty()) {
            for differs in &run.differs {
                out.push_str(&format!("  run {}: {differs}\n", number + 1));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(from: Option<u64>) -> String {
        format!(r#"{{"event":"run_start","resumed_from":{}}}"#, from.map_or("null".to_owned(), |from| from.to_string()))
    }

    fn step(step: u64, loss: f64, time: f64) -> String {
        format!(r#"{{"time":{time},"event":"step","step":{step},"loss":{loss},"tokens_per_second":{time}}}"#)
    }

    #[test]
    fn a_log_that_went_back_tells_what_the_whole_one_tells() {
        let whole = [start(None), step(1, 3.0, 1.0), step(2, 2.0, 2.0), step(3, 1.0, 3.0)].join("\n");
        let torn = r#"{"event":"step","step":3,"lo"#.to_owned();
        let killed = [
            start(None),
            step(1, 3.0, 4.0),
            step(2, 9.0, 5.0),
            torn,
            start(Some(1)),
            step(2, 2.0, 6.0),
            step(3, 1.0, 7.0),
        ];
        assert_eq!(events(&whole), events(&killed.join("\n")));
        let anew =
            [start(None), step(1, 8.0, 4.0), start(None), step(1, 3.0, 1.0), step(2, 2.0, 2.0), step(3, 1.0, 3.0)];
        assert_eq!(events(&whole), events(&anew.join("\n")));
        let other = [start(None), step(1, 3.0, 1.0), step(2, 2.5, 2.0), step(3, 1.0, 3.0)].join("\n");
        assert_ne!(events(&whole), events(&other));
    }

    #[test]
    fn each_file_and_the_first_event_that_differ_are_named() {
        let left = |files: &[(&str, &[u8])], events: &[&str]| Left {
            files: files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
        };
        let whole = left(&[("model/a", b"1"), ("model/b", b"2"), ("checkpoints/c", b"3")], &["x", "y"]);
        assert!(whole.differences(&whole).is_empty());
        let other = left(&[("model/a", b"1"), ("model/b", b"5"), ("model/d", b"4")], &["x", "z"]);
        assert_eq!(
            whole.differences(&other),
            ["checkpoints/c: missing", "model/b", "model/d: only there", "event 2: z in place of y"]
        );
    }
}
