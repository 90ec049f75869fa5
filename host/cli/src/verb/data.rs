//! `retune data show`: rows as the model sees them, with what is learnt of them.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use retune_data::{Dataset, SplitName};
use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_roles::Rows;
use retune_run::Reporter;
use retune_run::assembly::Assembly;
use retune_run::shown::{Shown, ShownToken};
use retune_run::words::count;

use super::common::Common;
use crate::console::Verbosity;
use crate::stdout;
use crate::verb::set::Set;

/// Arguments of `retune data`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print rows token by token: what is only read, what is learnt, what is special
    Show(Show),
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The recipe
    recipe: PathBuf,
    #[command(flatten)]
    set: Set,
    /// How many rows
    #[arg(long, default_value_t = 3, value_name = "N")]
    rows: usize,
    /// How many rows to leave out before the first
    #[arg(long, default_value_t = 0, value_name = "N")]
    skip: usize,
    /// Of which rows: train, validation, test
    #[arg(long, default_value = "train", value_name = "SPLIT", value_parser = split)]
    split: SplitName,
    #[command(flatten)]
    common: Common,
}

fn split(text: &str) -> std::result::Result<SplitName, String> {
    let all = [SplitName::Train, SplitName::Validation, SplitName::Test];
    all.into_iter().find(|name| name.to_string() == text).ok_or_else(|| "expected train, validation or test".to_owned())
}

impl Args {
    /// How much is told on standard error.
    pub fn verbosity(&self) -> Verbosity {
        let Verb::Show(show) = &self.verb;
        show.common.verbosity()
    }
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let Verb::Show(show) = &args.verb;
    let recipe = show.common.on_device(show.set.load(&show.recipe)?);
    let mut console = show.common.console();
    let assembly = Assembly::new(&recipe)?;
    let prepared = assembly.prepare(&recipe, &mut console)?;
    let data: Option<&Dataset> = match show.split {
        SplitName::Train => Some(&prepared.train),
        SplitName::Validation => Some(&prepared.validation).filter(|rows| !rows.is_empty()),
        SplitName::Test => prepared.test.as_ref(),
    };
    let data = data.ok_or_else(|| {
        Diagnostic::new(format!("the recipe has no {} rows", show.split))
            .help("--split train shows those that are learnt")
    })?;
    if show.skip >= data.len() && show.rows > 0 {
        let (rows, skip) = (count(data.len() as u64), count(show.skip as u64));
        return Err(Diagnostic::new(format!("{} has {rows} rows, and --skip {skip} leaves them all out", show.split))
            .help("give a smaller number"));
    }
    let last = data.len().min(show.skip.saturating_add(show.rows));
    let shown = |row| Shown::new(&data.get(row), data.packed_keys(row), &prepared.labels, &assembly.tokenizer);
    let rows: Vec<Shown> = (show.skip..last).map(shown).collect();
    if show.common.json {
        stdout::json(&rows);
        return Ok(ExitCode::SUCCESS);
    }
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    stdout::text(page(&rows, colour));
    for warning in &prepared.report.warnings {
        console.warning(warning);
    }
    Ok(ExitCode::SUCCESS)
}

/// How tokens are set off from one another.
struct Ink {
    learnt: (&'static str, &'static str),
    special: (&'static str, &'static str),
    both: (&'static str, &'static str),
    read: (&'static str, &'static str),
}

const COLOURED: Ink = Ink {
    learnt: ("\u{1b}[32m", "\u{1b}[0m"),
    special: ("\u{1b}[35m", "\u{1b}[0m"),
    both: ("\u{1b}[1;35;42m", "\u{1b}[0m"),
    read: ("\u{1b}[2m", "\u{1b}[0m"),
};

/// Brackets around what is learnt; special tokens are known by their text.
const PLAIN: Ink =
    Ink { learnt: ("\u{27e6}", "\u{27e7}"), special: ("", ""), both: ("\u{27e6}", "\u{27e7}"), read: ("", "") };

