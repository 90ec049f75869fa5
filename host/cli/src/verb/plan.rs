//! `retune plan`: what a run will take, before it is begun.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use retune_recipe::diagnostic::Result;
use retune_run::forecast::Forecast;
use retune_run::words::parse_bytes;
use retune_run::{Interrupt, forecast};

use super::common::Common;
use crate::verb::set::Set;
use crate::{stderr, stdout};

/// Arguments of `retune plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The recipe
    recipe: PathBuf,
    #[command(flatten)]
    set: Set,
    /// The memory that there is, such as 8GiB [default: what this machine has free, for a run on the CPU]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    memory: Option<u64>,
    /// Read no data: take every row to be as long as data.max_length
    #[arg(long, conflicts_with = "measure")]
    without_data: bool,
    /// Load the model and run so many steps, to tell the time; nothing of them is kept
    #[arg(long, value_name = "STEPS", num_args = 0..=1, require_equals = true, default_missing_value = "4", value_parser = clap::value_parser!(u64).range(2..))]
    measure: Option<u64>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let recipe = args.common.on_device(args.set.load(&args.recipe)?);
    let mut console = args.common.console();
    let forecast: Forecast = match args.measure {
        Some(steps) => {
            let interrupt = Interrupt::listen(stderr::tell)?;
            forecast::measured(&recipe, steps, args.memory, &interrupt, &mut console)?
        }
        None => forecast::of(&recipe, args.without_data, args.memory, &mut console)?,
    };
    if args.common.json {
        stdout::json(&forecast);
    } else {
        stdout::text(forecast.page(std::io::stdout().is_terminal()));
    }
    Ok(ExitCode::SUCCESS)
}
