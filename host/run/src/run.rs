//! A run, stage by stage: from a recipe to a model, a report and a summary.
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

use crate::Reporter;
use crate::assembly::Assembly;
use crate::events::{EventLog, HostEvent, When, now};
use crate::interrupt::Interrupt;
use crate::manifest::{FileFacts, Manifest, ModelFacts, RoleFacts, base_facts};
use crate::observer::RunObserver;
use crate::plan::{self, Plan};
use crate::report::{self, History};
use crate::run_dir::RunDir;
use crate::summary::Summary;
use crate::{locate, machine, settings};
use retune_recipe::diagnostic::{Diagnostic, Result, unreadable};
use retune_recipe::{Recipe, resolved};

/// What is asked of a run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Where it goes; none means the next free run_dir.
    pub output: Option<PathBuf>,
    /// Go on from the last checkpoint.
    pub resume: bool,
    /// Stop before the first step and show the plan.
    pub dry_run: bool,
    /// Evaluate before and after training, and on the test set.
    pub measure: bool,
}

/// How it came out.
#[allow(clippy::large_enum_variant, reason = "made once per process")]
pub enum RunOutcome {
    /// Shown, not run.
    Planned(Plan),
    /// Run to its end.
    Finished(Summary),
    /// Stopped by Ctrl-C; what to tell.
    Interrupted(Diagnostic),
}

/// Runs `recipe`.
pub fn run(recipe: &Recipe, options: &RunOptions, console: &mut dyn Reporter) -> Result<RunOutcome> {
    let began = Instant::now();
    let text = resolved::resolved(recipe);
    let run_dir = if options.resume {
        RunDir::newest(&recipe.name, options.output.as_deref())?
    } else {
        RunDir::fresh(&recipe.name, options.output.as_deref())?
    };
    let held = if options.resume {
        run_dir.same_recipe(&text)?;
        Some(run_dir.hold()?)
    } else {
        None
    };

    let assembly = Assembly::new(recipe)?;
    let (model, loaded) = assembly.base(recipe)?;
    tell_loaded(&loaded, recipe, console);
    let prepared = assembly.prepare(recipe, console)?;
    tell_account(&prepared.report, console);

    let roles = Roles {
        loss: assembly.roles.loss(&assembly.device)?,
        policies: assembly.roles.policies()?,
        metrics: assembly.roles.metrics(&assembly.device)?,
    };
    if options.resume {
        same_inputs(&run_dir, recipe, &prepared)?;
    }
    let spec = settings::training(recipe, run_dir.checkpoints(), &prepared.validation);
    let mut trainer = Trainer::new(model, spec, roles, &prepared.train, &prepared.validation)
        .map_err(|e| locate::training(recipe, e))?;
    let device = describe(&assembly.device);
    if options.dry_run {
        return Ok(RunOutcome::Planned(Plan::new(recipe, device, &trainer, &prepared, assembly.roles.facts())));
    }

    let held = held.map_or_else(|| run_dir.create(), Ok)?;
    if let Some(weak) = &held.weak {
        console.line(&format!("warning   {weak}"));
    }
    let mut untrained = true;
    if options.resume {
        untrained = trainer.resume().map_err(|e| locate::training(recipe, e))?.is_none();
    } else {
        run_dir.write_recipe(&text)?;
        manifest(recipe, &assembly, &prepared, trainer.model(), loaded, device)?.write(&run_dir.manifest())?;
    }
    let mut log = EventLog::open(&run_dir.events())?;
    if options.resume {
        tell_changed_plugins(&run_dir, assembly.roles.facts(), &mut log, console)?;
    }
    let mut stages =
        Stages { recipe, assembly: &assembly, prepared: &prepared, run_dir, log, console, options, untrained };
    let outcome = stages.go(trainer, began);
    drop(held);
    outcome
}

/// What the steps below share.
struct Stages<'a> {
    recipe: &'a Recipe,
    assembly: &'a Assembly,
    prepared: &'a Prepared,
    run_dir: RunDir,
    log: EventLog,
    console: &'a mut dyn Reporter,
    options: &'a RunOptions,
    /// Whether the model is still the base: begun just now, or stopped before the first checkpoint.
    untrained: bool,
}

