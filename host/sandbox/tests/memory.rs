//! Memory over many calls. A process of its own: other tests would be counted too.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{AT, batch, plugin, samples, setup, tokens};
use retune_tensor::Device;

/// KiB of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn ten_thousand_calls_do_not_grow_the_process() {
    let device = Device::flex();
    let (focal, perplexity, text_clean) = (plugin("focal"), plugin("perplexity"), plugin("text-clean"));
    let mut loss = focal.loss(&setup(&focal), &device).unwrap();
    let mut metric = perplexity.metric(&setup(&perplexity), &device).unwrap();
    let mut cleaner = text_clean.preprocessor(&setup(&text_clean)).unwrap();
    let (rows, tokens, texts) = (batch(), tokens(4, 0.0), samples(&["a  text", " and <i>another</i>"]));
    let mut calls = |count: usize| {
        for _ in 0..count {
            assert!(loss.compute(&rows, &AT).unwrap().numerator.item().unwrap().is_finite());
            metric.update(&tokens).unwrap();
            assert_eq!(cleaner.process(&texts).unwrap().outputs.len(), 2);
        }
    };
    calls(500);
    let before = resident();
    calls(10_000);
    let grown = resident().saturating_sub(before);
    assert!(grown < 4_096, "{grown} KiB more after 10,000 calls in each of three roles");
}
