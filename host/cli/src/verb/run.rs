//! `retune run` and `retune train`: a recipe, carried out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::common::Common;
use crate::verb::set::Set;
use crate::{stderr, stdout};
use retune_recipe::diagnostic::Result;
use retune_run::{Interrupt, RunOptions, RunOutcome};

/// Arguments of `retune run` and `retune train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A recipe; with --resume, also a run directory
    recipe: PathBuf,
    #[command(flatten)]
    set: Set,
    /// Where the run goes [default: runs/<name>-<n>]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Resume from the last checkpoint of the newest run of this name, or of the one in --output
    #[arg(long, conflicts_with = "dry_run")]
    resume: bool,
    /// Check everything, show the plan, train nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Runs the verb; `measure` is what `run` does beyond `train`.
pub fn run(args: Args, measure: bool) -> Result<ExitCode> {
    let interrupt = Interrupt::listen(stderr::tell)?;
    let mut options =
        RunOptions { output: args.output, resume: args.resume, dry_run: args.dry_run, measure, interrupt };
    let path = recipe_of(&args.recipe, &mut options);
    let recipe = args.common.on_device(args.set.load(&path)?);
    let json = args.common.json;
    let mut console = args.common.console();
    match retune_run::run(&recipe, &options, &mut console)? {
        RunOutcome::Planned(plan) if json => stdout::json(&plan),
        RunOutcome::Planned(plan) => stdout::text(plan.page()),
        RunOutcome::Finished(summary) if json => stdout::json(&summary),
        RunOutcome::Finished(summary) => stdout::text(summary.page()),
        RunOutcome::Interrupted { stopped, exit_code } => {
            stderr::diagnostic(&stopped);
            return Ok(ExitCode::from(exit_code));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A run directory stands for the recipe inside it.
fn recipe_of(given: &Path, options: &mut RunOptions) -> PathBuf {
    let inside = given.join("recipe.toml");
    if options.resume && given.is_dir() && inside.is_file() {
        options.output.get_or_insert_with(|| given.to_owned());
        return inside;
    }
    given.to_owned()
}
