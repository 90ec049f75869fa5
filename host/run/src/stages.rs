//! The stages of a run that has begun: measure, train, export, measure again, report.
//!
//! Every stage writes down what it did before the next begins, so that a run that is stopped or killed between
//! two goes on with the second. The test set is evaluated once per run: a resumed run that has a value
//! for it keeps that value.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use retune_data::Prepared;
use retune_roles::Rows as _;
use retune_train::model::{ExportForm, Model};
use retune_train::{HeldOut, Outcome, TrainError, TrainEvent, Trainer, evaluate};

use crate::assembly::Assembly;
use crate::events::{EventLog, HostEvent, When};
use crate::observer::RunObserver;
use crate::options::{RunOptions, RunOutcome};
use crate::report::{self, History};
use crate::run_dir::RunDir;
use crate::summary::Summary;
use crate::usage::Usage;
use crate::{Reporter, forecast, locate, machine, settings};
use retune_recipe::diagnostic::{Diagnostic, Result, unreadable};
use retune_recipe::sections::{Chat, ExportFormat};
use retune_recipe::{BaseRef, Recipe};

/// What the stages share.
pub(crate) struct Stages<'a> {
    pub recipe: &'a Recipe,
    pub assembly: &'a Assembly,
    pub prepared: &'a Prepared,
    pub run_dir: RunDir,
    pub usage: Usage,
    pub log: EventLog,
    pub console: &'a mut dyn Reporter,
    pub options: &'a RunOptions,
    /// Whether the model is still the base: begun just now, or stopped before the first checkpoint.
    pub untrained: bool,
}

/// Why a stage did not come to its end.
enum Cut {
    /// Somebody stopped it; what to tell.
    Stopped(Diagnostic),
    /// Something is wrong.
    Failed(Diagnostic),
}

impl From<Diagnostic> for Cut {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Failed(diagnostic)
    }
}

