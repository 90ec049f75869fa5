//! The course of a run: from a recipe to a model, a report and a summary.
//!
//! `run` goes the whole way; `train` leaves out what surrounds training. The test
//! rows are looked at once, after training, by the model the run ends with.

use std::path::{Path, PathBuf};
use std::time::Instant;

use retune_data::{DataReport, Prepared, SourceReport};
use retune_roles::Example;
use retune_tensor::device::describe;
use retune_train::model::{LoadReport, Model};
use retune_train::{Outcome, Roles, TrainError, TrainEvent, Trainer, evaluate};

use crate::assembly::Assembly;
use crate::complaint::{Complaint, Result, unreadable};
use crate::console::Console;
use crate::events::{EventLog, HostEvent, When, now};
use crate::interrupt::Interrupt;
use crate::manifest::{FileFacts, Manifest, ModelFacts, RoleFacts, base_facts};
use crate::plan::{self, Plan};
use crate::recipe::{Recipe, resolved};
use crate::report::{self, History};
use crate::rundir::RunDir;
use crate::summary::Summary;
use crate::watcher::Watcher;
use crate::{machine, settings, trouble};

/// What is asked of a run.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Where it goes; none means the next free place.
    pub output: Option<PathBuf>,
    /// Go on from the last checkpoint.
    pub resume: bool,
    /// Stop before the first step and show the plan.
    pub dry_run: bool,
    /// Measure before and after, and open the test set.
    pub measure: bool,
}

/// How it came out.
#[allow(clippy::large_enum_variant, reason = "made once a process")]
pub enum Ending {
    /// Shown, not run.
    Planned(Plan),
    /// Run to its end.
    Finished(Summary),
    /// Stopped by Ctrl-C; what to tell.
    Interrupted(Complaint),
}

/// Runs `recipe`.
pub fn run(recipe: &Recipe, wishes: &Wishes, console: &mut Console) -> Result<Ending> {
    let began = Instant::now();
    let text = resolved::resolved(recipe);
    let place = if wishes.resume {
        RunDir::newest(&recipe.name, wishes.output.as_deref())?
    } else {
        RunDir::fresh(&recipe.name, wishes.output.as_deref())?
    };
    let held = if wishes.resume {
        place.same_recipe(&text)?;
        Some(place.hold()?)
    } else {
        None
    };

    let assembly = Assembly::new(recipe)?;
    let (model, loaded) = assembly.base(recipe)?;
    tell_loaded(&loaded, recipe, console);
    let prepared = assembly.prepare(recipe, console)?;
    tell_account(&prepared.report, console);

    let roles = Roles {
        loss: assembly.roster.loss(&assembly.device)?,
        policies: assembly.roster.policies()?,
        metrics: assembly.roster.metrics(&assembly.device)?,
    };
    if wishes.resume {
        same_inputs(&place, recipe, &prepared)?;
    }
    let spec = settings::training(recipe, place.checkpoints(), &prepared.validation);
    let mut trainer = Trainer::new(model, spec, roles, &prepared.train, &prepared.validation)
        .map_err(|e| trouble::training(recipe, e))?;
    let device = describe(&assembly.device);
    if wishes.dry_run {
        return Ok(Ending::Planned(Plan::new(recipe, device, &trainer, &prepared, assembly.roster.facts())));
    }

    let held = held.map_or_else(|| place.create(), Ok)?;
    if let Some(weak) = &held.weak {
        console.line(&format!("warning   {weak}"));
    }
    let mut untrained = true;
    if wishes.resume {
        untrained = trainer.resume().map_err(|e| trouble::training(recipe, e))?.is_none();
    } else {
        place.write_recipe(&text)?;
        manifest(recipe, &assembly, &prepared, trainer.model(), loaded, device)?.write(&place.manifest())?;
    }
    let mut log = EventLog::open(&place.events())?;
    if wishes.resume {
        tell_changed_plugins(&place, assembly.roster.facts(), &mut log, console)?;
    }
    let mut course =
        Course { recipe, assembly: &assembly, prepared: &prepared, place, log, console, wishes, untrained };
    let ending = course.go(trainer, began);
    drop(held);
    ending
}

/// What the steps below share.
struct Course<'a> {
    recipe: &'a Recipe,
    assembly: &'a Assembly,
    prepared: &'a Prepared,
    place: RunDir,
    log: EventLog,
    console: &'a mut Console,
    wishes: &'a Wishes,
    /// Whether the model is still the base: begun just now, or stopped before the first checkpoint.
    untrained: bool,
}

