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
    event::{Observer, TrainEvent},
    files::checkpoint::Name,
    freeze::changes::{Target, layers_event},
    model::Parameter,
    optimizer::clip,
    training::step::{self, Setting, Shape, StepSums},
    training::trainer::{Outcome, Trainer},
    training::validation::Evaluated,
    training::workers::any,
};

/// What became of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progressed {
    /// It was taken.
    Step,
    /// It was given up, and nothing changed.
    Interrupted,
}

impl Trainer<'_> {
    /// Trains to the end.
    ///
    /// # Errors
    /// What a role, a file or the numbers bring; [`TrainError::Stopped`] when the
    /// observer stops or interrupts, with the step. The last checkpoint stays intact in any case.
    pub fn run(mut self, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
        let began = Instant::now();
        if !self.resuming {
            if self.workers.rank() == 0 {
                self.store.recover()?;
            }
            self.refuse_old_checkpoints()?;
            // Nobody writes before all have looked.
            any(&*self.workers, false)?;
        }
        self.begin(observer)?;
        while self.state.ended.is_none() {
            let begun = self.state.unevaluated;
            if !begun && self.step(observer)? == Progressed::Interrupted {
                return Err(self.stop(observer)?);
            }
            let epoch_ended = self.state.position.window == 0;
            let last = self.state.step >= self.total;
            if !begun {
                self.decide(&Trigger::Steps, last, observer)?;
            }
            self.state.unevaluated = true;
            match self.evaluate_if_due(epoch_ended, last, observer)? {
                Evaluated::NotDue => {}
                Evaluated::At(evaluation) => {
                    self.follow(&evaluation, observer)?;
                    self.decide(&Trigger::Evaluation(evaluation.all()), last, observer)?;
                }
                Evaluated::Interrupted => return Err(self.stop(observer)?),
            }
            self.state.unevaluated = false;
            if epoch_ended {
                self.decide(&Trigger::Epoch, last, observer)?;
            }
            if last {
                self.state.ended.get_or_insert_with(|| "finished".into());
            }
            if self.state.ended.is_some() {
                self.state.frozen.verify(&mut self.model, self.state.step)?;
            }
            self.checkpoint_if_due(epoch_ended, observer)?;
        }
        self.end(began, observer)
    }

    /// Asks the policies what they want at the start, and does it; a run that has not begun does so by
    /// itself. After that [`Trainer::model`] says which parameters learn.
    ///
    /// At the start of a resumed run they are asked too, so that they find out where they are, but what
    /// they answer is not applied: the checkpoint holds what all answers came to in the order of their
    /// steps, and given at once they may come to something else.
    ///
    /// # Errors
    /// When a policy fails, or wants what cannot be.
    pub fn start(&mut self) -> Result<(), TrainError> {
        if self.started.is_some() {
            return Ok(());
        }
        let mut events = vec![layers_event(&self.model, &self.state.settings, self.state.step)];
        if self.state.ended.is_none() {
            if self.resumed_from.is_none() {
                self.policies.attach(&self.model.layers())?;
            }
            let applied = self.apply(&Trigger::Start)?;
            events.extend(applied);
        }
        self.started = Some(events);
        Ok(())
    }

    fn begin(&mut self, observer: &mut dyn Observer) -> Result<(), TrainError> {
        self.start()?;
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
        let events = self.started.replace(Vec::new()).unwrap_or_default();
        events.iter().try_for_each(|event| self.tell(observer, event))
    }

    /// Writes a checkpoint of where the run is and says where that was. Before the first step there is
    /// nothing to write: the run begins again.
    fn stop(&mut self, observer: &mut dyn Observer) -> Result<TrainError, TrainError> {
        if self.state.step == 0 {
            return Ok(TrainError::Stopped { step: 0 });
        }
        let path = self.write_checkpoint()?;
        self.tell(observer, &TrainEvent::Checkpoint { step: self.state.step, path: path.display().to_string() })?;
        Ok(TrainError::Stopped { step: self.state.step })
    }

    /// One optimiser step.
    fn step(&mut self, observer: &mut dyn Observer) -> Result<Progressed, TrainError> {
        let began = Instant::now();
        let at = self.state.progress(self.total);
        let window = self.sampler.take(self.state.position, self.workers.rank(), self.workers.size());
        let train = self.train;
        let read: Vec<Cow<'_, Example>> =
            window.rows.iter().map(|&row| train.in_epoch(row, self.state.position.epoch)).collect();
        let rows: Vec<&Example> = read.iter().map(Cow::as_ref).collect();
        let shape = Shape {
            batch_size: self.spec.batch_size,
            dropout_seed: self.spec.dropout.then_some(self.spec.seed),
            first: window.first,
        };
        // What a loss remembers of a step that is given up must not steer the step that replaces it.
        let remembered = if rows.len() > shape.batch_size { self.loss.save()? } else { None };
        let watch = &*observer;
        let setting = Setting {
            model: &self.model,
            collation: &self.collation,
            shape,
            at: &at,
            workers: &*self.workers,
            interrupted: &|| watch.interrupted(),
        };
        let computed = step::interruptible(&setting, &mut *self.loss, &rows).map_err(|error| self.blamed(error));
        let Some(sums) = computed? else {
            if let Some(state) = remembered {
                self.loss.load(&state)?;
            }
            return Ok(Progressed::Interrupted);
        };
        let learning_rate = self.spec.optimizer.learning_rate * self.spec.lr_scheduler.factor(at.step, self.total);
        let (loss, tokens, rows) = (sums.loss(), sums.tokens, sums.rows);
        let reported = sums.reported.iter().map(|(name, sum, count)| (name.clone(), sum / count)).collect();
        let carries_loss = sums.denominator > 0.0;
        let last = at.step + 1 >= self.total;
        let name = self.loss.name();
        let idle =
            if carries_loss { self.first_steps.look(&sums, name, last)? } else { self.first_steps.leave_out(name) };
        let grad_norm = if carries_loss { self.update(sums, learning_rate)? } else { 0.0 };

        let position = self.state.position;
        self.state.step += 1;
        self.state.position = self.sampler.after(position);
        if carries_loss {
            self.state.smoothed.add(loss);
        }
        if let Some(message) = idle {
            self.tell(observer, &TrainEvent::Warning { step: self.state.step, message })?;
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
        Ok(Progressed::Step)
    }

    /// Divides, clips and applies; gives the norm before clipping.
    fn update(&mut self, sums: StepSums, learning_rate: f64) -> Result<f64, TrainError> {
        let divided = 1.0 / sums.denominator;
        let grad_norm = clip::global_norm(&sums.squared_norms) * divided;
        let scale = divided * clip::scale(grad_norm, self.spec.max_grad_norm);
        let (settings, decay) = (&self.state.settings, self.spec.optimizer.weight_decay);
        let measure = self.policies.wants_stats();
        let rate = |parameter: &Parameter| settings[parameter.layer].rate(parameter, learning_rate, decay);
        let updated = self.optimizer.update(self.model.parameters_mut(), sums.gradients, scale, rate, measure)?;
        if let Some(index) = updated.not_finite {
            return Err(self.not_finite(index, self.state.step + 1));
        }
        if measure {
            self.state.watch.record(&self.model, &sums.squared_norms, divided, &updated.changes);
        }
        Ok(grad_norm)
    }

    /// Asks the policies, unless no step follows, and does what they want.
    fn decide(&mut self, trigger: &Trigger, last: bool, observer: &mut dyn Observer) -> Result<(), TrainError> {
        if last || self.state.ended.is_some() {
            return Ok(());
        }
        let events = self.apply(trigger)?;
        events.iter().try_for_each(|event| self.tell(observer, event))
    }

    /// Asks the policies and does what they want; gives the events that tell of it.
    fn apply(&mut self, trigger: &Trigger) -> Result<Vec<TrainEvent>, TrainError> {
        if self.policies.is_empty() {
            return Ok(Vec::new());
        }
        let at = self.state.progress(self.total);
        let decisions =
            self.policies.decide(trigger, at, self.state.smoothed.get(), &mut self.state.watch, &self.model)?;
        if self.resumed_from.is_some() && *trigger == Trigger::Start {
            return Ok(Vec::new());
        }
        let mut target = Target {
            model: &mut self.model,
            settings: &mut self.state.settings,
            authors: &mut self.state.authors,
            optimizer: &mut self.optimizer,
            frozen: &mut self.state.frozen,
            told: &mut self.told,
            seed: self.spec.seed,
        };
        target.apply(&decisions, trigger, at)
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
        if best.is_none() && self.spec.evaluation.best.is_some() {
            let message = format!(
                "evaluation.best: `{}` was not a number at any evaluation, so none is the best; the run ends with the \
                 weights of its last step",
                self.watched()
            );
            self.tell(observer, &TrainEvent::Warning { step: self.state.step, message })?;
        }
        // The first worker has written them when all come to this place.
        any(&*self.workers, false)?;
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
    pub(crate) fn epoch(&self) -> f64 {
        let position = self.state.position;
        f64::from(position.epoch) + position.window as f64 / self.sampler.windows_per_epoch() as f64
    }

    pub(crate) fn tell(&self, observer: &mut dyn Observer, event: &TrainEvent) -> Result<(), TrainError> {
        match observer.event(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(TrainError::Stopped { step: self.state.step }),
        }
    }
}
