//! The `retune` binary: one file per verb under `verb/`, no training logic of its own.
//!
//! Exit codes: 0 success, 1 something is wrong with the recipe, the data, a
//! plugin or the machine, 2 the command line cannot be read, 130 interrupted.

mod complaint;
mod nearest;
mod recipe;
mod verb;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use verb::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    match cli.run() {
        Ok(code) => code,
        Err(complaint) => {
            eprint!("{}", complaint.render(color, 100));
            ExitCode::from(1)
        }
    }
}
