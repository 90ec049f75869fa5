//! `retune generate`: answers of a language model.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use retune_data::Columns;
use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_run::opened::Opened;
use retune_run::speaker::{Answer, Prompt, Speaker, reason};
use retune_run::words::{count, duration};
use retune_run::{Reporter, settings};
use retune_tensor::device::DeviceChoice;
use retune_train::generation::{Finish, NewToken};
use serde_json::json;

use super::common::Common;
use super::prompts::Prompts;
use super::sampling::Sampling;
use crate::console::Console;
use crate::stdout;

/// Arguments of `retune generate`.
#[derive(Debug, clap::Args)]
#[command(mut_arg("json", |arg| arg.help("Print one JSON object per prompt: text, tokens, and why the answer ended")))]
#[command(mut_arg("device", |arg| arg.help("Compute on this device: auto, cpu, cuda:0 [default: auto]")))]
pub struct Args {
    /// A run directory, a Hugging Face directory, or an adapter
    model: PathBuf,
    /// The base of an adapter [default: the folder that the adapter names]
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    #[command(flatten)]
    prompts: Prompts,
    /// Prompts that are answered together; answers do not depend on it
    #[arg(long, value_name = "N", default_value = "8")]
    batch_size: NonZeroUsize,
    #[command(flatten)]
    sampling: Sampling,
    #[command(flatten, next_help_heading = "Options")]
    pub(super) common: Common,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut console = args.common.console();
    let opened = Opened::open(&args.model, args.base.as_deref())?;
    let speaker = load(&opened, !args.prompts.raw, args.common.device)?;
    speaker.warnings.iter().for_each(|warning| console.warning(warning));
    let spec = args.sampling.over(speaker.defaults());
    if speaker.has_template() && opened.recipe().is_some_and(|recipe| recipe.data.chat.is_none()) {
        console.line("the run learnt without a chat template, and is asked with one; --raw asks without");
    }
    let columns = opened.recipe().map_or_else(Columns::default, |recipe| settings::data(recipe, None).columns);
    let prompts = args.prompts.read(&speaker, &columns, &console)?;

    // One answer is read as it comes; of several, a bar says how far they are, and each is printed when those before it were.
    let streams = prompts.len() == 1 && !args.common.json && std::io::stdout().is_terminal();
    let mut page = Page { prompts: &prompts, json: args.common.json, waiting: BTreeMap::new(), printed: 0 };
    let (began, mut tally) = (Instant::now(), Tally::default());
    let answered = speaker.answer(&prompts, &spec, args.batch_size.get(), &mut |token, text, answer| {
        tally.count(token);
        if streams {
            stdout::said(text);
        } else if prompts.len() > 1 {
            console.answers(tally.answers, prompts.len() as u64, tally.tokens, began.elapsed().as_secs_f64());
        }
        if let Some(answer) = answer.filter(|_| !streams) {
            console.aside(|| page.add(token.prompt, answer));
        }
        ControlFlow::Continue(())
    });
    console.clear();
    if streams && tally.tokens > 0 {
        stdout::line("");
    }
    answered?;
    tally.tell(&console, began.elapsed().as_secs_f64(), spec.max_new_tokens);
    Ok(ExitCode::SUCCESS)
}

/// Answers in the order of their prompts.
struct Page<'a> {
    prompts: &'a [Prompt],
    json: bool,
    /// Those that wait for earlier ones.
    waiting: BTreeMap<usize, Answer>,
    printed: usize,
}

impl Page<'_> {
    fn add(&mut self, place: usize, answer: Answer) {
        self.waiting.insert(place, answer);
        while let Some(answer) = self.waiting.remove(&self.printed) {
            self.print(&self.prompts[self.printed], &answer);
            self.printed += 1;
        }
    }

    fn print(&self, prompt: &Prompt, answer: &Answer) {
        if self.json {
            return stdout::line(as_json(prompt, answer).to_string());
        }
        if self.prompts.len() > 1 {
            stdout::line(format!("> {}", prompt.shown.replace(['\n', '\r'], " ")));
        }
        stdout::said(&format!("{}\n", answer.text));
    }
}

/// The model, on the device that was asked for.
pub(super) fn load(opened: &Opened, chat: bool, device: Option<DeviceChoice>) -> Result<Speaker> {
    let device = device
        .unwrap_or(DeviceChoice::Auto)
        .resolve()
        .map_err(|e| Diagnostic::new(e.to_string()).help("`retune doctor` shows what this machine has"))?;
    Speaker::load(opened, chat, &device)
}

fn as_json(prompt: &Prompt, answer: &Answer) -> serde_json::Value {
    let generation = &answer.generation;
    json!({
        "prompt": prompt.shown, "text": answer.text, "finish": reason(&generation.finish),
        "prompt_tokens": prompt.ids.len(), "tokens": generation.ids.len(), "ids": generation.ids,
    })
}

/// What was made, and what was cut of it.
#[derive(Default)]
struct Tally {
    tokens: u64,
    answers: u64,
    /// Ended by the most tokens, and by the model's positions.
    cut: [u64; 2],
}

impl Tally {
    fn count(&mut self, token: &NewToken) {
        self.tokens += 1;
        self.answers += u64::from(token.finish.is_some());
        self.cut[0] += u64::from(token.finish == Some(Finish::Length));
        self.cut[1] += u64::from(token.finish == Some(Finish::Positions));
    }

    fn tell(&self, console: &Console, seconds: f64, most: usize) {
        console.line(&format!(
            "generate  {} tokens in {}, {:.1} per second",
            count(self.tokens),
            duration(seconds),
            self.tokens as f64 / seconds.max(1e-9)
        ));
        let of = |cut: u64| format!("{cut} of {} answer{}", self.answers, if self.answers == 1 { "" } else { "s" });
        let [length, positions] = self.cut;
        if length > 0 {
            console.line(&format!("          {} ended at --max-new-tokens {most}, not by the model", of(length)));
        }
        if positions > 0 {
            console.warning(&format!("{} ended where the model's positions end", of(positions)));
        }
    }
}