impl Course<'_> {
    fn go(&mut self, trainer: Trainer<'_>, began: Instant) -> Result<Ending> {
        self.console.line(&format!("run       {}", self.place.root().display()));
        self.log.write(&HostEvent::Data { report: Box::new(self.prepared.report.clone()) })?;
        if self.wishes.measure && self.untrained && self.history()?.measured("before").is_none() {
            self.measure_or_fail(When::Before, trainer.model())?;
        }
        let interrupt = Interrupt::listen()?;
        let outcome = match self.train(trainer, interrupt)? {
            Trained::Ended(outcome) => outcome,
            Trained::Stopped(complaint) => return Ok(Ending::Interrupted(complaint)),
        };
        // Before it is measured: a metric that fails on the test set must not cost the model.
        self.export(&outcome.model)?;
        if self.wishes.measure {
            let root = self.place.root().display().to_string();
            let kept = |failed: Complaint| {
                failed.help(format!("the model is in `{root}/model`; `retune run --resume {root}` measures it again"))
            };
            self.measure_or_fail(When::After, &outcome.model).map_err(kept)?;
            self.measure_or_fail(When::Test, &outcome.model).map_err(kept)?;
        }
        self.log.write(&HostEvent::Finished { seconds: seconds(began), peak_memory: machine::peak_memory() })?;
        report::write(self.place.root())?;
        let model = self.place.model();
        let summary = Summary::new(
            self.recipe.name.clone(),
            &self.history()?,
            self.place.root().to_owned(),
            model,
            self.place.report(),
        );
        Ok(Ending::Finished(summary))
    }

    fn train(&mut self, trainer: Trainer<'_>, interrupt: Interrupt) -> Result<Trained> {
        let mut watcher = Watcher::new(&mut self.log, self.console, interrupt);
        let result = trainer.run(&mut watcher);
        let (failed, checkpoint, step) = (watcher.failed.take(), watcher.checkpoint, watcher.step);
        self.console.clear();
        match (result, failed) {
            (Ok(outcome), None) => Ok(Trained::Ended(outcome)),
            (_, Some(unwritable)) => Err(unwritable.help(self.way_on(checkpoint))),
            (Err(TrainError::Stopped { .. }), None) => {
                self.log.write(&HostEvent::Interrupted { step })?;
                self.report_anyway();
                Ok(Trained::Stopped(Complaint::new(format!("stopped after step {step}")).help(self.way_on(checkpoint))))
            }
            (Err(error), None) => {
                let complaint = trouble::training(self.recipe, error);
                Err(self.fail(complaint).help(self.way_on(checkpoint)))
            }
        }
    }

    /// Writes down that the run failed, and gives the complaint back.
    fn fail(&mut self, complaint: Complaint) -> Complaint {
        // The complaint itself matters more than a log that cannot be written.
        let _ = self.log.write(&HostEvent::Failed { message: complaint.to_string() });
        self.report_anyway();
        complaint
    }

    /// The report of a run that did not end well; best effort, for the reason above.
    fn report_anyway(&self) {
        let _ = report::write(self.place.root());
    }

    /// How to go on after a stop.
    fn way_on(&self, checkpoint: Option<u64>) -> String {
        match checkpoint {
            Some(step) => format!(
                "the checkpoint of step {step} is intact; go on from it with `retune run --resume {}`",
                self.place.root().display()
            ),
            None => {
                "no checkpoint had been written yet; training.checkpoint = { every_steps = 50 } writes them more often"
                    .to_owned()
            }
        }
    }

    fn measure_or_fail(&mut self, when: When, model: &Model) -> Result<()> {
        let (split, rows): (&str, &[Example]) = match when {
            When::Before | When::After => ("validation", &self.prepared.validation),
            When::Test => ("test", self.prepared.test.as_deref().unwrap_or_default()),
        };
        if rows.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let mut console_only = |event: &TrainEvent| {
            self.console.event(event);
            std::ops::ControlFlow::Continue(())
        };
        let mut loss = self.assembly.roster.loss(&self.assembly.device)?;
        let mut metrics = self.assembly.roster.metrics(&self.assembly.device)?;
        let batch = settings::size(self.recipe.evaluation.batch_size);
        let columns = settings::extra_columns(self.recipe);
        let measured = evaluate(model, rows, &mut *loss, &mut metrics, batch, &columns, &mut console_only);
        self.console.clear();
        let measured = measured.map_err(|error| {
            let complaint = trouble::training(self.recipe, error);
            self.fail(complaint)
        })?;
        self.log.write(&HostEvent::Measured {
            when,
            split: split.to_owned(),
            values: measured.all(),
            confusion: measured.confusion,
            rows: measured.rows,
            seconds: seconds(began),
        })
    }

    fn export(&mut self, model: &Model) -> Result<()> {
        let tokenizer: &Path = &self.recipe.model.tokenizer;
        let mut places = vec![self.place.model()];
        places.extend(self.recipe.export.as_ref().map(|directory| directory.to_path_buf()));
        for path in places {
            model.export(&path, Some(tokenizer)).map_err(|e| {
                let complaint = Complaint::new(format!("the model cannot be written to `{}`", path.display()))
                    .because(e)
                    .help("`retune run --resume` exports again without training again");
                self.fail(complaint)
            })?;
            self.log.write(&HostEvent::Exported { path })?;
        }
        Ok(())
    }

    fn history(&self) -> Result<History> {
        let path = self.place.events();
        let log = std::fs::read(&path).map_err(|e| unreadable(&path, &e))?;
        Ok(History::read(&String::from_utf8_lossy(&log)))
    }
}

