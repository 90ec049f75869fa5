//! Where log lines go: what plugins say, and what the host says about them.
//!
//! `RETUNE_LOG` sets what is shown (`RETUNE_LOG=plugin=info` to hear plugins out,
//! `RETUNE_LOG=debug`); left out, warnings and errors, with `-qq` errors only.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::console::Verbosity;

/// The environment variable.
const VARIABLE: &str = "RETUNE_LOG";

/// Starts listening; to be called once.
pub fn start(verbosity: Verbosity) {
    let default = if verbosity == Verbosity::Errors { "error" } else { "warn" };
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(default));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour).without_time();
    // A second start would be refused; the first one goes on.
    let _ = lines.try_init();
}
