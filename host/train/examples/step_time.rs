//! Times forward and backward of one step: `step_time DIRECTORY [rows] [tokens] [frozen blocks]`.
//! CPU time is printed beside wall time, so that a busy machine does not mislead.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use retune_roles::{Example, Sequence, Target};
use retune_tensor::{Device, fused};
use retune_train::model::{Base, DropoutSeeds, Model, Task, pattern::Patterns};

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| arguments.get(i).map_or(default, |a| a.parse().unwrap());
    let (rows, tokens, frozen) = (number(1, 16), number(2, 32), number(3, 0));
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
                Sequence::of((0..tokens).map(|t| 1000 + (r * 31 + t * 17) as u32 % 20000).collect()),
                Target::Class(r as u32 % 77),
            )
        })
        .collect();
    let examples: Vec<&Example> = examples.iter().collect();
    let input = model.input(&examples).unwrap();
    let (mut walls, mut cpus, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..12 {
        let (start, cpu_start) = (Instant::now(), cpu());
        let weights = model.weights(true);
        let seeds = DropoutSeeds::new((0..rows as u64).map(|r| step * 100 + r).collect());
        let forward = model.forward(&weights, &input, Some(&seeds)).unwrap();
        let loss =
            fused::token_log_probs(&forward.logits, input.labels().unwrap(), -100).unwrap().sum(&[], false).unwrap();
        let half = start.elapsed().as_secs_f64();
        let gradients = weights.backward(&loss).unwrap();
        assert!(gradients.iter().flatten().count() > 2);
        walls.push(start.elapsed().as_secs_f64() * 1e3);
        parts.push(half * 1e3);
        cpus.push((cpu() - cpu_start) * 1e3);
    }
    for list in [&mut walls, &mut cpus, &mut parts] {
        list.sort_by(f64::total_cmp);
    }
    println!(
        "wall ms: best {:.1} median {:.1}; cpu ms: best {:.0} median {:.0}; forward best {:.1}",
        walls[0], walls[6], cpus[0], cpus[6], parts[0]
    );
}
