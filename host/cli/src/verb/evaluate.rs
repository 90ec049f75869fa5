//! `retune evaluate`: how good a model is on a file, by a recipe's loss and metrics.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use retune_data::{Format, Source};
use retune_train::model::Trained;
use retune_train::{HeldOut, evaluate};
use serde_json::{Map, Value as Json, json};

use super::common::Common;
use crate::stdout;
use crate::verb::set::Set;
use retune_recipe::Recipe;
use retune_recipe::diagnostic::{Diagnostic, Result, unreadable};
use retune_run::assembly::Assembly;
use retune_run::report::svg::short;
use retune_run::run_dir::RunDir;
use retune_run::words::count;
use retune_run::{Reporter, locate, manifest, open_trained, settings, tell_account};

/// Arguments of `retune evaluate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run directory, or a recipe (then with --model)
    run: PathBuf,
    #[command(flatten)]
    set: Set,
    /// The model [default: the run's result]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// The base, when the model is an adapter [default: the recipe's]
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    /// The rows [default: the recipe's test file, else its validation file]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// How the rows of --data are written: csv, tsv, jsonl, text, lines, conll [default: told by the file's name]
    #[arg(long, value_name = "FORMAT", requires = "data")]
    format: Option<Format>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Runs the verb.
pub fn run(args: Args) -> Result<ExitCode> {
    let (recipe, model, run_dir) = opened(&args.run, args.model, &args.set)?;
    let recipe = args.common.on_device(recipe);
    let given = args.data.is_some();
    if let Some(data) = &args.data {
        std::fs::metadata(data).map_err(|e| unreadable(data, &e))?;
    }
    let data = match args.data.or_else(|| own_data(&recipe)) {
        Some(data) => data,
        None => {
            let split = recipe.place("data.validation.split").is_some();
            return Err(Diagnostic::new("the recipe names no test file and no validation file")
                .help_some(
                    split.then(|| "rows that are split off the training file were measured in the run".to_owned()),
                )
                .help("say which rows: --data FILE"));
        }
    };
    let mut console = args.common.console();
    let trained = open_trained(&model, args.base.as_deref(), Some(&recipe))?;
    let assembly = Assembly::of_model(&recipe, trained.tokenizer())?;
    if let Some(run_dir) = &run_dir {
        manifest::warn_of_changed_plugins(run_dir, &assembly.roles.facts(), &console)?;
    }
    let labels = labels_of(&recipe, &trained)?;
    let asking = assembly.asking(&recipe, trained.base().unwrap_or(trained.directory()))?;
    let (model, _) = assembly.load_trained(&recipe, &trained, labels.clone())?;
    let train = &assembly.data.train;
    let source = match args.format {
        None if given => train.beside(data.clone()),
        format => Source { path: data.clone(), format: format.or(train.format) },
    };
    let (rows, account) = assembly.prepare_file(&recipe, &source, &labels, &mut console)?;
    tell_account(&account, &console);
    let mut loss = assembly.roles.loss(&assembly.device)?;
    let mut metrics = assembly.metrics()?;
    let mut watch = |event: &retune_train::TrainEvent| {
        console.event(event);
        std::ops::ControlFlow::Continue(())
    };
    let columns = settings::extra_columns(&recipe);
    let held_out = HeldOut {
        rows: &rows,
        columns: &columns,
        batch_size: settings::size(recipe.evaluation.batch_size),
        asking: asking.as_ref(),
    };
    let found = evaluate(&model, &held_out, &mut *loss, &mut metrics, &mut watch);
    console.clear();
    let found = found.map_err(|e| locate::training(&recipe, e))?;
    if args.common.json {
        let values: Map<String, Json> =
            found.all().into_iter().map(|(name, value)| (name, Json::from(value))).collect();
        let account = account.sources.first();
        let report = json!({
            "data": data, "rows": found.rows, "read": account.map(|a| a.read), "dropped": account.map(|a| &a.dropped),
            "values": values, "labels": labels, "confusion": found.confusion
        });
        stdout::line(format!("{report:#}"));
    } else {
        // In blocks, rows of the file and rows of the model are not the same number.
        let lost = account.sources.first().filter(|a| a.rows < a.read);
        let lost =
            lost.map_or(String::new(), |a| format!(", {} of {} left out", count(a.read - a.rows), count(a.read)));
        stdout::line(format!("{}: {} rows{lost}", data.display(), count(found.rows as u64)));
        let width = found.all().iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in found.all() {
            stdout::line(format!("  {name:width$}  {}", short(value)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The recipe, the model directory, and the run directory if it is one, that `run` stands for.
fn opened(run: &Path, model: Option<PathBuf>, set: &Set) -> Result<(Recipe, PathBuf, Option<RunDir>)> {
    if run.is_dir() {
        let run_dir = RunDir::open(run)?;
        let recipe = set.load(&run_dir.recipe())?;
        return Ok((recipe, model.unwrap_or_else(|| run_dir.model()), Some(run_dir)));
    }
    let recipe = set.load(run)?;
    match model {
        Some(model) => Ok((recipe, model, None)),
        None => Err(Diagnostic::new(format!("`{}` is a recipe, and says nothing of a trained model", run.display()))
            .help("say which model: --model DIR, or give a run directory in place of the recipe")),
    }
}

fn own_data(recipe: &Recipe) -> Option<PathBuf> {
    recipe.data.test.as_deref().or_else(|| recipe.data.validation_file()).map(Path::to_path_buf)
}

/// The labels of a trained model, in its own order; it must have been trained for the recipe's task.
fn labels_of(recipe: &Recipe, trained: &Trained) -> Result<Vec<String>> {
    let wanted = recipe.model.task;
    let task = trained
        .task()
        .map_err(|e| Diagnostic::new(e.to_string()).help(format!("expected a trained model for {wanted}")))?;
    if task.kind() != wanted {
        let model = trained.directory().display();
        return Err(Diagnostic::new(format!(
            "`{model}` was trained for {}, and the recipe is for {wanted}",
            task.kind()
        ))
        .help("name a model of the recipe's task with --model, or evaluate with the recipe it was trained by"));
    }
    Ok(task.labels().to_vec())
}
