//! `retune self-check`: does this build compute right on this device, and how fast is it?
//!
//! Each check compares with something that was computed elsewhere, or reports a rate; the exit code says whether all comparisons
//! hold. Without arguments the other side is the CPU of the same machine. The folder that `cargo xtask gpu-check` writes calls it with
//! the results of transformers and peft, and with sizes that take time.

use std::path::PathBuf;
use std::process::ExitCode;

use retune_tensor::Device;
use retune_tensor::device::{self, DeviceChoice};

use crate::stdout;
use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_run::self_check::table::{header, table};
use retune_run::self_check::{Finding, arithmetic, families, fixtures, kernels, training};

const EXAMPLES: &str = "Examples:
  retune self-check --device cuda:0          # what the GPU computes, beside the CPU
  retune self-check --fixtures tests/fixtures/families   # beside transformers, in a checkout of retune";

/// Arguments of `retune self-check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Check this device: auto, cpu, cuda:0. A CPU is also checked for the operations that a GPU runs
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: DeviceChoice,
    /// Print one JSON object per comparison instead of a table
    #[arg(long)]
    json: bool,
    /// Compare with what transformers or peft gave: a folder with `expected.safetensors` beside a model or an adapter, or one
    /// around such folders; the checks beside the CPU are then left out
    #[arg(long, value_name = "DIR")]
    fixtures: Vec<PathBuf>,
    /// A config.json: time the training step of this language model with random weights
    #[arg(long, value_name = "FILE")]
    step_config: Option<PathBuf>,
    /// Rows of that step
    #[arg(long, value_name = "N", default_value_t = 8)]
    batch: usize,
    /// Tokens per row of that step
    #[arg(long, value_name = "N", default_value_t = 256)]
    seq: usize,
    /// Timed steps
    #[arg(long, value_name = "N", default_value_t = 5)]
    steps: u64,
    /// A config.json: train so small a model for `--memory-steps` steps and watch the memory
    #[arg(long, value_name = "FILE")]
    memory_config: Option<PathBuf>,
    /// Steps over which memory may not grow
    #[arg(long, value_name = "N", default_value_t = 1000)]
    memory_steps: u64,
}

/// Runs the checks that were asked for; without any, those beside the CPU.
pub fn run(args: &Args) -> Result<ExitCode> {
    let device = args
        .device
        .resolve()
        .map_err(|error| Diagnostic::new(error.to_string()).help("`retune doctor` shows what this machine has"))?;
    let mut report = Report { json: args.json, made: 0, failed: 0 };
    let described = device::describe(&device);
    report.note(&[&described, "", &header()]);
    compare(args, &device, &mut report)?;
    if report.failed > 0 {
        let (failed, made) = (report.failed, report.made);
        let current = "`retune doctor` shows driver, NVRTC and headers; bring them up to date and check again";
        let folders = match args.fixtures.is_empty() {
            true => "",
            false => ", when the folders of `--fixtures` are as they came",
        };
        return Err(Diagnostic::new(format!("{failed} of {made} comparisons failed on {described}"))
            .help("do not train on this device: its results would be wrong")
            .help_some((device != Device::flex()).then_some(current))
            .help(format!("report it with the output of `retune self-check --json`{folders}")));
    }
    report.note(&["", &format!("all {} comparisons hold", report.made)]);
    Ok(ExitCode::SUCCESS)
}

fn compare(args: &Args, device: &Device, report: &mut Report) -> Result<()> {
    let timed = args.step_config.is_some() || args.memory_config.is_some();
    if args.fixtures.is_empty() && !timed {
        report.all(&arithmetic::check(device)?);
        report.all(&kernels::check(device)?);
        report.all(&families::check(device)?);
    }
    let mut found = Vec::new();
    for folder in &args.fixtures {
        found.extend(fixtures::check(folder, device)?);
    }
    report.all(&found);
    if let Some(config) = &args.step_config {
        report.all(&training::step(config, args.batch, args.seq, args.steps, device)?);
    }
    if let Some(config) = &args.memory_config {
        report.all(&training::memory(config, args.memory_steps, device)?);
    }
    Ok(())
}

/// Prints findings as they come.
struct Report {
    json: bool,
    made: usize,
    failed: usize,
}

impl Report {
    fn note(&self, lines: &[&str]) {
        if !self.json {
            lines.iter().for_each(stdout::line);
        }
    }

    fn all(&mut self, findings: &[Finding]) {
        self.made += findings.iter().filter(|finding| finding.is_comparison()).count();
        self.failed += findings.iter().filter(|finding| !finding.holds()).count();
        let lines = if self.json { findings.iter().map(Finding::json).collect() } else { table(findings) };
        lines.iter().for_each(stdout::line);
    }
}
