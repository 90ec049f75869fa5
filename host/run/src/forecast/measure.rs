//! A few steps of a run, for the time that all of them will take.
//!
//! The steps are those of the run: same rows, same roles, same device. What they write goes to a folder that is removed.
//! Price: the model is loaded, and the steps are thrown away.

use std::ops::ControlFlow;
use std::time::Instant;

use retune_train::{EvaluationSpec, Every, Observer, Roles, TrainError, TrainEvent, Trainer};

use super::outlook::{Forecast, MeasuredSteps};
use crate::assembly::Assembly;
use crate::interrupt::Interrupt;
use crate::{Reporter, locate, machine, settings};
use retune_recipe::Recipe;
use retune_recipe::diagnostic::{Diagnostic, Result};

/// The forecast of `recipe` from its prepared rows, or with every row as long as `data.max_length`. `memory` is what there is; where
/// it is not given and the run is on the CPU, what this machine has free.
///
/// # Errors
/// Whatever is wrong with recipe, data or model.
pub fn of(recipe: &Recipe, without_data: bool, memory: Option<u64>, console: &mut dyn Reporter) -> Result<Forecast> {
    let assembly = Assembly::new(recipe)?;
    let host = retune_tensor::device::is_host(&assembly.device);
    let (answers, available) = (assembly.roles.read_texts(), available(memory, host));
    if without_data {
        return Forecast::new(recipe, None, (host, answers), available);
    }
    assembly.check_base(recipe)?;
    let prepared = assembly.prepare(recipe, console)?;
    Forecast::new(recipe, Some(&prepared), (host, answers), available)
}

/// The same, and the time that `steps` steps of the run take.
///
/// # Errors
/// Those of [`of`], and whatever stops a run in its first steps.
pub fn measured(
    recipe: &Recipe,
    steps: u64,
    memory: Option<u64>,
    interrupt: &Interrupt,
    console: &mut dyn Reporter,
) -> Result<Forecast> {
    let assembly = Assembly::new(recipe)?;
    assembly.check_base(recipe)?;
    let prepared = assembly.prepare(recipe, console)?;
    let host = retune_tensor::device::is_host(&assembly.device);
    let (answers, available) = (assembly.roles.read_texts(), available(memory, host));
    let mut forecast = Forecast::new(recipe, Some(&prepared), (host, answers), available)?;
    let (model, _) = assembly.base(recipe, &prepared.labels)?;
    let roles = Roles {
        loss: assembly.roles.loss(&assembly.device)?,
        policies: assembly.roles.policies()?,
        // Nothing is measured but time: evaluations do not happen.
        metrics: Vec::new(),
        asking: None,
    };
    // Nothing is written there: the steps end before the epoch does, and before the run.
    let nowhere = std::env::temp_dir().join(format!("retune-plan-{}", std::process::id()));
    let mut spec = settings::training(recipe, nowhere, &prepared.validation);
    spec.logging_steps = 1;
    spec.checkpoint.every_steps = Some(u64::MAX);
    spec.evaluation = EvaluationSpec { every: Every::Never, best: None, early_stopping: None, ..spec.evaluation };
    let trainer = Trainer::new(model, spec, roles, &prepared.train, &prepared.validation)
        .map_err(|error| locate::training(recipe, error))?;
    let wanted = steps.min(trainer.total_steps().saturating_sub(1));
    let mut watch = Watch { wanted, taken: 0, tokens: 0, began: None, seconds: 0.0, interrupt };
    match trainer.run(&mut watch) {
        Ok(_) | Err(TrainError::Stopped { .. }) if watch.taken >= 2 => {}
        Err(TrainError::Stopped { .. }) | Ok(_) => {
            return Err(Diagnostic::new("stopped before two steps were taken, so there is no time to tell")
                .help("a run of fewer steps is over sooner than it is measured"));
        }
        Err(error) => return Err(locate::training(recipe, error)),
    }
    let tokens_per_second = watch.tokens as f64 / watch.seconds.max(1e-9);
    forecast.measured = Some(MeasuredSteps {
        steps: watch.taken,
        tokens_per_second,
        seconds: forecast.tokens.unwrap_or(0) as f64 / tokens_per_second.max(1e-9),
        peak_memory: machine::peak_memory(),
    });
    Ok(forecast)
}

/// The memory that there is: what was said, or what is free where the model will lie.
fn available(memory: Option<u64>, host: bool) -> Option<u64> {
    memory.or_else(|| if host { machine::memory().map(|(_, free)| free) } else { None })
}

/// Counts steps and their tokens, and stops. The first step makes what later ones use again, so its time is left out.
struct Watch<'a> {
    wanted: u64,
    taken: u64,
    tokens: u64,
    began: Option<Instant>,
    seconds: f64,
    interrupt: &'a Interrupt,
}

impl Observer for Watch<'_> {
    fn event(&mut self, event: &TrainEvent) -> ControlFlow<()> {
        if let TrainEvent::Step { tokens, .. } = event {
            self.taken += 1;
            match self.began {
                None => self.began = Some(Instant::now()),
                Some(began) => {
                    self.tokens += tokens;
                    self.seconds = began.elapsed().as_secs_f64();
                }
            }
        }
        match self.taken >= self.wanted || self.interrupt.happened() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn interrupted(&self) -> bool {
        self.interrupt.happened() && self.taken == 0
    }
}
