//! Lines that a person types, with editing keys and earlier lines on a terminal; elsewhere the lines of standard input.

use std::io::{BufRead, ErrorKind, IsTerminal};

use dialoguer::{BasicHistory, Input};
use retune_recipe::diagnostic::{Diagnostic, Result};

/// Where lines come from.
pub enum Lines {
    /// A person types them; what was typed before.
    Terminal(BasicHistory),
    /// A pipe or a file.
    Input,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A line, without its break.
    Text(String),
    /// Ctrl-C while nothing is computed.
    Interrupted,
    /// There are no more.
    End,
}

impl Lines {
    /// Of standard input.
    pub fn open() -> Self {
        let typed = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if typed { Self::Terminal(BasicHistory::new().max_entries(100).no_duplicates(true)) } else { Self::Input }
    }

    /// Whether a person types.
    pub fn are_typed(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// The next one; `prompt` stands before what is typed.
    ///
    /// # Errors
    /// Standard input cannot be read, or is not UTF-8.
    pub fn next(&mut self, prompt: &str) -> Result<Line> {
        match self {
            Self::Terminal(history) => {
                let input = Input::<String>::new().with_prompt(prompt).allow_empty(true).history_with(history);
                match input.interact_text() {
                    Ok(line) => Ok(Line::Text(line)),
                    Err(dialoguer::Error::IO(e)) => match e.kind() {
                        ErrorKind::Interrupted => Ok(Line::Interrupted),
                        ErrorKind::UnexpectedEof => Ok(Line::End),
                        _ => Err(cannot(e)),
                    },
                }
            }
            Self::Input => {
                let mut line = String::new();
                match std::io::stdin().lock().read_line(&mut line) {
                    Ok(0) => Ok(Line::End),
                    Ok(_) => Ok(Line::Text(line.trim_end_matches(['\n', '\r']).to_owned())),
                    Err(e) => Err(cannot(e)),
                }
            }
        }
    }
}

fn cannot(e: std::io::Error) -> Diagnostic {
    Diagnostic::new("cannot read what is typed").because(e)
}
