//! The real training loop on random tokens: how long a step takes, and whether memory stays where it is.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use retune_roles::builtin::CrossEntropy;
use retune_roles::{Example, Sequence, Target};
use retune_tensor::{Device, device, random};
use retune_train::model::{Base, Model, Task};
use retune_train::{
    AdamW, CheckpointSpec, EvaluationSpec, Every, LrScheduler, Roles, SchedulerName, TrainEvent, TrainSpec, Trainer,
};

use super::finding::Finding;
use retune_recipe::diagnostic::{Diagnostic, Result};

/// Steps before anything is measured: kernels are compiled, pools filled.
const WARMUP: u64 = 3;

/// Seconds and tokens per second of one training step of the model that `config` describes.
pub fn step(config: &Path, batch: usize, seq: usize, steps: u64, device: &Device) -> Result<Vec<Finding>> {
    let mut seconds = Vec::new();
    let mut losses = Vec::new();
    let mut last = Instant::now();
    train(config, batch, seq, WARMUP + steps, device, |step, loss| {
        if step > WARMUP {
            seconds.push(last.elapsed().as_secs_f64());
        }
        losses.push(loss);
        last = Instant::now();
    })?;
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN);
    let fallen = match (losses.first(), losses.last()) {
        (Some(first), Some(last)) => last - first,
        _ => f64::NAN,
    };
    let name = config.file_stem().unwrap_or_default().to_string_lossy();
    Ok(vec![
        Finding::rate(format!("training step of {name}, {batch} rows of {seq} tokens"), median, "s"),
        Finding::rate(format!("throughput of {name}"), (batch * seq) as f64 / median, "tokens/s"),
        Finding::bounded(format!("change of the loss of {name} on the same rows"), fallen, "", 0.0),
    ])
}

/// Memory at the end of `steps` small steps, beside that after a tenth of them.
pub fn memory(config: &Path, steps: u64, device: &Device) -> Result<Vec<Finding>> {
    let early_at = steps.div_ceil(10);
    let (mut early, mut late) = (f64::NAN, f64::NAN);
    train(config, 4, 32, steps, device, |step, _| {
        if step == early_at {
            early = memory_mib(device).unwrap_or(f64::NAN);
        } else if step == steps {
            late = memory_mib(device).unwrap_or(f64::NAN);
        }
    })?;
    Ok(vec![
        Finding::rate(format!("memory after {early_at} steps"), early, "MiB"),
        Finding::bounded(format!("memory after {steps} steps"), late, "MiB", (early * 1.05).max(early + 32.0)),
    ])
}

/// Trains on rows of random tokens and tells `each` the number and the loss of every step.
fn train(
    config: &Path,
    batch: usize,
    seq: usize,
    steps: u64,
    device: &Device,
    mut each: impl FnMut(u64, f64),
) -> Result<()> {
    let (model, _) = Model::load(&Base::Config(config.to_owned()), &Task::CausalLm, 0, device).map_err(failed)?;
    let rows: Vec<Example> = (0..batch).map(|row| random_row(row, seq, model.config().shape.vocab_size)).collect();
    let scratch = tempfile::tempdir().map_err(failed)?;
    let spec = TrainSpec {
        epochs: u32::try_from(steps).unwrap_or(u32::MAX),
        batch_size: batch,
        optimizer: AdamW { learning_rate: 1e-4, ..AdamW::default() },
        lr_scheduler: LrScheduler { name: SchedulerName::Constant, warmup_steps: Some(0), warmup_ratio: None },
        evaluation: EvaluationSpec { every: Every::Never, ..EvaluationSpec::default() },
        checkpoint: CheckpointSpec { directory: scratch.path().to_owned(), every_steps: Some(u64::MAX), keep: 1 },
        ..TrainSpec::default()
    };
    let roles = Roles::new(Box::new(CrossEntropy::for_tokens()));
    let trainer = Trainer::new(model, spec, roles, &rows, &[]).map_err(failed)?;
    let mut watch = |event: &TrainEvent| {
        if let TrainEvent::Step { step, loss, .. } = event {
            each(*step, *loss);
        }
        ControlFlow::Continue(())
    };
    trainer.run(&mut watch).map(drop).map_err(failed)
}

fn random_row(row: usize, seq: usize, vocab_size: usize) -> Example {
    let token = |at: usize| (random::bits(row as u64, at as u64) % vocab_size as u64) as u32;
    Example::new(format!("random:{row}"), Sequence::text((0..seq).map(token).collect()), Target::None)
}

/// What the process holds (CPU), or what is in use on the GPU.
fn memory_mib(on: &Device) -> Option<f64> {
    if *on == Device::flex() {
        let pages: f64 = fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
        return Some(pages * 4096.0 / f64::from(1 << 20));
    }
    let described = device::describe(on);
    let query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id"];
    let output = Command::new("nvidia-smi").args(query).arg(card(&described)?).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// The number of a GPU that is described as `cuda:1 (NVIDIA H200)`.
fn card(described: &str) -> Option<&str> {
    described.strip_prefix("cuda:")?.split(' ').next()
}

fn failed(error: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::new("training failed on this device").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_asked_for_by_its_number_and_not_by_that_of_its_model() {
        assert_eq!(card("cuda:1 (NVIDIA H200)"), Some("1"));
        assert_eq!(card("cuda:0"), Some("0"));
        assert_eq!(card("cpu (8 threads)"), None);
    }
}
