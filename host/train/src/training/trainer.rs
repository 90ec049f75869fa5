//! A run that is ready to start: everything checked, nothing trained.
//!
//! [`Trainer::new`] makes all checks that can be made without training;
//! [`Trainer::resume`] goes back to a checkpoint; [`Trainer::run`] trains.

use retune_roles::{Loss, Metric, Policy, RoleKind, Rows};

use crate::{
    collate::Collation,
    error::TrainError,
    evaluation::answers::{self, Asking},
    event::TrainEvent,
    files::checkpoint::Store,
    freeze::authors::Authors,
    freeze::changes::LayerSetting,
    freeze::frozen::Frozen,
    freeze::policies::Policies,
    freeze::statistics::Watch,
    freeze::strategy,
    freeze::told::Told,
    model::Model,
    optimizer::adamw::Optimizer,
    spec::{Every, Mode, TrainSpec},
    training::first_steps::FirstSteps,
    training::preflight,
    training::sampler::{Position, Sampler},
    training::state::{Patience, Smoothed, State},
    training::workers::{Alone, Workers},
};

/// What plays which role in a run.
pub struct Roles {
    /// The objective.
    pub loss: Box<dyn Loss>,
    /// Which layers learn, and how fast; later ones win.
    pub policies: Vec<Box<dyn Policy>>,
    /// How good the model is.
    pub metrics: Vec<Box<dyn Metric>>,
    /// How rows of the validation set are asked, where a metric reads what the model writes.
    pub asking: Option<Asking>,
}

impl Roles {
    /// A loss, no policies, no metrics.
    pub fn new(loss: Box<dyn Loss>) -> Self {
        Self { loss, policies: Vec::new(), metrics: Vec::new(), asking: None }
    }
}

/// What a run gave.
#[derive(Debug)]
pub struct Outcome {
    /// With the best weights when the best was asked for, else the last.
    pub model: Model,
    /// Optimiser steps taken.
    pub steps: u64,
    /// `finished` or `early_stop`.
    pub ended: String,
    /// The step and value of the best evaluation, when the best was asked for.
    pub best: Option<(u64, f64)>,
    /// Frozen parameters whose bytes were compared and found unchanged.
    pub frozen_unchanged: usize,
}

/// Whether a run goes on with the rows it began with; see [`Rows::digest`].
#[derive(Clone, Debug)]
pub(crate) struct RowDigests {
    /// Of the training rows.
    pub train: String,
    /// Of the validation rows.
    pub validation: String,
}

/// A run that is ready to start, or to go on.
pub struct Trainer<'a> {
    pub(crate) model: Model,
    pub(crate) spec: TrainSpec,
    pub(crate) loss: Box<dyn Loss>,
    pub(crate) metrics: Vec<Box<dyn Metric>>,
    pub(crate) asking: Option<Asking>,
    pub(crate) policies: Policies,
    pub(crate) train: &'a dyn Rows,
    pub(crate) validation: &'a dyn Rows,
    pub(crate) digests: RowDigests,
    pub(crate) collation: Collation,
    pub(crate) sampler: Sampler,
    pub(crate) optimizer: Optimizer,
    pub(crate) state: State,
    pub(crate) store: Store,
    pub(crate) workers: Box<dyn Workers>,
    pub(crate) total: u64,
    /// Direction of `evaluation.best`, or of the loss.
    pub(crate) mode: Mode,
    pub(crate) warnings: Vec<String>,
    pub(crate) first_steps: FirstSteps,
    pub(crate) resumed_from: Option<u64>,
    /// Whether somebody asked to go on; else old checkpoints are in the way.
    pub(crate) resuming: bool,
    /// What the policies' answers to the start came to, once they were asked; told when the run begins.
    pub(crate) started: Option<Vec<TrainEvent>>,
    /// What was written of the policies' decisions.
    pub(crate) told: Told,
}

