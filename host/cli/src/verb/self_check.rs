//! `retune self-check`: does this build work on this device, and how fast is it?
//!
//! A developer's verb, called by the folder that `cargo xtask gpu-check` writes. Each check compares with something
//! that was computed elsewhere, or reports a rate; the exit code says whether all comparisons hold.

use std::path::PathBuf;
use std::process::ExitCode;

use retune_tensor::device::{self, DeviceChoice};

use crate::stdout;
use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_run::self_check::{Finding, agreement, arithmetic, parity, training};

/// Arguments of `retune self-check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to run: `cpu`, `cuda:0`
    #[arg(long, default_value = "auto")]
    device: String,
    /// Print one JSON object per line instead of a table
    #[arg(long)]
    json: bool,
    /// Folders with a model and the logits that transformers gave for it; a step of each is compared with the CPU's
    #[arg(long)]
    parity: Vec<PathBuf>,
    /// A config.json: time the training step of a Llama with random weights
    #[arg(long)]
    step_config: Option<PathBuf>,
    /// Rows of that step
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Tokens per row of that step
    #[arg(long, default_value_t = 256)]
    seq: usize,
    /// Timed steps
    #[arg(long, default_value_t = 5)]
    steps: u64,
    /// A config.json: train so small a model for `--memory-steps` steps and watch the memory
    #[arg(long)]
    memory_config: Option<PathBuf>,
    /// Steps over which memory may not grow
    #[arg(long, default_value_t = 1000)]
    memory_steps: u64,
}

/// Runs the checks that were asked for; arithmetic and the agreement of single kernels with the CPU's always.
pub fn run(args: &Args) -> Result<ExitCode> {
    let choice: DeviceChoice = args.device.parse().map_err(|error| Diagnostic::new(format!("{error}")))?;
    let device = choice.resolve().map_err(|error| Diagnostic::new(error.to_string()))?;
    let mut report = Report { json: args.json, failed: 0 };
    report.note(&device::describe(&device));

    report.all(arithmetic::check(&device)?);
    report.all(agreement::kernels(&device)?);
    for folder in &args.parity {
        report.all(parity::check(folder, &device)?);
        report.all(agreement::one_step(folder, &device)?);
    }
    if let Some(config) = &args.step_config {
        report.all(training::step(config, args.batch, args.seq, args.steps, &device)?);
    }
    if let Some(config) = &args.memory_config {
        report.all(training::memory(config, args.memory_steps, &device)?);
    }
    Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints findings as they come.
struct Report {
    json: bool,
    failed: usize,
}

impl Report {
    fn note(&self, text: &str) {
        if !self.json {
            stdout::line(text);
        }
    }

    fn all(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            self.failed += usize::from(!finding.holds());
            stdout::line(if self.json { finding.json() } else { finding.line() });
        }
    }
}
