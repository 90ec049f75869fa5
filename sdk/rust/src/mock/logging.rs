//! Log lines, kept for the test that wants them.

use std::cell::RefCell;

use crate::logging::Level;

thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

pub fn log(level: Level, message: &str, fields: &[(String, String)]) {
    let fields: String = fields.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    LINES.with_borrow_mut(|lines| lines.push((level, format!("{message}{fields}"))));
}

pub fn max_level() -> Level {
    Level::Trace
}

/// The lines of this thread since the last call.
pub fn take() -> Vec<(Level, String)> {
    LINES.take()
}
