//! Lines that a person types, with editing keys and earlier lines on a terminal; elsewhere the lines of standard input.
//!
//! The terminal itself is opened for the keys and the prompt, so that neither stands among answers that go into a file. What is
//! pasted is one line, breaks and all, until Enter is pressed.

use std::io::{BufRead, IsTerminal};

use retune_recipe::diagnostic::{Diagnostic, Result};
use rustyline::config::Behavior;
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor};

/// How many earlier lines the arrow keys go through.
const EARLIER: usize = 100;

/// Where lines come from.
pub enum Lines {
    /// A person types them.
    Terminal(Box<Editor<(), MemHistory>>),
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
    /// There are no more: the end of the input, or Ctrl-D on an empty line.
    End,
}

impl Lines {
    /// Of standard input.
    ///
    /// # Errors
    /// The terminal cannot be used.
    pub fn open() -> Result<Self> {
        if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
            return Ok(Self::Input);
        }
        let editor = Config::builder()
            .max_history_size(EARLIER)
            .and_then(|config| config.history_ignore_dups(true))
            .map(|config| config.auto_add_history(true).behavior(Behavior::PreferTerm).build())
            .and_then(|config| {
                let history = MemHistory::with_config(&config);
                Editor::with_history(config, history)
            });
        Ok(Self::Terminal(Box::new(editor.map_err(cannot)?)))
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
            Self::Terminal(editor) => match editor.readline(&format!("{prompt}: ")) {
                Ok(line) => Ok(Line::Text(line)),
                Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
                Err(ReadlineError::Eof) => Ok(Line::End),
                Err(e) => Err(cannot(e)),
            },
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

fn cannot(e: impl std::error::Error) -> Diagnostic {
    Diagnostic::new("cannot read what is typed").because(e)
}
