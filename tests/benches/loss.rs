//! What a sandboxed loss costs beside the same loss built in, and whether a long evaluation grows the process.
//!
//! ```text
//! cargo xtask plugins && cargo xtask get-minilm
//! cargo bench --workspace --bench loss --profile dev
//! ```
//!
//! Cost model. A training step of MiniLM with 16 rows of 32 tokens is about 70 GFLOP: hundreds of milliseconds on two
//! cores. A sandboxed loss does the same tensor operations on the same device; what it adds is the calls: entering the
//! guest once, and about ten host calls, each some lookups in a table. So the difference should be some ten microseconds
//! a step, and the ratio of whole steps should drown in noise. Both are measured: the call alone, thousands of times,
//! and whole steps (forward, loss, backward), taken in turn so that a busy machine is busy for both.
//!
//! The plugin is `label-smoothing` with smoothing 0, which is cross-entropy; the peer is the built-in cross-entropy.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use retune_roles::builtin::CrossEntropy;
use retune_roles::{Example, Loss, Metric, Progress, RoleKind, Sequence, Target};
use retune_sandbox::{Plugin, Sandbox, Setup};
use retune_tensor::{Device, random};
use retune_train::collate::Collation;
use retune_train::model::{Base, Model, Task, task_of_checkpoint};
use retune_train::training::step::{self, Shape};
use retune_train::training::workers::Alone;
use retune_train::{HeldOut, Silent, evaluate};
use serde_json::json;

const ROWS: usize = 16;
const TOKENS: usize = 32;
const CLASSES: usize = 77;
const STEPS: usize = 40;
const CALLS: usize = 4000;
const VALIDATION_BATCHES: usize = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    // As the binary begins: a step's time depends on what becomes of freed memory.
    retune_train::memory::keep_freed();
    retune_train::memory::compute_here();
    let device = Device::flex();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sandbox = Sandbox::new(None)?;
    let smoothing = plugin(&sandbox, &root, "label-smoothing")?;
    let mut wasm = loss(&smoothing, &device)?;
    let mut own = CrossEntropy::for_sequences();

    let base = std::env::var_os("RETUNE_MINILM").map_or_else(|| root.join("models/all-MiniLM-L6-v2"), PathBuf::from);
    let labels = (0..CLASSES).map(|class| format!("class {class}")).collect();
    let (model, _) = Model::load(&Base::Directory(base), &Task::SequenceClassification { labels }, 0, &device)?;
    let examples = rows(&model, ROWS, TOKENS, CLASSES);

    steps(&model, &examples, &mut own, wasm.as_mut())?;
    calls(&model, &examples, &mut own, wasm.as_mut())?;

    let report = plugin(&sandbox, &root, "classification-report")?;
    let setup = Setup::new(report.resolve_config(&json!({}))?, 0);
    validation(&root, wasm.as_mut(), vec![report.metric(&setup, &device)?], &device)
}

fn plugin(sandbox: &Sandbox, root: &Path, name: &str) -> Result<Plugin, Box<dyn Error>> {
    let path = root.join("target/plugins").join(format!("{name}.wasm"));
    if !path.is_file() {
        return Err(format!("{} is missing: run `cargo xtask plugins` first", path.display()).into());
    }
    Ok(sandbox.load(&path)?)
}

fn loss(plugin: &Plugin, device: &Device) -> Result<Box<dyn Loss>, Box<dyn Error>> {
    let setup = Setup::new(plugin.resolve_config(&json!({ "smoothing": 0.0 }))?, 0);
    Ok(plugin.loss(&setup, device)?)
}

/// Rows of random tokens, a little shorter one after the other, as a real batch is.
fn rows(model: &Model, count: usize, tokens: usize, classes: usize) -> Vec<Example> {
    let vocab = model.config().shape.vocab_size as u64;
    (0..count)
        .map(|row| {
            Example::new(
                format!("random:{}", row + 1),
                Sequence::of(
                    (0..tokens - row % 8)
                        .map(|at| (1 + random::bits(row as u64, at as u64) % (vocab - 1)) as u32)
                        .collect(),
                ),
                Target::Class((row % classes) as u32),
            )
        })
        .collect()
}

fn collation(model: &Model, loss: &dyn Loss) -> Result<Collation, Box<dyn Error>> {
    let mut collation = Collation::new(model.task(), &[]);
    collation.want(RoleKind::Loss, loss.name(), loss.wants())?;
    Ok(collation)
}

