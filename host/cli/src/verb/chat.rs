//! `retune chat`: a conversation with a language model, or with two beside each other.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use retune_recipe::BaseRef;
use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_roles::nearest::nearest;
use retune_run::Reporter;
use retune_run::dialogue::{Dialogue, Turn};
use retune_run::opened::Opened;
use retune_run::speaker::Speaker;
use retune_run::words::duration;
use retune_train::generation::{Finish, GenerationSpec};
use retune_train::model::peft::PeftDirectory;
use signal_hook::consts::SIGINT;

use super::common::Common;
use super::generate::load;
use super::lines::{Line, Lines};
use super::sampling::Sampling;
use crate::console::Console;
use crate::{stderr, stdout};

const HELP: &str = "\
/system TEXT  begin anew, with TEXT as what the model is told first; without TEXT: with nothing
/reset        begin anew
/help         this
/quit         end, as /exit and Ctrl-C twice do
Ctrl-C stops an answer. A line that begins with // is said with one of them.";

const COMMANDS: [&str; 5] = ["/system", "/reset", "/help", "/quit", "/exit"];

/// Arguments of `retune chat`.
#[derive(Debug, clap::Args)]
#[command(mut_arg("json", |arg| arg.hide(true)))]
#[command(mut_arg("device", |arg| arg.help("Compute on this device: auto, cpu, cuda:0 [default: auto]")))]
pub struct Args {
    /// A run directory, a Hugging Face directory, or an adapter
    model: PathBuf,
    /// Answer by the base model first, then by this one
    #[arg(long)]
    compare: bool,
    /// The base model, of an adapter or to compare with [default: what the run started from, or the adapter names]
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    /// What the model is told first, as a system message
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    sampling: Sampling,
    #[command(flatten, next_help_heading = "Options")]
    pub(super) common: Common,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let console = args.common.console();
    if args.common.json {
        return Err(Diagnostic::new("--json: a conversation is not JSON")
            .help("`retune generate --file chats.jsonl --json` answers conversations of a file"));
    }
    // A whole model has a base only to be compared with.
    let beside = args.base.as_deref().filter(|_| !args.compare || is_adapter(&args.model));
    let opened = Opened::open(&args.model, beside)?;
    let mut partners = Vec::new();
    if args.compare {
        let base = Opened::open(&base(&opened, args)?, None)?;
        partners.push(Partner::open("base", &base, args, &console)?);
    }
    let name = if args.compare { "tuned" } else { "model" };
    partners.push(Partner::open(name, &opened, args, &console)?);

    let mut lines = Lines::open()?;
    let stop = Arc::new(AtomicBool::new(false));
    if lines.are_typed() {
        // The first Ctrl-C stops an answer, a second one meanwhile the program; without a person both end it, as ever.
        let listen = signal_hook::flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(SIGINT, Arc::clone(&stop)));
        listen.map_err(|e| Diagnostic::new("cannot listen for Ctrl-C").because(e))?;
    }
    if lines.are_typed() {
        console.line("say something; /help lists what else can be done, /quit ends");
    }
    let mut interrupted = false;
    loop {
        let line = match lines.next("you")? {
            Line::Text(line) => line,
            Line::Interrupted if !interrupted => {
                console.line("once more, or /quit, ends the conversation");
                interrupted = true;
                // Where the key is a signal too, the next one is not the second of an answer.
                stop.store(false, Ordering::SeqCst);
                continue;
            }
            Line::Interrupted | Line::End => return Ok(ExitCode::SUCCESS),
        };
        interrupted = false;
        match Command::read(&line) {
            Ok(Command::Quit) => return Ok(ExitCode::SUCCESS),
            Ok(Command::Nothing) => {}
            Ok(Command::Help) => stdout::line(HELP),
            Ok(Command::Reset) => partners.iter_mut().for_each(|partner| partner.dialogue.reset()),
            Ok(Command::System(text)) => {
                partners.iter_mut().for_each(|partner| partner.dialogue.set_system(text.clone()));
            }
            Ok(Command::Say(text)) => {
                stop.store(false, Ordering::SeqCst);
                for partner in &mut partners {
                    // A conversation that is read from a file ends where it cannot go on; a person may try something else.
                    match partner.answer(&text, &stop, &console) {
                        Err(diagnostic) if !lines.are_typed() => return Err(diagnostic),
                        Err(diagnostic) => stderr::diagnostic(&diagnostic),
                        Ok(()) => {}
                    }
                    stop.store(false, Ordering::SeqCst);
                }
            }
            Err(diagnostic) => stderr::diagnostic(&diagnostic),
        }
    }
}

