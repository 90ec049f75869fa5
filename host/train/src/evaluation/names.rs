//! What the values of a run's metrics are called: in reports, in events, in `evaluation.best`.
//!
//! Every value has a name of its own, and it does not depend on what was measured: described values are named before
//! any is computed. The first metric that gives `accuracy` has the bare name, a later one is
//! `metric.accuracy`. The second metric called `report` is `report-2`, the third `report-3`: one plugin may be
//! used twice, with other settings.

use std::collections::BTreeSet;

use retune_roles::Metric;

/// The names, while they are given out.
pub(crate) struct ValueNames {
    /// One a metric: what its values are prefixed with.
    metrics: Vec<String>,
    /// One a metric: its described values by their own names, and what they are called.
    described: Vec<Vec<(String, String)>>,
    taken: BTreeSet<String>,
}

impl ValueNames {
    /// Names what `metrics` describe.
    pub fn of(metrics: &[Box<dyn Metric>]) -> Self {
        let mut names =
            Self { metrics: Vec::new(), described: Vec::new(), taken: std::iter::once("loss".to_string()).collect() };
        for metric in metrics {
            // Without the file that a plugin adds in parentheses.
            let short = metric.name().split(" (").next().unwrap_or_default();
            let own = first_free(short, |name| names.metrics.iter().any(|other| other == name));
            names.metrics.push(own);
            let index = names.metrics.len() - 1;
            let values = metric.describe().iter().map(|value| (value.name.clone(), names.take(index, &value.name)));
            let values = values.collect();
            names.described.push(values);
        }
        names
    }

    /// The names of all described values, in the order of the metrics.
    pub fn described(&self) -> impl Iterator<Item = &str> {
        self.described.iter().flatten().map(|(_, name)| name.as_str())
    }

    /// What `value` of the metric with this number is called. A value that was not described gets a name that is free.
    pub fn of_value(&mut self, metric: usize, value: &str) -> String {
        let described = self.described.get(metric).into_iter().flatten().find(|(own, _)| own == value);
        match described {
            Some((_, name)) => name.clone(),
            None => self.take(metric, value),
        }
    }

    fn take(&mut self, metric: usize, value: &str) -> String {
        let name = if self.taken.contains(value) {
            let prefix = self.metrics.get(metric).map_or("", String::as_str);
            first_free(&format!("{prefix}.{value}"), |name| self.taken.contains(name))
        } else {
            value.to_string()
        };
        self.taken.insert(name.clone());
        name
    }
}

/// `name`, or the first of `name-2`, `name-3`, … that is not taken.
fn first_free(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut free = name.to_string();
    let mut number = 1;
    while taken(&free) {
        number += 1;
        free = format!("{name}-{number}");
    }
    free
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use retune_roles::{Batch, InputSpec, Result, ValueSpec};

    struct Gives(&'static str, Vec<ValueSpec>);

    impl Metric for Gives {
        fn name(&self) -> &str {
            self.0
        }
        fn describe(&self) -> &[ValueSpec] {
            &self.1
        }
        fn wants(&self) -> &[InputSpec] {
            &[]
        }
        fn update(&mut self, _: &Batch) -> Result<()> {
            Ok(())
        }
        fn snapshot(&mut self) -> Result<Vec<u8>> {
            Ok(Vec::new())
        }
        fn merge(&mut self, _: &[u8]) -> Result<()> {
            Ok(())
        }
        fn compute(&mut self) -> Result<Vec<(String, f64)>> {
            Ok(Vec::new())
        }
        fn reset(&mut self) -> Result<()> {
            Ok(())
        }
    }

    fn metric(name: &'static str, values: &[&str]) -> Box<dyn Metric> {
        let value = |name: &&str| ValueSpec { name: (*name).to_string(), unit: None, higher_is_better: true };
        Box::new(Gives(name, values.iter().map(value).collect()))
    }

    #[test]
    fn no_two_values_share_a_name_and_the_first_keeps_its_own() {
        let report = "report (plugins/report.wasm)";
        let metrics = [
            metric("accuracy", &["accuracy"]),
            metric(report, &["accuracy", "f1", "loss"]),
            metric(report, &["accuracy", "f1"]),
            metric("accuracy", &["accuracy"]),
            metric(report, &["f1", "report.accuracy"]),
        ];
        let mut names = ValueNames::of(&metrics);
        let described = [
            "accuracy",
            "report.accuracy",
            "f1",
            "report.loss",
            "report-2.accuracy",
            "report-2.f1",
            "accuracy-2.accuracy",
            "report-3.f1",
            "report-3.report.accuracy",
        ];
        assert_eq!(names.described().collect::<Vec<_>>(), described);
        assert_eq!(names.of_value(2, "f1"), "report-2.f1");
        // Beyond what was described: no described value loses its name to it.
        assert_eq!(names.of_value(0, "f1"), "accuracy.f1");
        assert_eq!(names.of_value(1, "f1.yes"), "f1.yes");
        assert_eq!(names.of_value(2, "f1.yes"), "report-2.f1.yes");
    }
}
