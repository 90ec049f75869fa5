//! What `retune generate` is asked: texts of the command line, lines, or rows of a file.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use retune_data::record::Record;
use retune_data::source::Rows;
use retune_data::{Columns, Format, Source};
use retune_recipe::diagnostic::{Diagnostic, Result, listed, unreadable};
use retune_roles::Message;
use retune_run::Reporter;
use retune_run::speaker::{Prompt, Speaker};

use super::texts::{whole, with_standard_input};

/// Where prompts come from, and how they are written for the model.
#[derive(Debug, Default, clap::Args)]
pub struct Prompts {
    /// A prompt; may be given several times [default: standard input, one per line]
    #[arg(long, short, value_name = "TEXT", conflicts_with = "file")]
    prompt: Vec<String>,
    /// Read a file: JSONL, CSV and TSV by the columns `messages`, `prompt` or `text` (or those of the recipe), any other one prompt per line; `-` is standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How the file is written: csv, tsv, jsonl, text, lines [default: told by the file's name, else lines]
    #[arg(long, value_name = "FORMAT", requires = "file", conflicts_with = "prompt")]
    format: Option<Format>,
    /// What the model is told before each prompt, as a system message
    #[arg(long, value_name = "TEXT", conflicts_with = "raw")]
    system: Option<String>,
    /// Continue prompts as they stand, without the chat template
    #[arg(long)]
    pub raw: bool,
}

impl Prompts {
    /// All of them, in order. Without a chat template they are texts to go on with, which is told.
    ///
    /// # Errors
    /// There is none, a file cannot be read, or a prompt cannot be written for the model.
    pub fn read(&self, speaker: &Speaker, columns: &Columns, console: &dyn Reporter) -> Result<Vec<Prompt>> {
        if !self.raw && !speaker.has_template() {
            if self.system.is_some() {
                return Err(Diagnostic::new(
                    "--system: this model has no chat template, so it knows no system message",
                )
                .help(
                    "write what it is to know into the prompt, or put a chat_template.jinja into the model's folder",
                ));
            }
            console.line("this model has no chat template: prompts are continued as they stand, as by --raw");
        }
        let prompts = match &self.file {
            Some(path) if path.as_os_str() != "-" => self.of_file(path, speaker, columns)?,
            None if !self.prompt.is_empty() => self.of_texts(self.prompt.iter().map(String::as_str), speaker)?,
            _ => {
                if std::io::stdin().is_terminal() {
                    console.line("reading prompts from standard input, one per line; end with Ctrl-D");
                }
                match self.format.filter(|format| *format != Format::Lines) {
                    Some(format) => with_standard_input(format, |source| self.of_rows(source, speaker, columns))?,
                    None => self.of_texts(lines(&whole("standard input", std::io::stdin())?), speaker)?,
                }
            }
        };
        if prompts.is_empty() {
            return Err(Diagnostic::new("there is no prompt")
                .help("give one by --prompt TEXT, several by --file, or on standard input, one per line"));
        }
        Ok(prompts)
    }

    fn of_texts<'a>(&self, texts: impl Iterator<Item = &'a str>, speaker: &Speaker) -> Result<Vec<Prompt>> {
        texts.map(|text| self.of_text(text, speaker)).collect()
    }

    fn of_text(&self, text: &str, speaker: &Speaker) -> Result<Prompt> {
        if self.raw || !speaker.has_template() {
            return speaker.of_text(text);
        }
        let message = |role: &str, content: &str| Message { role: role.to_owned(), content: content.to_owned() };
        let system = self.system.iter().map(|system| message("system", system));
        speaker.of_messages(&system.chain([message("user", text)]).collect::<Vec<_>>())
    }

    fn of_file(&self, path: &Path, speaker: &Speaker, columns: &Columns) -> Result<Vec<Prompt>> {
        let mut source = Source::from(path);
        source.format = self.format;
        match source.resolved_format() {
            Ok(format @ (Format::Csv | Format::Tsv | Format::Jsonl)) => source.format = Some(format),
            _ if self.format.is_some_and(|format| format != Format::Lines) => {}
            _ => {
                let file = std::fs::File::open(path).map_err(|e| unreadable(path, &e))?;
                return self.of_texts(lines(&whole(&path.display().to_string(), file)?), speaker);
            }
        }
        std::fs::metadata(path).map_err(|e| unreadable(path, &e))?;
        self.of_rows(&source, speaker, columns)
    }

    fn of_rows(&self, source: &Source, speaker: &Speaker, columns: &Columns) -> Result<Vec<Prompt>> {
        let failed = |e: retune_data::DataError| Diagnostic::new(e.to_string()).help_some(e.help());
        let rows = Rows::open(source).map_err(failed)?;
        rows.map(|record| self.of_record(&record.map_err(failed)?, speaker, columns)).collect()
    }

    fn of_record(&self, record: &Record, speaker: &Speaker, columns: &Columns) -> Result<Prompt> {
        let messages = [columns.messages.as_deref(), Some("messages"), Some("conversations")];
        if let Some(column) = messages.into_iter().flatten().find(|column| record.get(column).is_some()) {
            if self.raw || self.system.is_some() {
                let flag = if self.raw { "--raw" } else { "--system" };
                return Err(Diagnostic::new(format!(
                    "{flag}: {} holds a conversation in column `{column}`",
                    record.key
                ))
                .help("a conversation brings its own turns; leave the flag out, or give texts"));
            }
            return speaker.of_row(record, column, columns.tools.as_deref());
        }
        let texts = [columns.prompt.as_deref(), Some("prompt"), Some(columns.text.as_str()), Some("text")];
        let Some(column) = texts.into_iter().flatten().find(|column| record.get(column).is_some()) else {
            let there = listed(record.fields.iter().map(|(name, _)| name.as_str()));
            return Err(Diagnostic::new(format!("{}: there is no column to ask", record.key))
                .help("expected `messages`, `prompt` or `text`, or a column that the run's recipe names")
                .help(format!("the columns there are: {there}")));
        };
        let text = record.text(column, column).map_err(|e| Diagnostic::new(e.to_string()).help_some(e.help()))?;
        self.of_text(&text, speaker)
    }
}

/// Lines with something on them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim().is_empty())
}
