//! Which rows each optimiser step takes: `row_order SEED ROWS WINDOW STEPS`, where a window is `batch_size` times
//! `gradient_accumulation_steps`. A line per step, a JSON list of row numbers from 0.
//!
//! For a comparison with a peer that is to see the same rows in the same order; `tests/reference/lora_steps.py` reads it.
#![allow(clippy::unwrap_used, clippy::panic)]

use retune_train::training::sampler::{Position, Sampler};

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|argument| argument.parse().unwrap()).collect();
    let [seed, rows, window, steps] = numbers[..] else { panic!("row_order SEED ROWS WINDOW STEPS") };
    let mut sampler = Sampler::new(seed, rows as usize, window as usize);
    let mut position = Position::default();
    for _ in 0..steps {
        println!("{:?}", sampler.take(position, 0, 1).rows);
        position = sampler.after(position);
    }
}
