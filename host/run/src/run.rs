//! A run, from a recipe to a model, a report and a summary: everything up to its first stage.
//!
//! `run` goes the whole way; `train` leaves out the evaluations around training.
//! Whatever is wrong with recipe, plugins or data is told before a run directory is made.

use std::time::Instant;

use retune_tensor::device::describe;
use retune_train::{Roles, Trainer};

use crate::Reporter;
use crate::account::{tell_account, tell_loaded};
use crate::answering;
use crate::assembly::Assembly;
use crate::events::EventLog;
use crate::options::{RunOptions, RunOutcome};
use crate::plan::Plan;
use crate::run_dir::RunDir;
use crate::stages::Stages;
use crate::usage::Usage;
use crate::{inputs, locate, recorded, settings};
use retune_recipe::diagnostic::Result;
use retune_recipe::{Recipe, resolved};

/// Runs `recipe`.
pub fn run(recipe: &Recipe, options: &RunOptions, console: &mut dyn Reporter) -> Result<RunOutcome> {
    let began = Instant::now();
    let text = resolved::resolved(recipe);
    let mut run_dir = if options.resume {
        RunDir::newest(&recipe.name, options.output.as_deref())?
    } else {
        RunDir::fresh(&recipe.name, options.output.as_deref())?
    };
    let mut held = None;
    if options.resume {
        run_dir.same_recipe(&text)?;
        held = Some(run_dir.hold()?);
    }

    let assembly = Assembly::new(recipe)?;
    assembly.check_base(recipe)?;
    let prepared = assembly.prepare(recipe, console)?;
    let (model, loaded) = assembly.base(recipe, &prepared.labels)?;
    tell_loaded(&loaded, recipe, console);
    tell_account(&prepared.report, console);

    let asking = assembly.asking(recipe, recipe.model.folder())?;
    let cut = asking.as_ref().and_then(|asking| answering::cut(asking, &prepared.validation, assembly.data.max_length));
    cut.into_iter().for_each(|cut| console.warning(&cut));
    let roles = Roles {
        loss: assembly.roles.loss(&assembly.device)?,
        policies: assembly.roles.policies()?,
        metrics: assembly.metrics()?,
        asking,
    };
    if options.resume {
        inputs::same_inputs(&run_dir, recipe, &prepared)?;
    } else if !options.dry_run {
        options.interrupt.finish_first();
        held = Some(run_dir.claim()?);
    }
    let spec = settings::training(recipe, run_dir.checkpoints(), &prepared.validation);
    let mut trainer = Trainer::new(model, spec, roles, &prepared.train, &prepared.validation)
        .map_err(|e| locate::training(recipe, e))?;
    let device = describe(&assembly.device);
    if !options.resume {
        // So that plan and manifest do not count as trainable what the policies freeze at the start.
        trainer.start().map_err(|e| locate::training(recipe, e))?;
    }
    if options.dry_run {
        return Ok(RunOutcome::Planned(Plan::new(
            recipe,
            device,
            &trainer,
            &prepared,
            assembly.roles.facts(),
            assembly.roles.read_texts(),
        )));
    }

    options.interrupt.finish_first();
    if let Some(weak) = held.as_ref().and_then(|held| held.weak.as_ref()) {
        console.warning(weak);
    }
    let mut untrained = true;
    if options.resume {
        untrained = trainer.resume().map_err(|e| locate::training(recipe, e))?.is_none();
    } else {
        run_dir.write_recipe(&recorded::relative(&text, |key| recipe.written(key), run_dir.root()))?;
        inputs::manifest(recipe, &assembly, &prepared, trainer.model(), loaded, device)?.write(&run_dir.manifest())?;
    }
    let mut log = EventLog::open(&run_dir.events())?;
    if options.resume {
        inputs::tell_changed_plugins(&run_dir, assembly.roles.facts(), &mut log, console)?;
    }
    let usage = Usage::begin(&run_dir, options.resume)?;
    let mut stages =
        Stages { recipe, assembly: &assembly, prepared: &prepared, run_dir, usage, log, console, options, untrained };
    let outcome = stages.go(trainer, began);
    drop(held);
    outcome
}