#[allow(clippy::large_enum_variant, reason = "made once a process")]
enum Trained {
    Ended(Outcome),
    Stopped(Complaint),
}

fn seconds(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
}

fn manifest(
    recipe: &Recipe,
    assembly: &Assembly,
    prepared: &Prepared,
    model: &Model,
    loaded: LoadReport,
    device: String,
) -> Result<Manifest> {
    let (parameters, trainable) = plan::sizes(model);
    let new = loaded.new.into_iter().chain(loaded.replaced.into_iter().map(|(name, _)| name)).collect();
    Ok(Manifest {
        name: recipe.name.clone(),
        retune: env!("CARGO_PKG_VERSION").to_owned(),
        started: now(),
        seed: recipe.seed,
        task: recipe.model.task.as_str().to_owned(),
        labels: prepared.labels.clone(),
        hardware: machine::hardware(device),
        model: ModelFacts {
            architecture: plan::architecture(model).to_owned(),
            parameters,
            trainable,
            new,
            unused: loaded.unused,
        },
        base: base_facts(recipe.model.base.path())?,
        tokenizer: prepared.report.tokenizer_digest.clone(),
        data: data_facts(prepared),
        roles: assembly.roster.facts(),
    })
}

/// A plugin that was mended or swapped since the run began is allowed, and never silent.
fn tell_changed_plugins(place: &RunDir, roles: Vec<RoleFacts>, log: &mut EventLog, console: &Console) -> Result<()> {
    let mut manifest = Manifest::read(&place.manifest())?;
    let changed = manifest.changed_plugins(&roles);
    for message in &changed {
        console.line(&format!("warning   {message}"));
        log.write(&TrainEvent::Warning { step: 0, message: message.clone() })?;
    }
    if !changed.is_empty() {
        manifest.roles = roles;
        manifest.write(&place.manifest())?;
    }
    Ok(())
}

/// Refuses to go on with other rows, another tokenizer or another base than the run began with.
fn same_inputs(place: &RunDir, recipe: &Recipe, prepared: &Prepared) -> Result<()> {
    let then = Manifest::read(&place.manifest())?;
    let now = [data_facts(prepared), base_facts(recipe.model.base.path())?];
    for (then, now) in then.data.iter().zip(&now[0]).chain(then.base.iter().zip(&now[1])) {
        if then.sha256 != now.sha256 {
            return Err(Complaint::new(format!(
                "`{}` is not what the run in `{}` began with: sha256 {} then, {} now",
                now.path.display(),
                place.root().display(),
                then.sha256,
                now.sha256
            ))
            .help("put the file back as it was, or start a new run without --resume"));
        }
    }
    if then.tokenizer != prepared.report.tokenizer_digest {
        return Err(Complaint::new(format!(
            "the tokenizer in `{}` is not the one the run in `{}` began with",
            recipe.model.tokenizer.display(),
            place.root().display()
        ))
        .help("put its files back as they were, or start a new run without --resume"));
    }
    Ok(())
}

fn data_facts(prepared: &Prepared) -> Vec<FileFacts> {
    let facts = |source: &SourceReport| FileFacts {
        path: PathBuf::from(&source.path),
        sha256: source.sha256.clone(),
        bytes: source.bytes,
    };
    prepared.report.sources.iter().map(facts).collect()
}

fn tell_loaded(loaded: &LoadReport, recipe: &Recipe, console: &Console) {
    let base = recipe.model.base.path().display();
    if loaded.loaded == 0 {
        console.line(&format!("model     {base}: every weight drawn from seed {}", recipe.seed));
        return;
    }
    let new = match loaded.new.len() {
        0 => String::new(),
        1..=4 => format!("; new: {}", loaded.new.join(", ")),
        many => format!("; {many} parameters are new"),
    };
    console.line(&format!("model     {base}: {} tensors{new}", loaded.loaded));
    for (name, why) in &loaded.replaced {
        console.line(&format!("warning   {name} starts anew: {why}"));
    }
}

/// What became of the rows, and what somebody should know of them.
pub fn tell_account(report: &DataReport, console: &Console) {
    for source in &report.sources {
        let dropped: Vec<String> =
            source.dropped.iter().map(|d| format!("{} {} ({})", d.count, d.reason, d.stage)).collect();
        let lost = if dropped.is_empty() { String::new() } else { format!("; dropped {}", dropped.join(", ")) };
        let cached = if matches!(source.cache, retune_data::CacheUse::Hit { .. }) { " (from the cache)" } else { "" };
        console.line(&format!("data      {}: {} of {} rows{cached}{lost}", source.split, source.rows, source.read));
    }
    for warning in &report.warnings {
        console.line(&format!("warning   {warning}"));
    }
}
