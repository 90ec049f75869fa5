//! The command line: what can be asked of retune.

mod cache;
mod chat;
mod common;
mod data;
mod doctor;
mod evaluate;
mod generate;
mod lines;
mod merge;
mod model;
mod plan;
mod plugin;
mod predict;
mod prepare;
mod prompts;
mod recipe;
mod report;
mod resume_check;
mod run;
mod sampling;
mod scores;
mod self_check;
mod set;
mod texts;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use retune_recipe::diagnostic::Result;

use crate::console::Verbosity;

const ENVIRONMENT: &str = "Environment:
  RETUNE_CACHE  where prepared data and compiled plugins are kept; `retune doctor` shows the place
  RETUNE_CACHE_SIZE  how much prepared data may take, such as 20GiB [default: 10GiB]; `retune cache` lists it
  RETUNE_LOG    what is logged: warn, plugin=info (what plugins say), debug
  NO_COLOR      no colours

A new recipe: retune recipe list, retune recipe show NAME > my.toml, retune recipe keys";

/// Fine-tunes language models; what you want to change comes in as sandboxed plugins.
#[derive(Debug, Parser)]
#[command(name = "retune", version, arg_required_else_help = true, after_help = ENVIRONMENT)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a recipe: prepare, train, evaluate, test, export, report
    Run(run::Args),
    /// Train and export only, without evaluating before, after or on the test set
    Train(run::Args),
    /// Read and preprocess the data, and account for every row
    Prepare(prepare::Args),
    /// Look at rows as the model sees them
    Data(data::Args),
    /// Forecast memory, steps and time of a recipe without training, and what would make it fit
    Plan(plan::Args),
    /// Look at models
    Model(model::Args),
    /// Evaluate a trained model on a file
    Evaluate(evaluate::Args),
    /// Label texts with a trained model
    Predict(predict::Args),
    /// Answer prompts with a language model
    Generate(generate::Args),
    /// Talk with a language model, or with it and its base beside each other
    Chat(chat::Args),
    /// Make one model of an adapter and its base
    Merge(merge::Args),
    /// Rebuild the report of a run
    Report(report::Args),
    /// Inspect plugins
    Plugin(plugin::Args),
    /// List, show and check recipes
    Recipe(recipe::Args),
    /// List or remove the prepared rows that are kept from run to run
    Cache(cache::Args),
    /// Show what this machine can do, and what is missing for more
    Doctor(doctor::Args),
    /// Kill and resume short runs of a recipe, and compare their bytes with one that was left alone
    ResumeCheck(resume_check::Args),
    /// Check that a device computes right: beside the CPU, or beside transformers
    SelfCheck(self_check::Args),
}

impl Cli {
    /// How much the verb tells on standard error.
    pub fn verbosity(&self) -> Verbosity {
        match &self.verb {
            Verb::Run(args) | Verb::Train(args) => args.common.verbosity(),
            Verb::Prepare(args) => args.common.verbosity(),
            Verb::Data(args) => args.verbosity(),
            Verb::Plan(args) => args.common.verbosity(),
            Verb::Evaluate(args) => args.common.verbosity(),
            Verb::Predict(args) => args.common.verbosity(),
            Verb::ResumeCheck(args) => args.common.verbosity(),
            Verb::Generate(args) => args.common.verbosity(),
            Verb::Chat(args) => args.common.verbosity(),
            Verb::Merge(_)
            | Verb::Model(_)
            | Verb::Report(_)
            | Verb::Plugin(_)
            | Verb::Recipe(_)
            | Verb::Cache(_)
            | Verb::Doctor(_)
            | Verb::SelfCheck(_) => Verbosity::Progress,
        }
    }

    /// Does what was asked.
    pub fn run(self) -> Result<ExitCode> {
        match self.verb {
            Verb::Run(args) => run::run(args, true),
            Verb::Train(args) => run::run(args, false),
            Verb::Prepare(args) => prepare::run(&args),
            Verb::Data(args) => data::run(&args),
            Verb::Plan(args) => plan::run(&args),
            Verb::Model(args) => model::run(&args),
            Verb::Evaluate(args) => evaluate::run(args),
            Verb::Predict(args) => predict::run(&args),
            Verb::Generate(args) => generate::run(&args),
            Verb::Chat(args) => chat::run(&args),
            Verb::Merge(args) => merge::run(&args),
            Verb::Report(args) => report::run(&args),
            Verb::Plugin(args) => plugin::run(&args),
            Verb::Recipe(args) => recipe::run(args),
            Verb::Cache(args) => cache::run(&args),
            Verb::Doctor(args) => doctor::run(&args),
            Verb::ResumeCheck(args) => resume_check::run(&args),
            Verb::SelfCheck(args) => self_check::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// Every page of `--help`, one after the other.
    fn help(command: &mut clap::Command, out: &mut String) {
        out.push_str(&command.render_long_help().to_string());
        for verb in command.get_subcommands_mut() {
            help(verb, out);
        }
    }

    /// "one a line" for "one per line" and its like are read twice by everybody but those who wrote them.
    #[test]
    fn what_a_user_reads_is_in_the_words_of_the_field() {
        let mut pages = String::new();
        help(&mut Cli::command(), &mut pages);
        for recipe in retune_recipe::embedded::RECIPES {
            pages.push_str(recipe.text);
        }
        for page in [
            include_str!("../../../../README.md"),
            include_str!("../../../../sdk/rust/README.md"),
            include_str!("../../../../wit/README.md"),
            include_str!("../../../../plugins/answer-length/README.md"),
            include_str!("../../../../plugins/chrf/README.md"),
            include_str!("../../../../plugins/classification-report/README.md"),
            include_str!("../../../../plugins/dedup/README.md"),
            include_str!("../../../../plugins/focal/README.md"),
            include_str!("../../../../plugins/gradual-unfreezing/README.md"),
            include_str!("../../../../plugins/label-smoothing/README.md"),
            include_str!("../../../../plugins/layerwise-lr/README.md"),
            include_str!("../../../../plugins/perplexity/README.md"),
            include_str!("../../../../plugins/text-clean/README.md"),
        ] {
            pages.push_str(page);
        }
        let pages = pages.replace("here is no ", "");
        for unclear in [
            " a micro-batch.",
            "one a ",
            "object a ",
            "once a ",
            "numbers a ",
            "parameters learn",
            "mended",
            "is no ",
            "opened once",
            "Looks into",
            "Everything random",
        ] {
            assert!(!pages.contains(unclear), "`{unclear}` in {}", around(&pages, unclear));
        }
    }

    /// The line of `text` that holds `part`.
    fn around<'a>(text: &'a str, part: &str) -> &'a str {
        text.lines().find(|line| line.contains(part)).unwrap_or_default()
    }
}
