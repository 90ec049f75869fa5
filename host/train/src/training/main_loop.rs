//! The loop over optimiser steps.
//!
//! One loop for every strategy, loss, policy and metric. After each optimiser step
//! come, in this order: policies that asked for the steps, the evaluation when one
//! is due, policies that asked for evaluations, policies that asked for epochs,
//! the checkpoint. A checkpoint is therefore always a place between two steps.

use std::{borrow::Cow, ops::ControlFlow, time::Instant};

use retune_roles::{Example, Trigger};

use crate::{
    error::TrainError,
    evaluation::evaluate::{Evaluation, evaluate_at},
    event::{Observer, TrainEvent},
    files::checkpoint::Name,
    files::exact::Exact,
    freeze::changes::{Target, layers_event},
    model::Parameter,
    optimizer::clip,
    spec::Every,
    training::state::Leader,
    training::step::{self, Shape, StepSums},
    training::trainer::{Outcome, Trainer},
};

impl Trainer<'_> {
    /// Trains to the end.
    ///
    /// # Errors
    /// What a role, a file or the numbers bring; [`TrainError::Stopped`] when the
    /// observer stops. The last checkpoint stays intact in any case.
    pub fn run(mut self, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
        let began = Instant::now();
        if !self.resuming {
            self.refuse_old_checkpoints()?;
        }
        self.begin(observer)?;
        while self.state.ended.is_none() {
            self.step(observer)?;
            let epoch_ended = self.state.position.window == 0;
            let last = self.state.step >= self.total;
            let steps = Trigger::Steps;
            self.decide(&steps, last, observer)?;
            if let Some(evaluation) = self.evaluate_if_due(epoch_ended, last, observer)? {
                self.follow(&evaluation, observer)?;
                self.decide(&Trigger::Evaluation(evaluation.all()), last, observer)?;
            }
            if epoch_ended {
                self.decide(&Trigger::Epoch, last, observer)?;
            }
            if last {
                self.state.ended.get_or_insert_with(|| "finished".into());
            }
            if self.state.ended.is_some() {
                self.state.frozen.verify(&self.model, self.state.step)?;
            }
            self.checkpoint_if_due(epoch_ended, observer)?;
        }
        self.end(began, observer)
    }

    fn begin(&mut self, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let scalars = |only_trainable: bool| {
            let counted = self.model.parameters().iter().filter(|p| p.trainable || !only_trainable);
            counted.map(Parameter::numel).sum()
        };
        let start = TrainEvent::RunStart {
            train_rows: self.train.len(),
            validation_rows: self.validation.len(),
            total_steps: self.total,
            steps_per_epoch: self.sampler.windows_per_epoch(),
            trainable_parameters: scalars(true),
            parameters: scalars(false),
            resumed_from: self.resumed_from,
        };
        self.tell(observer, &start)?;
        for message in std::mem::take(&mut self.warnings) {
            self.tell(observer, &TrainEvent::Warning { step: self.state.step, message })?;
        }
        let layers = layers_event(&self.model, &self.state.settings, self.state.step);
        self.tell(observer, &layers)?;
        if self.state.ended.is_some() {
            return Ok(());
        }
        if self.resumed_from.is_none() {
            self.policies.attach(&self.model.layers())?;
        }
        self.decide(&Trigger::Start, false, observer)
    }

    /// One optimiser step.
    fn step(&mut self, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let began = Instant::now();
        let at = self.state.progress(self.total);
        let window = self.sampler.take(self.state.position, self.workers.rank(), self.workers.size());
        let read: Vec<Cow<'_, Example>> = window.rows.iter().map(|&row| self.train.get(row)).collect();
        let rows: Vec<&Example> = read.iter().map(Cow::as_ref).collect();
        let shape = Shape {
            batch_size: self.spec.batch_size,
            dropout_seed: self.spec.dropout.then_some(self.spec.seed),
            first: window.first,
        };
        let sums = step::compute(&self.model, &mut *self.loss, &self.collation, &rows, shape, &at, &*self.workers)?;
        let learning_rate = self.spec.optimizer.learning_rate * self.spec.lr_scheduler.factor(at.step, self.total);
        let (loss, tokens, rows) = (sums.loss(), sums.tokens, sums.rows);
        let reported = sums.reported.iter().map(|(name, sum, count)| (name.clone(), sum / count)).collect();
        let carries_loss = sums.denominator > 0.0;
        let grad_norm = if carries_loss { self.update(sums, learning_rate)? } else { 0.0 };

        let position = self.state.position;
        self.state.step += 1;
        self.state.position = self.sampler.after(position);
        if !carries_loss {
            let message =
                "no row of this step carries a loss (its denominator is 0), so nothing was learnt from it".into();
            self.tell(observer, &TrainEvent::Warning { step: self.state.step, message })?;
        } else {
            self.state.smoothed.add(loss);
        }
        if self.state.step.is_multiple_of(self.spec.logging_steps) {
            let seconds = began.elapsed().as_secs_f64().max(1e-9);
            let event = TrainEvent::Step {
                step: self.state.step,
                epoch: self.epoch(),
                loss,
                smoothed_loss: self.state.smoothed.get().unwrap_or(loss),
                learning_rate,
                grad_norm,
                rows,
                tokens,
                tokens_per_second: tokens as f64 / seconds,
                examples_per_second: rows as f64 / seconds,
                reported,
            };
            self.tell(observer, &event)?;
        }
        Ok(())
    }

    /// Divides, clips and applies; gives the norm before clipping.
    fn update(&mut self, sums: StepSums, learning_rate: f64) -> Result<f64, TrainError> {
        let divided = 1.0 / sums.denominator;
        let grad_norm = clip::global_norm(&sums.squared_norms) * divided;
        let scale = divided * clip::scale(grad_norm, self.spec.max_grad_norm);
        let (settings, decay) = (&self.state.settings, self.spec.optimizer.weight_decay);
        let measure = self.policies.wants_stats();
        let rate = |parameter: &Parameter| settings[parameter.layer].rate(parameter, learning_rate, decay);
        let changes = self.optimizer.update(self.model.parameters_mut(), sums.gradients, scale, rate, measure)?;
        if measure {
            self.state.watch.record(&self.model, &sums.squared_norms, divided, &changes);
        }
        Ok(grad_norm)
    }

    /// Asks the policies, unless no step follows, and does what they want.
    ///
    /// At the start of a resumed run they are asked too, so that they find out where they are, but what
    /// they answer is not applied: the checkpoint holds what all answers came to in the order of their
    /// steps, and given at once they may come to something else.
    fn decide(&mut self, trigger: &Trigger, last: bool, observer: &mut dyn Observer) -> Result<(), TrainError> {
        if last || self.state.ended.is_some() || self.policies.is_empty() {
            return Ok(());
        }
        let at = self.state.progress(self.total);
        let decisions =
            self.policies.decide(trigger, at, self.state.smoothed.get(), &mut self.state.watch, &self.model)?;
        if self.resumed_from.is_some() && *trigger == Trigger::Start {
            return Ok(());
        }
        let mut target = Target {
            model: &mut self.model,
            settings: &mut self.state.settings,
            optimizer: &mut self.optimizer,
            frozen: &mut self.state.frozen,
            seed: self.spec.seed,
        };
        let events = target.apply(&decisions, trigger, at)?;
        events.iter().try_for_each(|event| self.tell(observer, event))
    }

    fn evaluate_if_due(
        &mut self,
        epoch_ended: bool,
        last: bool,
        observer: &mut dyn Observer,
    ) -> Result<Option<Evaluation>, TrainError> {
        let due = match self.spec.evaluation.every {
            Every::Epoch => epoch_ended || last,
            Every::Steps(every) => self.state.step.is_multiple_of(every) || last,
            Every::Never => false,
        };
        if !due || self.validation.is_empty() {
            return Ok(None);
        }
        let began = Instant::now();
        let batch_size = self.spec.evaluation.batch_size.unwrap_or(self.spec.batch_size);
        let at = self.state.progress(self.total);
        let columns = &self.spec.columns;
        // The loss is that of training: what it remembers of the validation rows must not steer it there.
        let remembered = self.loss.save()?;
        let evaluation = evaluate_at(
            &self.model,
            self.validation,
            &mut *self.loss,
            &mut self.metrics,
            batch_size,
            columns,
            &at,
            observer,
        )?;
        if let Some(state) = remembered {
            self.loss.load(&state)?;
        }
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
        Ok(Some(evaluation))
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
    fn follow(&mut self, evaluation: &Evaluation, observer: &mut dyn Observer) -> Result<(), TrainError> {
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

    fn checkpoint_if_due(&mut self, epoch_ended: bool, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let due = self.spec.checkpoint.every_steps.map_or(epoch_ended, |every| self.state.step.is_multiple_of(every));
        if !due && self.state.ended.is_none() {
            return Ok(());
        }
        let path = self.write_checkpoint()?;
        self.tell(observer, &TrainEvent::Checkpoint { step: self.state.step, path: path.display().to_string() })
    }

    fn end(mut self, began: Instant, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
        // All were compared before the last checkpoint was written, or when it was read.
        let frozen_unchanged = self.state.frozen.count();
        let best = self.state.best.clone();
        if let Some(leader) = &best {
            let name = Name::Best(leader.step);
            let opened = self.store.open(name).map_err(|problem| TrainError::Checkpoint {
                path: self.store.path(name),
                problem: format!("the best weights cannot be read: {problem}"),
                help: None,
            })?;
            opened.restore_weights(&mut self.model)?;
        }
        let ended = self.state.ended.clone().unwrap_or_default();
        let event = TrainEvent::RunEnd {
            step: self.state.step,
            reason: ended.clone(),
            weights_from: best.as_ref().map_or(self.state.step, |leader| leader.step),
            frozen_unchanged,
            seconds: began.elapsed().as_secs_f64(),
        };
        self.tell(observer, &event)?;
        let best = best.map(|leader| (leader.step, leader.value.0));
        Ok(Outcome { model: self.model, steps: self.state.step, ended, best, frozen_unchanged })
    }

    /// Epochs done, with the part of this one.
    fn epoch(&self) -> f64 {
        let position = self.state.position;
        f64::from(position.epoch) + position.window as f64 / self.sampler.windows_per_epoch() as f64
    }

    fn tell(&self, observer: &mut dyn Observer, event: &TrainEvent) -> Result<(), TrainError> {
        match observer.event(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(TrainError::Stopped { step: self.state.step }),
        }
    }
}
