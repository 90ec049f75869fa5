//! How fast a language model answers: tokens per second, one prompt at a time and several together.
//!
//!     cargo run --release -p retune-train --example generate_speed -- SmolLM2-135M-Instruct [TOKENS [TIMES]]
//!
//! Prompts are those of tests/fixtures/generation/smollm2.json, answered greedily with exactly TOKENS tokens each (64). Beside it:
//! python tests/reference/generate_speed.py with the same arguments. Prints a line of JSON for each batch size; `floor` is how many tokens a
//! second one prompt could get if nothing took time but reading each weight once, at the bandwidth that a sum over memory
//! reaches here.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use rayon::prelude::*;
use retune_roles::Task;
use retune_tensor::Device;
use retune_train::generation::{GenerationSpec, Generator};
use retune_train::model::{Base, Model};
use serde_json::{Value, json};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("the folder of a language model");
    let tokens: usize = arguments.next().map_or(64, |text| text.parse().unwrap());
    let times: usize = arguments.next().map_or(3, |text| text.parse().unwrap());
    retune_train::memory::keep_freed();
    retune_train::memory::compute_here();
    let base = Base::Directory(directory.into());
    let (model, _) = Model::load(&base, &Task::CausalLm, 0, &Device::flex()).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/generation/smollm2.json");
    let fixture: Value = serde_json::from_slice(&std::fs::read(fixture).unwrap()).unwrap();
    let prompts: Vec<Vec<u32>> = fixture["answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| serde_json::from_value(case["prompt"].clone()).unwrap())
        .collect();
    // Without end tokens, so that every answer has as many tokens as the peer's.
    let spec = GenerationSpec { max_new_tokens: tokens, ..GenerationSpec::default() };
    let generator = Generator::new(&model, &spec, None).unwrap();
    let bytes: u64 = model.parameters().iter().map(|p| 4 * p.numel()).sum();
    let floor = bandwidth() / bytes as f64;
    for (batch, count) in [(1, 4), (8, 8)] {
        let mut rates: Vec<[f64; 2]> = (0..times)
            .map(|_| {
                // What follows a first token is the rate of going on; the first ones take the reading of prompts too.
                let (began, mut first, mut said) = (Instant::now(), None, 0);
                let watch = &mut |_: &retune_train::generation::NewToken| {
                    said += 1;
                    if said == batch {
                        first = Some(began.elapsed().as_secs_f64());
                    }
                    ControlFlow::Continue(())
                };
                generator.run(&prompts[..count], batch, watch).unwrap();
                let all = began.elapsed().as_secs_f64();
                [(count * tokens) as f64 / all, first.unwrap()]
            })
            .collect();
        rates.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let [rate, first] = rates[times / 2];
        println!(
            "{}",
            json!({"batch": batch, "prompts": count, "tokens_per_second": rate, "first_token_seconds": first, "floor": floor})
        );
    }
}

/// Bytes a second that all threads together read, the best of five passes over 256 MiB.
fn bandwidth() -> f64 {
    let memory = vec![1.0f32; 1 << 26];
    let pass = |_| {
        let began = Instant::now();
        let sum: f32 = memory.par_chunks(1 << 16).map(|part| retune_tensor::wide::sum(part.len(), |i| part[i])).sum();
        assert!(sum > 0.0);
        4.0 * memory.len() as f64 / began.elapsed().as_secs_f64()
    };
    (0..5).map(pass).fold(0.0, f64::max)
}
