//! The `retune` binary: one file per verb under `verb/`, no training logic of its own.
//!
//! Exit codes: 0 success, 1 something is wrong with the recipe, the data, a
//! plugin or the machine, 2 the command line cannot be read, 130 stopped by Ctrl-C,
//! 143 stopped by SIGTERM.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod console;
mod journal;
mod stdout;
mod verb;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;

use retune_recipe::diagnostic::Diagnostic;
use verb::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    journal::start(cli.verbosity());
    match cli.run() {
        Ok(code) => code,
        Err(diagnostic) => {
            // Nobody is left to tell when standard error is closed.
            let _ = write!(std::io::stderr(), "{}", rendered(&diagnostic));
            ExitCode::from(1)
        }
    }
}

/// A diagnostic for this process's standard error.
fn rendered(diagnostic: &Diagnostic) -> String {
    let terminal = std::io::stderr().is_terminal();
    let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    diagnostic.render(color, terminal.then_some(100))
}
