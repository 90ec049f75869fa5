//! `retune generate`: answers of a language model.

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
use retune_train::generation::Finish;
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

    // One answer is read as it comes; of several, a bar says how far they are.
    let streams = prompts.len() == 1 && !args.common.json && std::io::stdout().is_terminal();
    let (began, mut tokens, mut done) = (Instant::now(), 0u64, 0u64);
    let answers = speaker.answer(&prompts, &spec, args.batch_size.get(), &mut |token, text| {
        tokens += 1;
        done += u64::from(token.finish.is_some());
        if streams {
            stdout::said(text);
        } else if prompts.len() > 1 {
            console.answers(done, prompts.len() as u64, tokens, began.elapsed().as_secs_f64());
        }
        ControlFlow::Continue(())
    });
    console.clear();
    let answers = answers?;
    for (prompt, answer) in prompts.iter().zip(&answers) {
        if args.common.json {
            stdout::line(as_json(prompt, answer).to_string());
        } else if streams {
            stdout::line("");
        } else {
            if prompts.len() > 1 {
                stdout::line(format!("> {}", prompt.shown.replace(['\n', '\r'], " ")));
            }
            stdout::said(&format!("{}\n", answer.text));
        }
    }
    tell(&console, &answers, tokens, began.elapsed().as_secs_f64(), spec.max_new_tokens);
    Ok(ExitCode::SUCCESS)
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

/// How fast it went, and what was cut.
fn tell(console: &Console, answers: &[Answer], tokens: u64, seconds: f64, most: usize) {
    let cut = |finish: &Finish| answers.iter().filter(|answer| answer.generation.finish == *finish).count();
    console.line(&format!(
        "generate  {} tokens in {}, {:.1} per second",
        count(tokens),
        duration(seconds),
        tokens as f64 / seconds.max(1e-9)
    ));
    let of = |cut: usize| format!("{cut} of {} answer{}", answers.len(), if answers.len() == 1 { "" } else { "s" });
    match cut(&Finish::Length) {
        0 => {}
        some => console.line(&format!("          {} ended at --max-new-tokens {most}, not by the model", of(some))),
    }
    match cut(&Finish::Positions) {
        0 => {}
        some => console.warning(&format!("{} ended where the model's positions end", of(some))),
    }
}
