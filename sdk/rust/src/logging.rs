//! Log lines, kept with the run.
//!
//! Under `cargo test` they are collected instead; see
//! [`testing::logs`](crate::testing::logs).

#[cfg(target_arch = "wasm32")]
use crate::bindings::host::retune::plugin::logging as backend;
#[cfg(not(target_arch = "wasm32"))]
use crate::mock::logging as backend;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

/// Writes a line with structured fields.
pub fn log(level: Level, message: &str, fields: &[(String, String)]) {
    backend::log(level.into(), message, fields);
}

/// The least level the host keeps: skip what is costly to say below it.
pub fn max_level() -> Level {
    backend::max_level().into()
}

/// A line about detail.
pub fn debug(message: impl AsRef<str>) {
    log(Level::Debug, message.as_ref(), &[]);
}

/// A line worth knowing.
pub fn info(message: impl AsRef<str>) {
    log(Level::Info, message.as_ref(), &[]);
}

/// A line that somebody should look at.
pub fn warn(message: impl AsRef<str>) {
    log(Level::Warn, message.as_ref(), &[]);
}
