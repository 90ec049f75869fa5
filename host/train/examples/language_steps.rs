//! Trains a language model on given token ids in a given order: `language_steps MODEL IDS.jsonl [steps] [rows] [rate]`.
//!
//! For a comparison with a peer that is given the same ids: a line of `IDS.jsonl` is one row, `{"prompt": [ids],
//! "completion": [ids]}`, of which the completion is learnt. Rows are taken in file order, from the top again when they end, and cut
//! at 512 tokens. AdamW without weight decay, gradient norm 1, a constant rate. A line is printed for each step (loss, seconds,
//! seconds of CPU time, real tokens), and then one JSON object with the mean of all steps but the first, and the peak memory.
//!
//! `tests/reference/language_steps.py` is that peer. Losses of the two agree to 1e-3 over ten steps.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use retune_roles::{Example, Sequence, Target};
use retune_tensor::{Device, fused};
use retune_train::model::{Base, Model, Task};
use retune_train::optimizer::adamw::{Optimizer, Rate};
use retune_train::optimizer::clip;
use retune_train::optimizer::gradients::Gradients;
use retune_train::spec::AdamW;

/// Tokens of a row at most.
const LONGEST: usize = 512;

/// Seconds of CPU time of this process so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// The most memory that this process has had resident, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() / 1024
}

fn row(number: usize, line: &str) -> Example {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let ids = |part: &str| line[part].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32);
    let prompt = ids("prompt").count() as u32;
    let ids: Vec<u32> = ids("prompt").chain(ids("completion")).take(LONGEST).collect();
    let learnt = std::iter::once(prompt.min(ids.len() as u32)..ids.len() as u32).collect();
    Example::new(number.to_string(), Sequence { ids, learnt, ..Sequence::default() }, Target::None)
}

fn main() {
    retune_train::memory::keep_freed();
    retune_train::memory::compute_here();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (steps, count) = (number(&arguments, 2, 10.0) as usize, number(&arguments, 3, 4.0) as usize);
    let learning_rate = number(&arguments, 4, 1e-4);
    let text = std::fs::read_to_string(&arguments[1]).unwrap();
    let rows: Vec<Example> = text.lines().enumerate().map(|(i, line)| row(i, line)).collect();
    let (mut model, _) =
        Model::load(&Base::Directory(arguments[0].clone().into()), &Task::CausalLm, 1, &Device::flex()).unwrap();
    let mut optimizer = Optimizer::new(AdamW::default(), model.parameters().len());
    let mut spent = Vec::new();
    for step in 0..steps {
        let batch: Vec<&Example> = (0..count).map(|i| &rows[(step * count + i) % rows.len()]).collect();
        let learnt: usize = batch.iter().flat_map(|row| &row.sequences).map(Sequence::learnt_tokens).sum();
        let (start, cpu_start) = (Instant::now(), cpu());
        let input = model.input(&batch).unwrap();
        let weights = model.weights(true);
        let forward = model.forward(&weights, &input, None).unwrap();
        let scores = fused::token_log_probs(&forward.logits, input.labels().unwrap().unwrap(), -100).unwrap();
        drop(forward);
        let loss = scores.sum(&[], false).unwrap().mul_scalar(-1.0).unwrap();
        let mut gradients = Gradients::none(model.parameters().len());
        gradients.add(weights.backward(&loss).unwrap()).unwrap();
        let mean = loss.item().unwrap() / learnt as f64;
        drop((weights, scores, loss));
        let norm = clip::global_norm(&gradients.squared_norms().unwrap()) / learnt as f64;
        let scale = clip::scale(norm, Some(1.0)) / learnt as f64;
        let rate = |_: &_| Rate { learning_rate, weight_decay: 0.0 };
        optimizer.update(model.parameters_mut(), gradients, scale, rate, false).unwrap();
        spent.push((start.elapsed().as_secs_f64(), cpu() - cpu_start));
        let (wall, cpu) = spent[step];
        println!("loss {mean:.5}, {wall:.2} s, {cpu:.2} s of CPU time, {} tokens, {learnt} learnt", input.tokens());
    }
    let later = &spent[1.min(spent.len())..];
    let mean = |part: fn(&(f64, f64)) -> f64| later.iter().map(part).sum::<f64>() / later.len().max(1) as f64;
    println!(
        "{{\"threads\": {}, \"seconds_per_step\": {:.3}, \"cpu_seconds_per_step\": {:.3}, \"peak_mib\": {}}}",
        rayon::current_num_threads(),
        mean(|s| s.0),
        mean(|s| s.1),
        peak()
    );
}

fn number(arguments: &[String], index: usize, default: f64) -> f64 {
    arguments.get(index).map_or(default, |argument| argument.parse().unwrap())
}
