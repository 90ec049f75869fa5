//! What a finished run tells: before, after, test, and where everything is.

use std::path::PathBuf;

use serde::Serialize;

use crate::report::history::{History, Measured};
use crate::report::svg::short;
use crate::words::{bytes, count, duration};

/// The end of a run, for people and for machines.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Name of the recipe.
    pub name: String,
    /// Optimiser steps.
    pub steps: u64,
    /// `finished`, `early_stop`.
    pub ended: String,
    /// The step whose weights are the result.
    pub weights_from: u64,
    /// Frozen parameters compared byte for byte.
    pub frozen_unchanged: u64,
    /// Wall time of the whole run.
    pub seconds: f64,
    /// Most memory held, in bytes.
    pub peak_memory: Option<u64>,
    /// What was forecast of that, in bytes.
    pub forecast_memory: Option<u64>,
    /// Before training.
    pub before: Option<Measure>,
    /// After training, on the same rows.
    pub after: Option<Measure>,
    /// On the test set, evaluated once per run.
    pub test: Option<Measure>,
    /// Where the model is.
    #[serde(serialize_with = "crate::words::path")]
    pub model: PathBuf,
    /// Where the report is.
    #[serde(serialize_with = "crate::words::path")]
    pub report: PathBuf,
    /// The run directory.
    #[serde(serialize_with = "crate::words::path")]
    pub run: PathBuf,
}

/// Values on one set of rows.
#[derive(Clone, Debug, Serialize)]
pub struct Measure {
    /// Which rows.
    pub split: String,
    /// How many.
    pub rows: u64,
    /// `loss` first; null where undefined.
    pub values: serde_json::Map<String, serde_json::Value>,
}

impl Measure {
    fn of(measured: &Measured) -> Self {
        let values =
            measured.values.iter().map(|(name, value)| (name.clone(), serde_json::Value::from(*value))).collect();
        Self { split: measured.split.clone(), rows: measured.rows, values }
    }
}

impl Summary {
    /// From what the event log says.
    pub fn new(name: String, history: &History, run: PathBuf, model: PathBuf, report: PathBuf) -> Self {
        let end = history.end.as_ref();
        let measure = |when: &str| history.measured(when).map(Measure::of);
        Self {
            name,
            steps: history.last_step(),
            ended: end.map(|e| e.reason.clone()).unwrap_or_default(),
            weights_from: end.map_or(0, |e| e.weights_from),
            frozen_unchanged: end.map_or(0, |e| e.frozen_unchanged),
            seconds: history.seconds,
            peak_memory: history.peak_memory,
            forecast_memory: history.forecast_memory,
            before: measure("before"),
            after: measure("after"),
            test: measure("test"),
            model,
            report,
            run,
        }
    }

    /// As printed.
    pub fn page(&self) -> String {
        let columns: Vec<(&str, &Measure)> = [("before", &self.before), ("after", &self.after), ("test", &self.test)]
            .into_iter()
            .filter_map(|(title, measure)| Some((title, measure.as_ref()?)))
            .collect();
        let mut names: Vec<&String> = Vec::new();
        for (_, measure) in &columns {
            for name in measure.values.keys().filter(|name| !name.contains(['.', '/', '['])) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let mut out = String::from("\n");
        let width = names.iter().map(|n| n.len()).max().unwrap_or(0).max(8);
        if !columns.is_empty() {
            out.push_str(&format!("{:width$}", ""));
            for (title, _) in &columns {
                out.push_str(&format!("  {title:>10}"));
            }
            out.push('\n');
            for name in names {
                out.push_str(&format!("{name:width$}"));
                for (_, measure) in &columns {
                    let value = measure
                        .values
                        .get(name)
                        .map(|v| v.as_f64().map_or("undefined".to_owned(), fixed))
                        .unwrap_or_default();
                    out.push_str(&format!("  {value:>10}"));
                }
                out.push('\n');
            }
            let rows: Vec<String> =
                columns.iter().map(|(title, m)| format!("{title} on {} {} rows", count(m.rows), m.split)).collect();
            out.push_str(&format!("{}\n\n", rows.join(", ")));
        }
        out.push_str(&format!("{} steps in {}", count(self.steps), duration(self.seconds)));
        if let Some(peak) = self.peak_memory {
            out.push_str(&format!(", {} at most", bytes(peak)));
        }
        if let Some(forecast) = self.forecast_memory {
            out.push_str(&format!(" ({} were forecast)", bytes(forecast)));
        }
        if self.weights_from != self.steps {
            out.push_str(&format!("; the result has the weights of step {}", self.weights_from));
        }
        out.push('\n');
        if self.frozen_unchanged > 0 {
            out.push_str(&format!("{} frozen parameters are unchanged, byte for byte\n", self.frozen_unchanged));
        }
        out.push_str(&format!("model     {}\nreport    {}\n", self.model.display(), self.report.display()));
        out
    }
}

/// Four decimals, so that a column reads well; very large and very small ones short.
fn fixed(value: f64) -> String {
    if value == 0.0 || (1e-3..1e5).contains(&value.abs()) { format!("{value:.4}") } else { short(value) }
}
