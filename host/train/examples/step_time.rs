//! Times a whole optimiser step: `step_time DIRECTORY [rows] [tokens] [frozen blocks]`.
//!
//! `tokens` is the length of every row, `32`, or a range that the rows spread over, `8-40`. A
//! step is forward, backward, the gradient's norm and AdamW. CPU time is printed beside wall time, so that a busy
//! machine does not mislead, and beside both the *floor*: the time that the matrix products of the real tokens
//! take alone, 6 x tokens x parameters that every token is multiplied by, at the rate of a product of this
//! model's size measured in the same process on as many threads (`RAYON_NUM_THREADS`).
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use burn::tensor::{Distribution, Tensor};
use retune_roles::{Example, Sequence, Target};
use retune_tensor::{Device, fused};
use retune_train::model::{Base, DropoutSeeds, Model, Task, pattern::Patterns};
use retune_train::optimizer::adamw::{Optimizer, Rate};
use retune_train::optimizer::gradients::Gradients;
use retune_train::spec::AdamW;

/// Seconds of CPU time of this process so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Floating-point operations a second of `[512, width] x [width, 4 width]`, the best of thirty.
fn matmul_rate(width: usize) -> f64 {
    let random = |shape| Tensor::<2>::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex());
    let (a, b) = (random([512, width]), random([width, 4 * width]));
    let seconds = (0..30).map(|_| {
        let start = Instant::now();
        std::hint::black_box(a.clone().matmul(b.clone()));
        start.elapsed().as_secs_f64()
    });
    2.0 * 512.0 * (width * 4 * width) as f64 / seconds.fold(f64::INFINITY, f64::min)
}

fn main() {
    retune_train::memory::keep_freed();
    retune_train::memory::compute_here();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| arguments.get(i).map_or(default, |a| a.parse().unwrap());
    let (rows, frozen) = (number(1, 16), number(3, 0));
    let lengths = arguments.get(2).map_or("32", String::as_str);
    let (shortest, longest) = lengths.split_once('-').unwrap_or((lengths, lengths));
    let (shortest, longest): (usize, usize) = (shortest.parse().unwrap(), longest.parse().unwrap());
    let length = |row: usize| shortest + (longest - shortest) * row / (rows - 1).max(1);

    let task = Task::SequenceClassification { labels: (0..77).map(|i| i.to_string()).collect() };
    let (mut model, _) = Model::load(&Base::Directory(arguments[0].clone().into()), &task, 1, &Device::flex()).unwrap();
    if frozen > 0 {
        let patterns = Patterns::new(&["embeddings".into(), format!("encoder.layer.{{0..{}}}", frozen - 1)]).unwrap();
        model.select(&patterns).unwrap().into_iter().for_each(|i| model.parameters_mut().set_trainable(i, false));
    }
    let examples: Vec<Example> = (0..rows)
        .map(|r| {
            Example::new(
                r.to_string(),
                Sequence::of((0..length(r)).map(|t| 1000 + (r * 31 + t * 17) as u32 % 20000).collect()),
                Target::Class(r as u32 % 77),
            )
        })
        .collect();
    let examples: Vec<&Example> = examples.iter().collect();
    let input = model.input(&examples).unwrap();
    let mut optimizer = Optimizer::new(AdamW::default(), model.parameters().len());
    let (mut walls, mut cpus, mut forwards, mut sweeps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for step in 0..12 {
        let (start, cpu_start) = (Instant::now(), cpu());
        let weights = model.weights(true);
        let seeds = DropoutSeeds::new((0..rows as u64).map(|r| step * 100 + r).collect());
        let forward = model.forward(&weights, &input, Some(&seeds)).unwrap();
        let loss = fused::token_log_probs(&forward.logits, input.labels().unwrap().unwrap(), -100)
            .unwrap()
            .sum(&[], false)
            .unwrap();
        drop(forward);
        forwards.push(start.elapsed().as_secs_f64() * 1e3);
        let mut gradients = Gradients::none(model.parameters().len());
        gradients.add(weights.backward(&loss).unwrap()).unwrap();
        drop((weights, loss));
        let sweep = Instant::now();
        let norm: f64 = gradients.squared_norms().unwrap().iter().flatten().sum();
        let rate = |_: &_| Rate { learning_rate: 1e-5, weight_decay: 0.01 };
        optimizer.update(model.parameters_mut(), gradients, 1.0 / norm.sqrt(), rate, false).unwrap();
        sweeps.push(sweep.elapsed().as_secs_f64() * 1e3);
        walls.push(start.elapsed().as_secs_f64() * 1e3);
        cpus.push((cpu() - cpu_start) * 1e3);
    }
    for list in [&mut walls, &mut cpus, &mut forwards, &mut sweeps] {
        list.sort_by(f64::total_cmp);
    }
    println!(
        "wall ms: best {:.1} median {:.1}; cpu ms: best {:.0} median {:.0}; best forward {:.1}, norm and update {:.1}",
        walls[0], walls[6], cpus[0], cpus[6], forwards[0], sweeps[0]
    );
    if frozen == 0 {
        let multiplied =
            |name: &str| !["embed", "pooler", "classifier", "score"].iter().any(|part| name.contains(part));
        let matrices = model.parameters().iter().filter(|p| p.shape().len() == 2 && multiplied(&p.name));
        let parameters: u64 = matrices.map(|p| p.numel()).sum();
        let rate = matmul_rate(model.config().shape.hidden_size);
        let threads = rayon::current_num_threads();
        let floor = 6.0 * input.tokens() as f64 * parameters as f64 / rate * 1e3;
        println!(
            "{} real tokens of {} places x {:.1}M parameters at {:.0} GFLOP/s: floor {floor:.1} ms; a step is {:.2} of it; \
             {threads} thread(s), {:.0} tokens per second and thread",
            input.tokens(),
            rows * longest,
            parameters as f64 / 1e6,
            rate / 1e9,
            walls[0] / floor,
            input.tokens() as f64 / walls[0] * 1e3 / threads as f64
        );
    }
}
