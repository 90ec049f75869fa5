//! `retune run` and `retune train`: a recipe, carried out.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use retune_tensor::device::DeviceChoice;

use crate::console::Console;
use crate::stdout;
use retune_recipe::Recipe;
use retune_recipe::diagnostic::Result;
use retune_run::{RunOptions, RunOutcome};

/// Arguments of `retune run` and `retune train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A recipe; with --resume, also a run directory
    recipe: PathBuf,
    /// Where the run goes [default: runs/<name>-<n>]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Resume from the last checkpoint of the newest run of this name, or of the one in --output
    #[arg(long, conflicts_with = "dry_run")]
    resume: bool,
    /// Check everything, show the plan, train nothing
    #[arg(long)]
    dry_run: bool,
    /// Use this device, whatever the recipe says: auto, cpu, cuda:0
    #[arg(long)]
    device: Option<DeviceChoice>,
    /// Print the summary (or the plan) as JSON on standard output
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the verb; `measure` is what `run` does beyond `train`.
pub fn run(args: Args, measure: bool) -> Result<ExitCode> {
    let mut options = RunOptions { output: args.output, resume: args.resume, dry_run: args.dry_run, measure };
    let path = recipe_of(&args.recipe, &mut options);
    let mut recipe = Recipe::load(&path)?;
    if let Some(device) = args.device {
        recipe.device = device.to_string();
    }
    let mut console = Console::new(args.quiet);
    match retune_run::run(&recipe, &options, &mut console)? {
        RunOutcome::Planned(plan) if args.json => print_json(&plan),
        RunOutcome::Planned(plan) => stdout::text(plan.page()),
        RunOutcome::Finished(summary) if args.json => print_json(&summary),
        RunOutcome::Finished(summary) => stdout::text(summary.page()),
        RunOutcome::Interrupted(diagnostic) => {
            let _ = write!(std::io::stderr(), "{}", crate::rendered(&diagnostic));
            return Ok(ExitCode::from(retune_run::interrupt::EXIT));
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

/// One JSON document on standard output.
pub fn print_json(value: &impl serde::Serialize) {
    // What is printed here has string keys and finite or null numbers only.
    stdout::line(format!("{:#}", serde_json::to_value(value).unwrap_or_default()));
}
