//! `retune report`: makes a run's `report.html` again from what is written down.

use std::path::PathBuf;
use std::process::ExitCode;

use retune_recipe::diagnostic::Result;
use retune_run::report;
use retune_run::run_dir::RunDir;

/// Arguments of `retune report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run directory; the report is its report.html
    run: PathBuf,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let run = RunDir::open(&args.run)?;
    report::write(run.root())?;
    crate::stdout::line(run.report().display().to_string());
    Ok(ExitCode::SUCCESS)
}
