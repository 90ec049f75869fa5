//! `retune model`: looks at a model without loading it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use retune_recipe::diagnostic::Result;
use retune_run::inspect::Inspected;

use crate::stdout;

/// Arguments of `retune model`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show family, sizes, layers, tokenizer, tasks and what training takes
    Inspect {
        /// A folder in Hugging Face's layout, or a config.json
        directory: PathBuf,
        /// Print the result as JSON on standard output
        #[arg(long)]
        json: bool,
    },
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let Verb::Inspect { directory, json } = &args.verb;
    let found = Inspected::read(directory)?;
    if *json {
        stdout::json(&found);
    } else {
        stdout::text(found.page());
    }
    Ok(ExitCode::SUCCESS)
}
