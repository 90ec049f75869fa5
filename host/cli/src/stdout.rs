//! Standard output, which is for results.
//!
//! A reader that has seen enough and closed the pipe (`retune predict … | head`) ends the program
//! quietly; `println!` would panic.

use std::io::{ErrorKind, IsTerminal, Write};

use retune_roles::text::visible;
use retune_run::words::visible_json;

/// Writes `text` as it is.
pub fn text(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_ref().as_bytes()).and_then(|()| out.flush()) {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        // A full disk behind `> file`: the result is incomplete, so the exit code must say it.
        let _ = writeln!(std::io::stderr(), "cannot write to standard output: {error}");
        std::process::exit(1);
    }
}

/// Writes what a model says. On a terminal, control characters, which could rewrite the screen, are shown as marks.
pub fn said(text: &str) {
    if std::io::stdout().is_terminal() {
        self::text(visible(text));
    } else {
        self::text(text);
    }
}

/// Writes `text` and a line break.
pub fn line(text: impl AsRef<str>) {
    self::text(format!("{}\n", text.as_ref()));
}

/// Writes one JSON document.
pub fn json(value: &impl serde::Serialize) {
    // What is printed here has string keys and finite or null numbers only.
    line(visible_json(format!("{:#}", serde_json::to_value(value).unwrap_or_default())));
}