/// Whole steps in turn: A B, B A, A B, …
fn steps(model: &Model, examples: &[Example], own: &mut dyn Loss, wasm: &mut dyn Loss) -> Result<(), Box<dyn Error>> {
    let rows: Vec<&Example> = examples.iter().collect();
    let shape = Shape { batch_size: ROWS, dropout_seed: None, first: 0 };
    let (for_own, for_wasm) = (collation(model, own)?, collation(model, wasm)?);
    let (mut own_times, mut wasm_times) = (Vec::new(), Vec::new());
    for round in 0..STEPS + 2 {
        for turn in 0..2 {
            let builtin = (round + turn) % 2 == 0;
            let started = Instant::now();
            if builtin {
                step::compute(model, own, &for_own, &rows, shape, &Progress::default(), &Alone)?;
            } else {
                step::compute(model, wasm, &for_wasm, &rows, shape, &Progress::default(), &Alone)?;
            }
            if round >= 2 {
                if builtin { &mut own_times } else { &mut wasm_times }.push(started.elapsed().as_secs_f64());
            }
        }
    }
    let mut ratios: Vec<f64> = wasm_times.iter().zip(&own_times).map(|(wasm, own)| wasm / own).collect();
    let (own, wasm) = (median(&mut own_times), median(&mut wasm_times));
    println!("MiniLM, {ROWS} rows of up to {TOKENS} tokens, {STEPS} steps each, in turn: forward, loss, backward");
    println!("  built-in cross-entropy      median {:9.3} ms", own * 1e3);
    println!("  label-smoothing 0 in wasm   median {:9.3} ms", wasm * 1e3);
    println!("  ratio of medians {:.4}, median of paired ratios {:.4}", wasm / own, median(&mut ratios));
    Ok(())
}

/// The loss alone on one batch of logits that record their gradient.
fn calls(model: &Model, examples: &[Example], own: &mut dyn Loss, wasm: &mut dyn Loss) -> Result<(), Box<dyn Error>> {
    let rows: Vec<&Example> = examples.iter().collect();
    let input = model.input(&rows)?;
    let forward = model.forward(&model.weights(true), &input, None)?;
    let batch = collation(model, wasm)?.batch(&forward, &input, &rows, model.device())?;
    let (mut own_times, mut wasm_times) = (Vec::new(), Vec::new());
    for _ in 0..CALLS {
        let started = Instant::now();
        own.compute(&batch, &Progress::default())?;
        own_times.push(started.elapsed().as_secs_f64());
        let started = Instant::now();
        wasm.compute(&batch, &Progress::default())?;
        wasm_times.push(started.elapsed().as_secs_f64());
    }
    let (own, wasm) = (median(&mut own_times), median(&mut wasm_times));
    println!("The loss alone, {CALLS} calls each, in turn");
    println!("  built-in {:.1} µs, in wasm {:.1} µs, difference {:.1} µs", own * 1e6, wasm * 1e6, (wasm - own) * 1e6);
    Ok(())
}

/// Ten thousand batches through a plugin's loss and a plugin's metric.
fn validation(
    root: &Path,
    loss: &mut dyn Loss,
    mut metrics: Vec<Box<dyn Metric>>,
    device: &Device,
) -> Result<(), Box<dyn Error>> {
    let folder = root.join("tests/fixtures/bert-tiny");
    let task = task_of_checkpoint(&folder)?;
    let (model, _) = Model::load(&Base::Directory(folder), &task, 0, device)?;
    let examples = rows(&model, 4 * VALIDATION_BATCHES, 12, 5);
    let (tenth, all) = (&examples[..examples.len() / 10], &examples);
    evaluate(&model, &HeldOut::new(&tenth, 4), loss, &mut metrics, &mut Silent)?;
    let before = resident_mib()?;
    let started = Instant::now();
    evaluate(&model, &HeldOut::new(&all, 4), loss, &mut metrics, &mut Silent)?;
    let seconds = started.elapsed().as_secs_f64();
    println!("Evaluation of {VALIDATION_BATCHES} batches with a loss and a metric in wasm: {seconds:.1} s");
    println!(
        "  resident memory {before:.1} MiB after {} batches, {:.1} MiB at the end",
        VALIDATION_BATCHES / 10,
        resident_mib()?
    );
    Ok(())
}

fn resident_mib() -> Result<f64, Box<dyn Error>> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = statm.split(' ').nth(1).ok_or("statm has no second field")?.parse()?;
    Ok(pages * 4096.0 / f64::from(1 << 20))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
