//! The command line: what can be asked of retune.

mod recipe;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::complaint::Result;

/// Fine-tunes language models; what you want to change comes in as sandboxed plugins.
#[derive(Debug, Parser)]
#[command(name = "retune", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Ready recipes, and the reference of every key
    Recipe(recipe::Args),
}

impl Cli {
    /// Does what was asked.
    pub fn run(self) -> Result<ExitCode> {
        match self.verb {
            Verb::Recipe(args) => recipe::run(args),
        }
    }
}
