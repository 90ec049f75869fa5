//! `retune merge`: an adapter and its base as one model.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_run::run_dir::RunDir;
use retune_tensor::Device;
use retune_train::model::{ExportForm, Trained, may_replace};

use crate::stdout;

/// Arguments of `retune merge`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The adapter: a folder that retune or peft wrote, or the directory of a run
    adapter: PathBuf,
    /// The model it was trained on [default: the folder that the adapter names]
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    /// Where the merged model goes, in Hugging Face layout
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let adapter = match RunDir::open(&args.adapter) {
        Ok(run) => run.model(),
        Err(_) => args.adapter.clone(),
    };
    let trained = Trained::open(&adapter, args.base.as_deref()).map_err(|e| Diagnostic::new(e.to_string()))?;
    let Some(base) = trained.base() else {
        // Says what lies there in place of an adapter.
        let error = retune_train::model::peft::PeftDirectory::open(&adapter).map(drop);
        let message = error.map_or_else(|e| e.to_string(), |()| format!("`{}` is no adapter", adapter.display()));
        let whole = adapter.join("config.json").is_file();
        let help = whole.then(|| "there is nothing to merge in a model that is whole".to_owned());
        return Err(Diagnostic::new(message).help_some(help));
    };
    free(&args.out, &[base, &adapter])?;
    let cannot = |e: retune_train::model::ModelError| Diagnostic::new(e.to_string());
    let task = trained.task().map_err(cannot)?;
    // Sums are the same on every device to within rounding, and the host holds the largest models.
    let (model, _) = trained.load(&task, 0, &Device::flex()).map_err(cannot)?;
    let tokenizer = Some(trained.tokenizer()).filter(|folder| folder.join("tokenizer.json").is_file());
    model
        .export_as(ExportForm::InFormatOfBase, &args.out, tokenizer, None)
        .map_err(|e| Diagnostic::new(format!("the model cannot be written to `{}`", args.out.display())).because(e))?;
    let merged = model.adapter().map_or(0, |adapter| adapter.placed.len());
    stdout::line(format!("{}: {merged} matrices of `{}` merged", args.out.display(), base.display()));
    Ok(ExitCode::SUCCESS)
}

/// Refuses a place where something would be lost.
fn free(out: &Path, inputs: &[&Path]) -> Result<()> {
    let same = |input: &&&Path| match (out.canonicalize(), input.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    };
    if let Some(input) = inputs.iter().find(same) {
        return Err(Diagnostic::new(format!("--out: `{}` is what is merged", input.display()))
            .help("choose a folder that does not exist yet"));
    }
    // Who merges once has no earlier result there, as a run has.
    match std::fs::read_dir(out).ok().and_then(|mut entries| entries.next()) {
        Some(_) => Err(Diagnostic::new(format!("--out: `{}` is there already, and is not empty", out.display()))
            .help("choose a folder that does not exist yet")),
        None => may_replace(out).map_err(|e| Diagnostic::new(format!("--out: {e}"))),
    }
}