fn page(rows: &[Shown], colour: bool) -> String {
    let ink = if colour { COLOURED } else { PLAIN };
    let mut out = match colour {
        true => format!(
            "{}only read{}  {}learnt{}  {}special{}  {}special and learnt{}\n",
            ink.read.0, ink.read.1, ink.learnt.0, ink.learnt.1, ink.special.0, ink.special.1, ink.both.0, ink.both.1
        ),
        false => "\u{27e6}learnt\u{27e7}, and what is only read\n".to_owned(),
    };
    for row in rows {
        let tokens: usize = row.sequences.iter().map(Vec::len).sum();
        let learnt: usize = row.sequences.iter().flatten().filter(|token| token.learnt).count();
        let _ = write!(out, "\n{}  {} tokens", row.key, count(tokens as u64));
        match (&row.label, learnt) {
            (Some(label), _) => _ = write!(out, ", label {label}"),
            (None, 0) => {}
            (None, learnt) => _ = write!(out, ", {} learnt", count(learnt as u64)),
        }
        out.push('\n');
        if !row.rows.is_empty() {
            out.insert_str(out.len() - 1, &format!(", {} rows packed", count(row.rows.len() as u64)));
        }
        for (number, sequence) in row.sequences.iter().enumerate() {
            if let Some(key) = row.rows.get(number) {
                let _ = writeln!(out, "-- {key}  {} tokens", count(sequence.len() as u64));
            }
            for run in sequence.chunk_by(|one, other| alike(one, other, colour)) {
                let (open, close) = match run.first().map(|token| (token.learnt, token.special)) {
                    Some((true, true)) => ink.both,
                    Some((true, false)) => ink.learnt,
                    Some((false, true)) => ink.special,
                    _ => ink.read,
                };
                out.push_str(open);
                run.iter().for_each(|token| out.push_str(&harmless(&token.text)));
                out.push_str(close);
                run.iter().filter_map(|token| token.tag.as_ref()).for_each(|tag| out.push_str(&format!("/{tag} ")));
            }
            out.push('\n');
        }
    }
    out
}

/// Without colours, special tokens are not set off, so that brackets are few.
fn alike(one: &ShownToken, other: &ShownToken, colour: bool) -> bool {
    let tagged = one.tag.is_some() || other.tag.is_some();
    !tagged && one.learnt == other.learnt && (!colour || one.special == other.special)
}

/// What a terminal would obey is shown in its place.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Shown> {
        let token =
            |text: &str, learnt, special| ShownToken { id: 1, text: text.to_owned(), learnt, special, tag: None };
        let sequence = vec![
            token("<user>", false, true),
            token("hi\u{1b}[31m", false, false),
            token("</s>", false, true),
            token(" hel", true, false),
            token("lo", true, false),
            token("</s>", true, true),
            token("\n", false, false),
        ];
        vec![Shown { key: "t.jsonl:1".to_owned(), rows: Vec::new(), label: None, sequences: vec![sequence] }]
    }

    #[test]
    fn packed_rows_are_shown_apart_each_with_its_key() {
        let token = |text: &str| ShownToken { id: 1, text: text.to_owned(), learnt: true, special: false, tag: None };
        let packed = Shown {
            key: "t.jsonl:4@0".to_owned(),
            rows: vec!["t.jsonl:4".to_owned(), "t.jsonl:1".to_owned()],
            label: None,
            sequences: vec![vec![token("a"), token("b")], vec![token("c")]],
        };
        assert_eq!(
            page(&[packed], false),
            "⟦learnt⟧, and what is only read\n\nt.jsonl:4@0  3 tokens, 3 learnt, 2 rows packed\n-- t.jsonl:4  2 tokens\n\
             ⟦ab⟧\n-- t.jsonl:1  1 tokens\n⟦c⟧\n"
        );
    }

    #[test]
    fn words_are_followed_by_their_tags() {
        let token = |text: &str, tag: Option<&str>| ShownToken {
            id: 1,
            text: text.to_owned(),
            learnt: tag.is_some(),
            special: false,
            tag: tag.map(str::to_owned),
        };
        let sequence =
            vec![token("[CLS]", None), token(" EU", Some("B-ORG")), token(" re", Some("O")), token("jects", None)];
        let rows = [Shown { key: "t.jsonl:1".to_owned(), label: None, sequences: vec![sequence], rows: Vec::new() }];
        assert!(
            page(&rows, false).contains("[CLS]\u{27e6} EU\u{27e7}/B-ORG \u{27e6} re\u{27e7}/O jects\n"),
            "{}",
            page(&rows, false)
        );
    }

    #[test]
    fn what_is_learnt_is_seen_with_colours_and_without() {
        assert_eq!(
            page(&rows(), false),
            "⟦learnt⟧, and what is only read\n\nt.jsonl:1  7 tokens, 3 learnt\n<user>hi\u{fffd}[31m</s>⟦ hello</s>⟧\n\n"
        );
        assert_eq!(
            page(&rows(), true).replace('\u{1b}', "^"),
            "^[2monly read^[0m  ^[32mlearnt^[0m  ^[35mspecial^[0m  ^[1;35;42mspecial and learnt^[0m\n\nt.jsonl:1  7 tokens, 3 \
             learnt\n^[35m<user>^[0m^[2mhi\u{fffd}[31m^[0m^[35m</s>^[0m^[32m hello^[0m^[1;35;42m</s>^[0m^[2m\n^[0m\n"
        );
    }
}