/// Whether what was given is an adapter, or a run that made one.
fn is_adapter(given: &Path) -> bool {
    PeftDirectory::is_one(given) || PeftDirectory::is_one(&given.join("model"))
}

/// Where the run of `opened` started from, unless the command line says it.
fn base(opened: &Opened, args: &Args) -> Result<PathBuf> {
    if let Some(base) = &args.base {
        return Ok(base.clone());
    }
    if let Some(base) = opened.trained.base() {
        return Ok(base.to_owned());
    }
    let Some(recipe) = opened.recipe() else {
        return Err(Diagnostic::new(format!(
            "--compare: `{}` is no run directory, so nothing says what it was tuned from",
            args.model.display()
        ))
        .help("name the base model: --base DIR"));
    };
    match recipe.model.start() {
        BaseRef::Directory(base) if base.is_dir() => Ok(base.to_owned()),
        BaseRef::Directory(base) => Err(Diagnostic::new(format!(
            "--compare: the run started from `{}`, which is not there any more",
            base.display()
        ))
        .help("say where it is now: --base DIR")),
        BaseRef::Config(config) => Err(Diagnostic::new(format!(
            "--compare: the run began with new weights, of `{}`: there is nothing to compare with",
            config.display()
        ))
        .help("leave --compare out, or name another model: --base DIR")),
    }
}

/// A model and what was said with it.
struct Partner {
    name: &'static str,
    speaker: Speaker,
    spec: GenerationSpec,
    dialogue: Dialogue,
}

impl Partner {
    fn open(name: &'static str, opened: &Opened, args: &Args, console: &Console) -> Result<Self> {
        let speaker = load(opened, true, args.common.device)?;
        if !speaker.has_template() {
            return Err(without_template(&opened.directory));
        }
        speaker.warnings.iter().for_each(|warning| console.warning(warning));
        let spec = args.sampling.over(speaker.defaults());
        Ok(Self { name, speaker, spec, dialogue: Dialogue::new(args.system.clone()) })
    }

