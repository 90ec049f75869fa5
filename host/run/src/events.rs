//! The event log, `events.jsonl`: every number ever printed, one JSON object per line.
//!
//! The trainer's events and the host's own share the file and the key `event`;
//! `time` is seconds since 1970. A line is on disk before the next event is taken,
//! so a killed run leaves at most one torn line, which readers skip. A resumed run
//! appends.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use retune_data::DataReport;
use retune_train::{Answer, Confusion};
use serde::Serialize;

use crate::forecast::Memory;
use crate::words::visible_json;
use retune_recipe::diagnostic::{Diagnostic, Result};

/// What the host adds to the trainer's events.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum HostEvent {
    /// What became of the data.
    Data {
        /// The whole account.
        report: Box<DataReport>,
    },
    /// What training is going to take.
    Forecast {
        /// Bytes, by purpose.
        memory: Memory,
    },
    /// A model was measured outside the training loop.
    Measured {
        /// `before`, `after`: around training; `test`: once, at the end.
        when: When,
        /// `train`, `validation`, `test`.
        split: String,
        /// `loss` first.
        values: Vec<(String, f64)>,
        /// A list of `[label, prediction, rows]`, by their numbers; for classifiers.
        confusion: Option<Confusion>,
        /// Rows looked at.
        rows: usize,
        /// A few of the model's answers, where a metric reads them.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        answers: Vec<Answer>,
        /// Wall time.
        seconds: f64,
    },
    /// The result was written.
    Exported {
        /// Where.
        #[serde(serialize_with = "crate::words::path")]
        path: PathBuf,
    },
    /// The run ended because something was wrong.
    Failed {
        /// One sentence.
        message: String,
    },
    /// Somebody stopped the run.
    Interrupted {
        /// Steps taken.
        step: u64,
    },
    /// The run did all it should.
    Finished {
        /// Wall time of this process.
        seconds: f64,
        /// Most memory this process ever held, in bytes, where the system says.
        peak_memory: Option<u64>,
    },
}

/// Around training, or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Before the first step.
    Before,
    /// With the weights the run ends with.
    After,
    /// The test set, once.
    Test,
}

impl When {
    /// As it stands in the event log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Test => "test",
        }
    }
}

/// An open event log.
#[derive(Debug)]
pub struct EventLog {
    file: File,
    path: PathBuf,
}

impl EventLog {
    /// Opens `path` for appending.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path)
            .map_err(|e| Diagnostic::new(format!("cannot write `{}`", path.display())).because(e))?;
        // A line torn by a kill must not swallow the first event of this run.
        let torn = std::fs::read(path).is_ok_and(|bytes| bytes.last().is_some_and(|b| *b != b'\n'));
        if torn {
            file.write_all(b"\n")
                .map_err(|e| Diagnostic::new(format!("cannot write `{}`", path.display())).because(e))?;
        }
        Ok(Self { file, path: path.to_owned() })
    }

    /// Appends one event.
    pub fn write(&mut self, event: &impl Serialize) -> Result<()> {
        #[derive(Serialize)]
        struct Line<'a, T> {
            time: f64,
            #[serde(flatten)]
            event: &'a T,
        }
        let failed = |e: String| {
            Diagnostic::new(format!("cannot write `{}`", self.path.display())).because(e).help("the disk may be full")
        };
        let line = serde_json::to_string(&Line { time: now(), event }).map_err(|e| failed(e.to_string()))?;
        let mut line = visible_json(line);
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(|e| failed(e.to_string()))
    }
}

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| (d.as_secs_f64() * 1000.0).round() / 1000.0)
}
