//! The `retune` binary: one file per verb under `verb/`, no training logic of its own.
//!
//! Exit codes: 0 success, 1 something is wrong with the recipe, the data, a
//! plugin or the machine, 2 the command line cannot be read, 130 stopped by Ctrl-C,
//! 143 stopped by SIGTERM.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod console;
mod journal;
mod stderr;
mod stdout;
mod verb;

use std::process::ExitCode;

use clap::Parser;

use verb::Cli;

fn main() -> ExitCode {
    if let Some(code) = retune_sandbox::acceptance::requested() {
        return code;
    }
    retune_train::memory::keep_freed();
    retune_train::memory::compute_here();
    let cli = Cli::parse();
    journal::start(cli.verbosity());
    match cli.run() {
        Ok(code) => code,
        Err(diagnostic) => {
            stderr::diagnostic(&diagnostic);
            ExitCode::from(1)
        }
    }
}