impl Stages<'_> {
    /// All stages.
    pub fn go(&mut self, trainer: Trainer<'_>, began: Instant) -> Result<RunOutcome> {
        match self.all(trainer, began) {
            Ok(summary) => Ok(RunOutcome::Finished(summary)),
            Err(Cut::Failed(diagnostic)) => Err(diagnostic),
            Err(Cut::Stopped(stopped)) => {
                Ok(RunOutcome::Interrupted { stopped, exit_code: self.options.interrupt.exit_code() })
            }
        }
    }

    fn all(&mut self, trainer: Trainer<'_>, began: Instant) -> std::result::Result<Summary, Cut> {
        self.console.line(&format!("run       {}", self.run_dir.root().display()));
        self.log.write(&HostEvent::Data { report: Box::new(self.prepared.report.clone()) })?;
        let memory = forecast::memory(self.recipe, trainer.model(), self.prepared, self.assembly.roles.read_texts());
        self.log.write(&HostEvent::Forecast { memory })?;
        if self.options.measure && self.untrained {
            self.measure(When::Before, trainer.model())?;
        }
        let outcome = self.train(trainer)?;
        // Before it is measured: a metric that fails on the test set must not cost the model.
        self.export(&outcome.model)?;
        if self.options.measure {
            self.measure(When::After, &outcome.model)?;
            self.measure(When::Test, &outcome.model)?;
        }
        self.log.write(&HostEvent::Finished { seconds: seconds(began), peak_memory: machine::peak_memory() })?;
        self.usage.write(&self.assembly.roles)?;
        report::write(self.run_dir.root())?;
        Ok(Summary::new(
            self.recipe.name.clone(),
            &self.history()?,
            self.run_dir.root().to_owned(),
            self.run_dir.model(),
            self.run_dir.report(),
        ))
    }

    fn train(&mut self, trainer: Trainer<'_>) -> std::result::Result<Outcome, Cut> {
        let mut watcher = RunObserver::new(&mut self.log, self.console, self.options.interrupt.clone());
        // A policy may fail before the run has told where it goes on.
        watcher.checkpoint = trainer.resumed_from();
        let result = trainer.run(&mut watcher);
        let (failed, checkpoint) = (watcher.failed.take(), watcher.checkpoint);
        self.console.clear();
        match (result, failed) {
            (Ok(outcome), None) => Ok(outcome),
            (_, Some(unwritable)) => Err(Cut::Failed(unwritable.help(self.how_to_go_on(checkpoint)))),
            (Err(TrainError::Stopped { step }), None) => {
                let message = match step {
                    0 => "stopped before the first step".to_owned(),
                    step => format!("stopped after step {step}"),
                };
                let help = self.how_to_go_on(checkpoint);
                Err(self.stopped(step, message, help))
            }
            (Err(error), None) => {
                let diagnostic = locate::training(self.recipe, error);
                Err(Cut::Failed(self.fail(diagnostic).help(self.how_to_go_on(checkpoint))))
            }
        }
    }

    /// Writes down that the run was stopped.
    fn stopped(&mut self, step: u64, message: String, help: String) -> Cut {
        if let Err(unwritable) = self.log.write(&HostEvent::Interrupted { step }) {
            return Cut::Failed(unwritable);
        }
        self.report_anyway();
        Cut::Stopped(Diagnostic::new(message).help(help))
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
        let _ = self.usage.write(&self.assembly.roles);
        let _ = report::write(self.run_dir.root());
    }

    /// The command that goes on with this run.
    fn resume(&self) -> String {
        let verb = if self.options.measure { "run" } else { "train" };
        format!("retune {verb} --resume {}", self.run_dir.root().display())
    }

    /// How to go on after a stop in training.
    fn how_to_go_on(&self, checkpoint: Option<u64>) -> String {
        match checkpoint {
            Some(step) => {
                format!("the checkpoint of step {step} is intact; go on from it with `{}`", self.resume())
            }
            None => format!(
                "no checkpoint had been written yet, so `{}` begins at step 1; training.checkpoint = {{ every_steps = 50 }} \
                 writes them more often",
                self.resume()
            ),
        }
    }

    /// Evaluates `model` on the rows of `when`, unless the run has done so before or there are none.
    fn measure(&mut self, when: When, model: &Model) -> std::result::Result<(), Cut> {
        let (split, rows) = match when {
            When::Before | When::After => ("validation", Some(&self.prepared.validation)),
            When::Test => ("test", self.prepared.test.as_ref()),
        };
        let Some(rows) = rows.filter(|rows| !rows.is_empty()) else { return Ok(()) };
        let history = self.history()?;
        if history.measured(when.as_str()).is_some() {
            return Ok(());
        }
        let began = Instant::now();
        let (console, interrupt) = (&mut *self.console, &self.options.interrupt);
        let mut watch = |event: &TrainEvent| {
            console.event(event);
            if interrupt.happened() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut loss = self.assembly.roles.loss(&self.assembly.device)?;
        let mut metrics = self.assembly.metrics()?;
        let asking = self.assembly.asking(self.recipe, self.recipe.model.folder())?;
        let columns = settings::extra_columns(self.recipe);
        let held_out = HeldOut {
            rows,
            columns: &columns,
            batch_size: settings::size(self.recipe.evaluation.batch_size),
            asking: asking.as_ref(),
        };
        let measured = evaluate(model, &held_out, &mut *loss, &mut metrics, &mut watch);
        self.console.clear();
        match measured {
            Ok(measured) => Ok(self.log.write(&HostEvent::Measured {
                when,
                split: split.to_owned(),
                values: measured.all(),
                confusion: measured.confusion,
                rows: measured.rows,
                answers: measured.answers,
                seconds: seconds(began),
            })?),
            Err(TrainError::Stopped { .. }) => {
                let message = format!("stopped while evaluating on the {split} set");
                let help = self.how_to_measure_again(when);
                Err(self.stopped(history.last_step(), message, help))
            }
            Err(error) => {
                let diagnostic = locate::training(self.recipe, error);
                let diagnostic = self.fail(diagnostic);
                Err(Cut::Failed(match when {
                    When::Before => diagnostic,
                    When::After | When::Test => diagnostic.help(self.how_to_measure_again(when)),
                }))
            }
        }
    }

    fn how_to_measure_again(&self, when: When) -> String {
        match when {
            When::Before => format!("nothing has been trained; begin again with `{}`", self.resume()),
            When::After | When::Test => {
                format!("the model is in `{}`; `{}` evaluates it again", self.run_dir.model().display(), self.resume())
            }
        }
    }

    fn export(&mut self, model: &Model) -> Result<()> {
        let tokenizer: &Path = &self.recipe.model.tokenizer;
        let template = self.recipe.data.chat.as_ref().and_then(Chat::template_file);
        let base = match self.recipe.model.start() {
            BaseRef::Directory(path) => path.to_str().map(str::to_owned),
            BaseRef::Config(_) => None,
        };
        // Of a base that was drawn from the seed there is no copy that an adapter could be read with.
        let form = base.as_deref().map_or(ExportForm::Whole, |base| ExportForm::Adapter { base });
        let mut places = vec![(form, self.run_dir.model())];
        places.extend(self.recipe.export.as_ref().map(|export| match export.format {
            Some(ExportFormat::Merged) => (ExportForm::InFormatOfBase, export.directory.clone()),
            _ => (form, export.directory.clone()),
        }));
        for (form, path) in places {
            model.export_as(form, &path, Some(tokenizer), template).map_err(|e| {
                let diagnostic = Diagnostic::new(format!("the model cannot be written to `{}`", path.display()))
                    .because(e)
                    .help(format!("`{}` exports again without training again", self.resume()));
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

fn seconds(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
}