impl<'a> Trainer<'a> {
    /// Checks everything, applies the strategy, and stands before the first step.
    ///
    /// Rows are read when a step or an evaluation needs them; none is kept.
    ///
    /// # Errors
    /// Whatever is wrong with settings, data, roles or patterns.
    pub fn new(
        mut model: Model,
        spec: TrainSpec,
        roles: Roles,
        train: &'a dyn Rows,
        validation: &'a dyn Rows,
    ) -> Result<Self, TrainError> {
        spec.check()?;
        preflight::rows(&model, train, validation, &spec.columns)?;
        let mode = preflight::best(&spec, &roles.metrics, validation.is_empty())?;
        let mut collation = Collation::new(model.task(), &spec.columns);
        collation.want(RoleKind::Loss, roles.loss.name(), roles.loss.wants())?;
        for metric in &roles.metrics {
            collation.clone().want(RoleKind::Metric, metric.name(), metric.wants())?;
        }
        if !validation.is_empty() {
            answers::refuse_unfed(&roles.metrics, roles.asking.as_ref())?;
        }
        if let Some(asking) = &roles.asking {
            asking.check(validation)?;
        }
        let policies = Policies::new(roles.policies)?;
        let mut warnings = strategy::apply(&spec.strategy, &mut model, spec.seed)?;
        model.parameters_mut().narrow_fixed()?;
        model.set_gradient_checkpointing(spec.gradient_checkpointing);

        let layers = model.layers().len();
        let state = State {
            step: 0,
            position: Position::default(),
            smoothed: Smoothed::default(),
            best: None,
            patience: Patience::default(),
            settings: vec![LayerSetting::default(); layers],
            authors: Authors::new(),
            frozen: Frozen::of(&mut model)?,
            watch: Watch::new(policies.len(), layers),
            unevaluated: false,
            ended: None,
        };
        let digests = RowDigests { train: train.digest(), validation: validation.digest() };
        if validation.is_empty() && spec.evaluation.every != Every::Never {
            warnings.push("there is no validation set, so nothing is evaluated during training".to_string());
        }
        let (sampler, total) = sampling(&spec, train, 1);
        warnings.extend(preflight::warm_up(&spec, total));
        Ok(Self {
            optimizer: Optimizer::new(spec.optimizer, model.parameters().len()),
            store: Store::new(&spec.checkpoint.directory),
            total,
            model,
            spec,
            loss: roles.loss,
            metrics: roles.metrics,
            asking: roles.asking,
            policies,
            train,
            validation,
            digests,
            collation,
            sampler,
            state,
            workers: Box::new(Alone),
            mode,
            warnings,
            first_steps: FirstSteps::default(),
            resumed_from: None,
            resuming: false,
            started: None,
            told: Told::default(),
        })
    }

    /// Trains as one of several workers; to be called before anything else. The window of a step is
    /// [`TrainSpec::window`] rows for each.
    ///
    /// # Errors
    /// When the loss keeps a state: each worker would have its own, and a checkpoint holds one.
    pub fn with_workers(mut self, workers: Box<dyn Workers>) -> Result<Self, TrainError> {
        if workers.size() > 1 && self.loss.save()?.is_some() {
            let problem = format!(
                "loss {} keeps a state between steps, which {} workers cannot share; train with one",
                self.loss.name(),
                workers.size()
            );
            return Err(TrainError::Workers { problem });
        }
        (self.sampler, self.total) = sampling(&self.spec, self.train, workers.size());
        self.workers = workers;
        Ok(self)
    }

    /// Optimiser steps the run takes at most.
    pub fn total_steps(&self) -> u64 {
        self.total
    }

    /// The step of the checkpoint that it goes on from.
    pub fn resumed_from(&self) -> Option<u64> {
        self.resumed_from
    }

    /// The model as it stands now; after [`Trainer::start`] with what the policies have set at the start.
    pub fn model(&self) -> &Model {
        &self.model
    }
}

/// How `workers` workers go through the rows, and the optimiser steps they take at most.
pub(crate) fn sampling(spec: &TrainSpec, train: &dyn Rows, workers: usize) -> (Sampler, u64) {
    let mut sampler = Sampler::new(spec.seed, train.len(), spec.window() * workers);
    if spec.group_by_length {
        sampler = sampler.by_length((0..train.len()).map(|row| train.length(row) as u32).collect());
    }
    let total = u64::from(spec.epochs) * sampler.windows_per_epoch();
    (sampler, total.min(spec.max_steps.unwrap_or(u64::MAX)))
}