    /// Prints the answer as it comes.
    fn answer(&mut self, text: &str, stop: &AtomicBool, console: &Console) -> Result<()> {
        let terminal = std::io::stdout().is_terminal();
        let mut begun = false;
        let began = Instant::now();
        let (mut tokens, mut first) = (0u32, 0.0);
        let mut begin = |name: &str| {
            if !std::mem::replace(&mut begun, true) {
                stdout::text(format!("{name}: "));
            }
        };
        let turn = self.dialogue.say(text, &self.speaker, &self.spec, &mut |_, text| {
            tokens += 1;
            if tokens == 1 {
                first = began.elapsed().as_secs_f64();
            }
            begin(self.name);
            if terminal {
                stdout::said(text);
            }
            if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let Turn { answer, forgotten } = match turn {
            Ok(turn) => turn,
            Err(diagnostic) => {
                if begun {
                    stdout::line("");
                }
                return Err(diagnostic);
            }
        };
        stdout::line(if terminal { "" } else { answer.text.as_str() });
        if forgotten > 0 {
            console.line(&format!(
                "          the oldest {forgotten} messages are forgotten: conversation and answer exceed the model's {} positions",
                self.speaker.positions()
            ));
        }
        match answer.generation.finish {
            Finish::Length => console.line(&format!(
                "          cut at --max-new-tokens {}; say \"go on\", or begin with more",
                self.spec.max_new_tokens
            )),
            Finish::Positions => console.line("          cut where the model's positions end; /reset begins anew"),
            Finish::Stopped => console.line("          stopped"),
            Finish::EndToken | Finish::StopString(_) => {}
        }
        if terminal {
            console.line(&format!("          {}", speed(tokens, first, began.elapsed().as_secs_f64())));
        }
        Ok(())
    }
}

/// How fast an answer came: what the question took, and each token after the first.
fn speed(tokens: u32, first: f64, all: f64) -> String {
    let waited = format!("the first after {}", duration(first));
    match tokens {
        0 | 1 => format!("{tokens} token{}, {waited}", if tokens == 1 { "" } else { "s" }),
        _ => {
            format!("{tokens} tokens, {waited}, then {:.1} per second", f64::from(tokens - 1) / (all - first).max(1e-9))
        }
    }
}

fn without_template(directory: &Path) -> Diagnostic {
    Diagnostic::new(format!(
        "`{}` has no chat template, so it does not know turns of a conversation",
        directory.display()
    ))
    .help("a model that was not trained on conversations continues texts: `retune generate --raw`")
    .help("where its authors name a template, put it into the folder as chat_template.jinja")
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Command {
    Say(String),
    System(Option<String>),
    Reset,
    Help,
    Quit,
    Nothing,
}

impl Command {
    fn read(line: &str) -> Result<Self> {
        let line = line.trim();
        let Some(rest) = line.strip_prefix('/') else {
            return Ok(if line.is_empty() { Self::Nothing } else { Self::Say(line.to_owned()) });
        };
        if rest.starts_with('/') {
            return Ok(Self::Say(rest.to_owned()));
        }
        let (word, text) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let text = text.trim();
        match word {
            "/system" => Ok(Self::System((!text.is_empty()).then(|| text.to_owned()))),
            "/reset" if text.is_empty() => Ok(Self::Reset),
            "/help" if text.is_empty() => Ok(Self::Help),
            "/quit" | "/exit" if text.is_empty() => Ok(Self::Quit),
            _ if COMMANDS.contains(&word) => {
                Err(Diagnostic::new(format!("`{word}` stands alone, and `{text}` follows it")).help(HELP))
            }
            _ => Err(Diagnostic::new(format!("there is no command `{word}`"))
                .help_some(nearest(word, COMMANDS).map(|near| format!("did you mean `{near}`?")))
                .help(HELP)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_is_told_apart_from_the_others() {
        assert_eq!(speed(31, 0.5, 2.0), "31 tokens, the first after 0.5 s, then 20.0 per second");
        assert_eq!(speed(1, 12.0, 12.0), "1 token, the first after 12 s");
    }

    #[test]
    fn a_line_is_a_command_or_is_said() {
        let read = |line: &str| Command::read(line).unwrap();
        assert_eq!(read("  Hi there "), Command::Say("Hi there".to_owned()));
        assert_eq!(read("//etc is a folder"), Command::Say("/etc is a folder".to_owned()));
        assert_eq!(read("/system  Be brief. "), Command::System(Some("Be brief.".to_owned())));
        assert_eq!(read("/system"), Command::System(None));
        assert_eq!(
            [read("/reset"), read("/help"), read("/quit"), read("/exit"), read("  ")],
            [Command::Reset, Command::Help, Command::Quit, Command::Quit, Command::Nothing]
        );
        let error = Command::read("/rest").unwrap_err().render(false, None);
        assert!(error.contains("there is no command `/rest`") && error.contains("did you mean `/reset`?"), "{error}");
        let error = Command::read("/quit now").unwrap_err().to_string();
        assert!(error.contains("`/quit` stands alone, and `now` follows it"), "{error}");
    }
}
