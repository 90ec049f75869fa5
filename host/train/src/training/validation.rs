//! Looking at the validation set during a run, and what follows from it: the best weights, early stopping.
//!
//! An evaluation that is interrupted is given up; the checkpoint that is then written says that it
//! has still to be made.

use std::time::Instant;

use crate::{
    error::TrainError,
    evaluation::evaluate::{Evaluation, HeldOut, evaluate_at},
    event::{Observer, TrainEvent},
    files::exact::Exact,
    spec::Every,
    training::state::Leader,
    training::trainer::Trainer,
    training::workers::any,
};

/// What became of an evaluation.
pub(crate) enum Evaluated {
    NotDue,
    At(Evaluation),
    /// It was given up.
    Interrupted,
}

impl Trainer<'_> {
    /// Evaluates when it is time to.
    pub(crate) fn evaluate_if_due(
        &mut self,
        epoch_ended: bool,
        last: bool,
        observer: &mut dyn Observer,
    ) -> Result<Evaluated, TrainError> {
        let due = match self.spec.evaluation.every {
            Every::Epoch => epoch_ended || last,
            Every::Steps(every) => self.state.step.is_multiple_of(every) || last,
            Every::Never => false,
        };
        if !due || self.validation.is_empty() {
            return Ok(Evaluated::NotDue);
        }
        let began = Instant::now();
        let batch_size = self.spec.evaluation.batch_size.unwrap_or(self.spec.batch_size);
        let at = self.state.progress(self.total);
        // The loss is that of training: what it remembers of the validation rows must not steer it there.
        let remembered = self.loss.save()?;
        let held_out =
            HeldOut { rows: self.validation, columns: &self.spec.columns, batch_size, asking: self.asking.as_ref() };
        let evaluation = evaluate_at(&self.model, &held_out, &mut *self.loss, &mut self.metrics, &at, observer);
        if let Some(state) = remembered {
            self.loss.load(&state)?;
        }
        let interrupted = matches!(evaluation, Err(TrainError::Stopped { .. })) && observer.interrupted();
        if any(&*self.workers, interrupted)? {
            return Ok(Evaluated::Interrupted);
        }
        let evaluation = evaluation?;
        let best = self.keep_if_best(&evaluation)?;
        let event = TrainEvent::Evaluation {
            step: self.state.step,
            epoch: self.epoch(),
            values: evaluation.all(),
            best,
            rows: evaluation.rows,
            seconds: began.elapsed().as_secs_f64(),
        };
        self.tell(observer, &event)?;
        if !evaluation.answers.is_empty() {
            let answers = evaluation.answers.clone();
            self.tell(observer, &TrainEvent::Answers { step: self.state.step, answers })?;
        }
        Ok(Evaluated::At(evaluation))
    }

    /// What best-model choice and early stopping watch.
    pub(crate) fn watched(&self) -> &str {
        self.spec.evaluation.best.as_ref().map_or("loss", |best| best.metric.as_str())
    }

    /// Writes the weights when they did better than any before.
    fn keep_if_best(&mut self, evaluation: &Evaluation) -> Result<Option<bool>, TrainError> {
        if self.spec.evaluation.best.is_none() {
            return Ok(None);
        }
        let value = evaluation.get(self.watched()).unwrap_or(f64::NAN);
        let better = Leader::beaten_by(self.state.best.as_ref(), value, self.mode, 0.0);
        if better {
            self.write_best(Leader { step: self.state.step, value: Exact(value) })?;
        }
        Ok(Some(better))
    }

    /// Early stopping.
    pub(crate) fn follow(&mut self, evaluation: &Evaluation, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let Some(rule) = self.spec.evaluation.early_stopping else { return Ok(()) };
        let value = evaluation.get(self.watched()).unwrap_or(f64::NAN);
        if !self.state.patience.exhausted(self.state.step, value, self.mode, rule) {
            return Ok(());
        }
        self.state.ended = Some("early_stop".into());
        let best = self.state.patience.best.as_ref().map(|leader| leader.value.0);
        let event = TrainEvent::EarlyStop {
            step: self.state.step,
            metric: self.watched().to_string(),
            best,
            patience: rule.patience,
        };
        self.tell(observer, &event)
    }
}
