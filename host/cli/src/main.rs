//! The `retune` binary: one file per verb under `verb/`, no training logic of its own.
//!
//! Exit codes: 0 success, 1 something is wrong with the recipe, the data, a
//! plugin or the machine, 2 the command line cannot be read, 130 interrupted.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod assembly;
mod casting;
mod complaint;
mod console;
mod course;
mod events;
mod interrupt;
mod journal;
mod machine;
mod manifest;
mod plan;
mod recipe;
mod report;
mod roster;
mod rundir;
mod self_check;
mod settings;
mod stdout;
mod summary;
mod trouble;
mod verb;
mod watcher;
mod words;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;

use complaint::Complaint;
use verb::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    journal::start();
    match cli.run() {
        Ok(code) => code,
        Err(complaint) => {
            // Nobody is left to tell when standard error is closed.
            let _ = write!(std::io::stderr(), "{}", rendered(&complaint));
            ExitCode::from(1)
        }
    }
}

/// A complaint for this process's standard error.
fn rendered(complaint: &Complaint) -> String {
    let terminal = std::io::stderr().is_terminal();
    let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    complaint.render(color, terminal.then_some(100))
}
