//! The command line: what can be asked of retune.

mod doctor;
mod evaluate;
mod plugin;
mod predict;
mod prepare;
mod recipe;
mod report;
mod run;
mod self_check;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use retune_recipe::diagnostic::Result;

const ENVIRONMENT: &str = "Environment:
  RETUNE_CACHE  where prepared data and compiled plugins are kept; `retune doctor` shows the place
  RETUNE_LOG    what is logged: warn, plugin=info (what plugins say), debug
  NO_COLOR      no colours

A new recipe: retune recipe list, retune recipe show NAME > my.toml, retune recipe keys";

/// Fine-tunes language models; what you want to change comes in as sandboxed plugins.
#[derive(Debug, Parser)]
#[command(name = "retune", version, arg_required_else_help = true, after_help = ENVIRONMENT)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Carries out a recipe: prepare, train, evaluate, test, export, report
    Run(run::Args),
    /// Trains and exports, without measuring before, after or on the test set
    Train(run::Args),
    /// Reads and preprocesses the data, and accounts for every row
    Prepare(prepare::Args),
    /// Measures a trained model on a file
    Evaluate(evaluate::Args),
    /// Labels texts with a trained model
    Predict(predict::Args),
    /// Makes the report of a run again
    Report(report::Args),
    /// Looks into plugins
    Plugin(plugin::Args),
    /// Ready recipes, the reference of keys, a check
    Recipe(recipe::Args),
    /// Shows what this machine can do, and what is missing for more
    Doctor(doctor::Args),
    /// Checks arithmetic, parity, a training step and memory on a device
    #[command(hide = true)]
    SelfCheck(self_check::Args),
}

impl Cli {
    /// Does what was asked.
    pub fn run(self) -> Result<ExitCode> {
        match self.verb {
            Verb::Run(args) => run::run(args, true),
            Verb::Train(args) => run::run(args, false),
            Verb::Prepare(args) => prepare::run(&args),
            Verb::Evaluate(args) => evaluate::run(args),
            Verb::Predict(args) => predict::run(&args),
            Verb::Report(args) => report::run(&args),
            Verb::Plugin(args) => plugin::run(&args),
            Verb::Recipe(args) => recipe::run(args),
            Verb::Doctor(args) => doctor::run(&args),
            Verb::SelfCheck(args) => self_check::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
