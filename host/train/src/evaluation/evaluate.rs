//! How good a model is on a set of rows, in a stream.
//!
//! Rows go through one batch at a time, the longest first, with untracked tensors and
//! without dropout. Rows of about the same length share a batch, so that what roles read
//! has little padding, and a batch that is too large for the memory is the first one.
//! What is kept is two sums of the loss, the metrics' own states and, for classification,
//! a count of each pair of classes that occurs. The result does not depend on the batch size.
//! After that the model answers some of the rows, where a metric reads what it writes.
//!
//! Price: 8 bytes per row for the order.

use std::{borrow::Cow, ops::ControlFlow};

use retune_roles::{Example, Loss, Metric, Progress, RoleKind, Rows, Target, Task, text};

use crate::{
    collate::Collation,
    error::TrainError,
    evaluation::answers::{self, Asking},
    evaluation::confusion::Confusion,
    evaluation::names::ValueNames,
    event::{Answer, Observer, TrainEvent},
    model::Model,
    optimizer::gradients::read_scalars,
    training::step::check,
};

/// What an evaluation found.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Sum of numerators over sum of denominators; NaN when no row carries a loss.
    pub loss: f64,
    /// What the metrics gave, in their order, each under a name of its own: a name that an earlier metric
    /// gives too is prefixed with the metric's, `classification-report.accuracy`.
    pub values: Vec<(String, f64)>,
    /// Rows by true class and predicted class; classification only.
    pub confusion: Option<Confusion>,
    /// Rows looked at.
    pub rows: usize,
    /// A few answers, where rows were asked.
    pub answers: Vec<Answer>,
}

impl Evaluation {
    /// `loss` and the metrics' values.
    pub fn all(&self) -> Vec<(String, f64)> {
        std::iter::once(("loss".to_string(), self.loss)).chain(self.values.iter().cloned()).collect()
    }

    /// The value called `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        if name == "loss" {
            Some(self.loss)
        } else {
            self.values.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
        }
    }
}

/// Rows to evaluate a model on, and how they are read.
#[derive(Clone, Copy)]
pub struct HeldOut<'a> {
    /// The rows.
    pub rows: &'a dyn Rows,
    /// What the rows' `extra` numbers are called.
    pub columns: &'a [String],
    /// Rows in a batch; changes no number.
    pub batch_size: usize,
    /// Which rows the model answers where a metric reads texts; `None` for no row.
    pub asking: Option<&'a Asking>,
}

impl<'a> HeldOut<'a> {
    /// Rows without further columns, of which none is answered.
    pub fn new(rows: &'a dyn Rows, batch_size: usize) -> Self {
        Self { rows, columns: &[], batch_size, asking: None }
    }
}

/// Evaluates `model` on the rows of `held_out`.
///
/// # Errors
/// When there are no rows, a role wants what cannot be supplied or fails, a row that is to be answered has no prompt, or the
/// observer stops or interrupts.
pub fn evaluate(
    model: &Model,
    held_out: &HeldOut,
    loss: &mut dyn Loss,
    metrics: &mut [Box<dyn Metric>],
    observer: &mut dyn Observer,
) -> Result<Evaluation, TrainError> {
    evaluate_at(model, held_out, loss, metrics, &Progress::default(), observer)
}

/// [`evaluate`] in the course of a run.
pub(crate) fn evaluate_at(
    model: &Model,
    held_out: &HeldOut,
    loss: &mut dyn Loss,
    metrics: &mut [Box<dyn Metric>],
    at: &Progress,
    observer: &mut dyn Observer,
) -> Result<Evaluation, TrainError> {
    let HeldOut { rows, columns, batch_size, asking } = *held_out;
    if rows.is_empty() {
        return Err(TrainError::Data { problem: "there are no rows to evaluate on".into(), help: None });
    }
    answers::refuse_unfed(metrics, asking)?;
    let mut collation = Collation::new(model.task(), columns);
    collation.want(RoleKind::Loss, loss.name(), loss.wants())?;
    for metric in metrics.iter_mut() {
        collation.want(RoleKind::Metric, metric.name(), metric.wants())?;
        metric.reset()?;
    }
    let weights = model.weights(false);
    let mut confusion = match model.task() {
        Task::SequenceClassification { .. } => Some(Confusion::default()),
        _ => None,
    };
    let (mut numerator, mut denominator) = (0.0, 0.0);
    let mut done = 0;
    for chunk in longest_first(rows).chunks(batch_size.max(1)) {
        if observer.interrupted() {
            return Err(TrainError::Stopped { step: at.step });
        }
        let read: Vec<Cow<'_, Example>> = chunk.iter().map(|&row| rows.get(row)).collect();
        let examples: Vec<&Example> = read.iter().map(Cow::as_ref).collect();
        let input = model.input(&examples)?;
        let forward = model.forward(&weights, &input, None)?;
        let batch = collation.batch(&forward, &input, &examples, model.device())?;
        let place = || format!("the evaluation of {}", text::rows(batch.keys()));
        let output = loss.compute(&batch, at).map_err(|failure| failure.at(place()))?;
        check(loss.name(), &output, place, false)?;
        let sums =
            read_scalars(&[output.numerator, output.denominator]).map_err(TrainError::tensor("reading the loss"))?;
        numerator += sums[0];
        denominator += sums[1];
        for metric in metrics.iter_mut().filter(|metric| metric.reads().tensors) {
            metric.update(&batch).map_err(|failure| failure.at(place()))?;
        }
        if let Some(confusion) = &mut confusion {
            let logits = forward.logits.to_float32().map_err(TrainError::tensor("reading the logits"))?;
            count(confusion, &examples, &logits, model.task().labels().len());
        }
        done += examples.len();
        let progress = TrainEvent::Progress { stage: "evaluate".into(), done, total: rows.len() };
        if observer.event(&progress) == ControlFlow::Break(()) {
            return Err(TrainError::Stopped { step: at.step });
        }
    }
    let read = metrics.iter().any(|metric| metric.reads().texts);
    let answers = match asking.filter(|_| read) {
        Some(asking) => answers::ask(model, rows, metrics, asking, columns, at.step, observer)?,
        None => Vec::new(),
    };
    Ok(Evaluation { loss: numerator / denominator, values: values(metrics)?, confusion, rows: done, answers })
}

/// Row numbers, long rows before short ones; rows of one length keep their order.
pub(crate) fn longest_first(rows: &dyn Rows) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_cached_key(|&row| std::cmp::Reverse(rows.length(row)));
    order
}

/// Asks every metric for its values.
fn values(metrics: &mut [Box<dyn Metric>]) -> Result<Vec<(String, f64)>, TrainError> {
    let mut names = ValueNames::of(metrics);
    let mut all: Vec<(String, f64)> = Vec::new();
    for (index, metric) in metrics.iter_mut().enumerate() {
        for (name, value) in metric.compute()? {
            all.push((names.of_value(index, &name), value));
        }
    }
    Ok(all)
}

/// Counts rows by their class and the class with the largest of `classes` logits.
fn count(confusion: &mut Confusion, rows: &[&Example], logits: &[f32], classes: usize) {
    for (row, logits) in rows.iter().zip(logits.chunks_exact(classes)) {
        if let Target::Class(class) = row.target
            && (class as usize) < classes
        {
            confusion.add(class, largest(logits) as u32);
        }
    }
}

/// Index of the largest value; the first of equal ones.
pub(crate) fn largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
