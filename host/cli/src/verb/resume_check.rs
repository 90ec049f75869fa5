//! `retune resume-check`: is a run of this recipe the same when it is killed and resumed?

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_run::resume_check::ResumeCheck;

use super::common::Common;
use crate::stdout;
use crate::verb::set::Set;

/// Arguments of `retune resume-check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The recipe
    recipe: PathBuf,
    #[command(flatten)]
    set: Set,
    /// Optimiser steps of each run
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(2..))]
    steps: u64,
    /// How many runs are killed and resumed; every other one is killed twice
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    kills: u64,
    /// Decides where runs are killed
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Runs the verb; the exit code says whether all runs ended with the same bytes.
pub fn run(args: &Args) -> Result<ExitCode> {
    // Whatever is wrong with the recipe is told here, and not by a run of it.
    let recipe = args.set.load(&args.recipe)?;
    let program = std::env::current_exe().map_err(|e| Diagnostic::new("cannot find this program").because(e))?;
    let mut arguments: Vec<OsString> = vec![args.recipe.clone().into()];
    arguments.extend(args.set.arguments());
    if let Some(device) = args.common.device {
        arguments.extend(["--device".into(), device.to_string().into()]);
    }
    let check = ResumeCheck {
        program,
        arguments,
        exports: recipe.export.is_some(),
        steps: args.steps,
        kills: args.kills,
        seed: args.seed,
    };
    let checked = check.run(&args.common.console())?;
    if args.common.json {
        stdout::json(&checked)
    } else {
        stdout::text(checked.page())
    }
    Ok(if checked.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
