//! Running other programs, with one kind of error for all of them.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::Command;

/// Why a command stopped: one sentence, and what to do where that is known.
#[derive(Debug)]
pub struct Failed(String);

impl Failed {
    /// A failure with this message.
    pub fn new(message: impl Into<String>) -> Failed {
        Failed(message.into())
    }

    /// A file operation that went wrong.
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Failed {
        Failed(format!("cannot {doing} {}: {error}", path.display()))
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Prints the command, runs it with this terminal, and fails unless it exits with 0.
pub fn run(command: &mut Command) -> Result<(), Failed> {
    let line = line(command);
    eprintln!("$ {line}");
    let status = command.status().map_err(|error| cannot_start(&line, &error))?;
    if status.success() { Ok(()) } else { Err(Failed::new(format!("`{line}` ended with {status}"))) }
}

/// Runs the command silently and returns what it printed, without the final line break.
pub fn output(command: &mut Command) -> Result<String, Failed> {
    let line = line(command);
    let output = command.output().map_err(|error| cannot_start(&line, &error))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(Failed::new(format!("`{line}` ended with {}\n{}", output.status, complaint.trim_end())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

fn cannot_start(line: &str, error: &io::Error) -> Failed {
    Failed::new(format!("cannot start `{line}`: {error}"))
}

/// The command as one would type it. Quoting is for the reader, not for a shell.
fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| {
        let word = word.to_string_lossy();
        if word.contains(' ') { format!("'{word}'") } else { word.into_owned() }
    }));
    words.join(" ")
}