impl Stages<'_> {
    fn go(&mut self, trainer: Trainer<'_>, began: Instant) -> Result<RunOutcome> {
        self.console.line(&format!("run       {}", self.run_dir.root().display()));
        self.log.write(&HostEvent::Data { report: Box::new(self.prepared.report.clone()) })?;
        if self.options.measure && self.untrained && self.history()?.measured("before").is_none() {
            self.measure_or_fail(When::Before, trainer.model())?;
        }
        let interrupt = Interrupt::listen()?;
        let outcome = match self.train(trainer, interrupt)? {
            Trained::Ended(outcome) => outcome,
            Trained::Stopped(diagnostic) => return Ok(RunOutcome::Interrupted(diagnostic)),
        };
        // Before it is measured: a metric that fails on the test set must not cost the model.
        self.export(&outcome.model)?;
        if self.options.measure {
            let root = self.run_dir.root().display().to_string();
            let kept = |failed: Diagnostic| {
                failed.help(format!("the model is in `{root}/model`; `retune run --resume {root}` measures it again"))
            };
            self.measure_or_fail(When::After, &outcome.model).map_err(kept)?;
            self.measure_or_fail(When::Test, &outcome.model).map_err(kept)?;
        }
        self.log.write(&HostEvent::Finished { seconds: seconds(began), peak_memory: machine::peak_memory() })?;
        report::write(self.run_dir.root())?;
        let model = self.run_dir.model();
        let summary = Summary::new(
            self.recipe.name.clone(),
            &self.history()?,
            self.run_dir.root().to_owned(),
            model,
            self.run_dir.report(),
        );
        Ok(RunOutcome::Finished(summary))
    }

    fn train(&mut self, trainer: Trainer<'_>, interrupt: Interrupt) -> Result<Trained> {
        let mut watcher = RunObserver::new(&mut self.log, self.console, interrupt);
        let result = trainer.run(&mut watcher);
        let (failed, checkpoint, step) = (watcher.failed.take(), watcher.checkpoint, watcher.step);
        self.console.clear();
        match (result, failed) {
            (Ok(outcome), None) => Ok(Trained::Ended(outcome)),
            (_, Some(unwritable)) => Err(unwritable.help(self.how_to_go_on(checkpoint))),
            (Err(TrainError::Stopped { .. }), None) => {
                self.log.write(&HostEvent::Interrupted { step })?;
                self.report_anyway();
                Ok(Trained::Stopped(
                    Diagnostic::new(format!("stopped after step {step}")).help(self.how_to_go_on(checkpoint)),
                ))
            }
            (Err(error), None) => {
                let diagnostic = locate::training(self.recipe, error);
                Err(self.fail(diagnostic).help(self.how_to_go_on(checkpoint)))
            }
        }
    }

    /// Writes down that the run failed, and gives the diagnostic back.
    fn fail(&mut self, diagnostic: Diagnostic) -> Diagnostic {
        // The diagnostic itself matters more than a log that cannot be written.
        let _ = self.log.write(&HostEvent::Failed { message: diagnostic.to_string() });
        self.report_anyway();
        diagnostic
    }

    /// The report of a run that did not end well; best effort, for the reason above.
    fn report_anyway(&self) {
        let _ = report::write(self.run_dir.root());
    }

    /// How to go on after a stop.
    fn how_to_go_on(&self, checkpoint: Option<u64>) -> String {
        match checkpoint {
            Some(step) => format!(
                "the checkpoint of step {step} is intact; go on from it with `retune run --resume {}`",
                self.run_dir.root().display()
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
        let mut loss = self.assembly.roles.loss(&self.assembly.device)?;
        let mut metrics = self.assembly.roles.metrics(&self.assembly.device)?;
        let batch = settings::size(self.recipe.evaluation.batch_size);
        let columns = settings::extra_columns(self.recipe);
        let measured = evaluate(model, &rows, &mut *loss, &mut metrics, batch, &columns, &mut console_only);
        self.console.clear();
        let measured = measured.map_err(|error| {
            let diagnostic = locate::training(self.recipe, error);
            self.fail(diagnostic)
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
        let mut places = vec![self.run_dir.model()];
        places.extend(self.recipe.export.as_ref().map(|export| export.directory.clone()));
        for path in places {
            model.export(&path, Some(tokenizer)).map_err(|e| {
                let diagnostic = Diagnostic::new(format!("the model cannot be written to `{}`", path.display()))
                    .because(e)
                    .help("`retune run --resume` exports again without training again");
                self.fail(diagnostic)
            })?;
            self.log.write(&HostEvent::Exported { path })?;
        }
        Ok(())
    }

    fn history(&self) -> Result<History> {
        let path = self.run_dir.events();
        let log = std::fs::read(&path).map_err(|e| unreadable(&path, &e))?;
        Ok(History::read(&String::from_utf8_lossy(&log)))
    }
}

#[allow(clippy::large_enum_variant, reason = "made once per process")]
enum Trained {
    Ended(Outcome),
    Stopped(Diagnostic),
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
        base: base_facts(recipe.model.start().path())?,
        tokenizer: prepared.report.tokenizer_digest.clone(),
        data: data_facts(prepared),
        roles: assembly.roles.facts(),
    })
}

/// A plugin that was changed since the run began is allowed, and never silent.
fn tell_changed_plugins(
    run_dir: &RunDir,
    roles: Vec<RoleFacts>,
    log: &mut EventLog,
    console: &dyn Reporter,
) -> Result<()> {
    let mut manifest = Manifest::read(&run_dir.manifest())?;
    let changed = manifest.changed_plugins(&roles);
    for message in &changed {
        console.line(&format!("warning   {message}"));
        log.write(&TrainEvent::Warning { step: 0, message: message.clone() })?;
    }
    if !changed.is_empty() {
        manifest.roles = roles;
        manifest.write(&run_dir.manifest())?;
    }
    Ok(())
}

/// Refuses to go on with other rows, another tokenizer or another base than the run began with.
fn same_inputs(run_dir: &RunDir, recipe: &Recipe, prepared: &Prepared) -> Result<()> {
    let then = Manifest::read(&run_dir.manifest())?;
    let now = [data_facts(prepared), base_facts(recipe.model.start().path())?];
    for (then, now) in then.data.iter().zip(&now[0]).chain(then.base.iter().zip(&now[1])) {
        if then.sha256 != now.sha256 {
            return Err(Diagnostic::new(format!(
                "`{}` is not what the run in `{}` began with: sha256 {} then, {} now",
                now.path.display(),
                run_dir.root().display(),
                then.sha256,
                now.sha256
            ))
            .help("put the file back as it was, or start a new run without --resume"));
        }
    }
    if then.tokenizer != prepared.report.tokenizer_digest {
        return Err(Diagnostic::new(format!(
            "the tokenizer in `{}` is not the one the run in `{}` began with",
            recipe.model.tokenizer.display(),
            run_dir.root().display()
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

fn tell_loaded(loaded: &LoadReport, recipe: &Recipe, console: &dyn Reporter) {
    let base = recipe.model.start().path().display();
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
pub fn tell_account(report: &DataReport, console: &dyn Reporter) {
    for source in &report.sources {
        let dropped: Vec<String> =
            source.dropped.iter().map(|d| format!("{} {} ({})", d.count, d.reason, d.stage)).collect();
        let lost = if dropped.is_empty() { String::new() } else { format!("; dropped {}", dropped.join(", ")) };
        let cached = if matches!(source.cache, retune_data::CacheUse::Hit { .. }) { " (from the cache)" } else { "" };
        console.line(&format!("data      {}: {} of {} rows{cached}{lost}", source.split, source.rows, source.read));
    }
    if !report.labels.is_empty() {
        let shown: Vec<&str> = report.labels.iter().take(8).map(String::as_str).collect();
        let more = report.labels.len() - shown.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        console.line(&format!("labels    {}: {}{more}", report.labels.len(), shown.join(", ")));
    }
    for warning in &report.warnings {
        console.line(&format!("warning   {warning}"));
    }
}
