//! Standard error, which is for what is wrong and for what happens meanwhile.

use std::io::{IsTerminal, Write};

use retune_recipe::diagnostic::Diagnostic;

/// What is wrong, in colour and wrapped where a person reads along.
pub fn diagnostic(diagnostic: &Diagnostic) {
    let terminal = std::io::stderr().is_terminal();
    let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    // Nobody is left to tell when standard error is closed.
    let _ = write!(std::io::stderr(), "{}", diagnostic.render(color, terminal.then_some(100)));
}

/// A line from another thread than the one that reports progress. On a terminal it takes the place of the
/// bar, which is drawn again below it.
pub fn tell(text: &str) {
    let mut err = std::io::stderr();
    let begin = if err.is_terminal() { "\r\u{1b}[2K" } else { "" };
    let _ = writeln!(err, "{begin}{text}");
}
