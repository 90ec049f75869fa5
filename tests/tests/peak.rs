//! The most memory that a loss plugin takes over a vocabulary, forward and backward. A process of its own, because it
//! counts what this one allocates.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/counting.rs"]
mod counting;
mod plugged;

use counting::most;
use retune_roles::{Batch, Progress};
use retune_tensor::{AnyTensor, Device, Head, from_int64, lazy_logits, normal};
use serde_json::json;

/// A loss plugin over logits that are made beside logits that are computed chunk by chunk: the same loss and gradients, and the
/// peak of the second is at most a fifth.
fn at_most_a_fifth(plugin: &str, config: &serde_json::Value, tokens: usize, vocabulary: usize) {
    let (device, width) = (Device::flex(), 32);
    let hidden = normal(&[tokens, width], 0.0, 1.0, 1, &device).unwrap().leaf().unwrap();
    let weight = normal(&[vocabulary, width], 0.0, 0.2, 2, &device).unwrap().leaf().unwrap();
    let labels = (0..tokens as i64).map(|t| if t % 7 == 0 { -100 } else { t * 31 % vocabulary as i64 }).collect();
    let labels = from_int64(labels, &[2, tokens / 2], &device).unwrap();
    let mut loss = plugged::loss(plugin, config);
    let mut learn = |logits: AnyTensor| {
        let batch = Batch::new(vec!["row".into(); 2]).with("logits", logits).with("labels", labels.clone());
        let output = loss.compute(&batch, &Progress::default()).unwrap();
        drop(batch);
        let mut gradients = output.numerator.backward().unwrap();
        let parts = [&hidden, &weight].map(|leaf| gradients.take(leaf).unwrap().to_float32().unwrap());
        (output.numerator.item().unwrap(), parts)
    };
    let (lazily, found) = most(|| {
        let head = Head { hidden: hidden.clone(), weight: weight.clone(), bias: None, soft_cap: None };
        learn(lazy_logits(head, &[2, tokens / 2], None).unwrap())
    });
    let (plainly, expected) = most(|| {
        let logits = hidden.matmul(&weight.transpose(0, 1).unwrap()).unwrap();
        learn(logits.reshape(&[2, -1, vocabulary as i32]).unwrap())
    });
    println!("{plugin}: {} MB in chunks, {} MB plain", lazily / 1_000_000, plainly / 1_000_000);
    assert!((found.0 - expected.0).abs() <= 1e-5 * expected.0.abs(), "{plugin}: {} {}", found.0, expected.0);
    for (found, expected) in found.1.iter().zip(&expected.1) {
        let largest = expected.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let off = found.iter().zip(expected).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(off <= 1e-5 * largest, "{plugin}: a gradient is {off} off, of {largest}");
    }
    assert!(plainly > 2 * 4 * tokens * vocabulary, "{plainly} bytes cannot hold the logits and their gradient");
    assert!(lazily * 5 <= plainly, "{plugin}: {lazily} bytes in chunks, {plainly} plain");
}

/// Tokens and vocabulary are small, unless `PEAK_TOKENS` and `PEAK_VOCABULARY` say others; BENCHMARKS.md has 4,096 and 128,000,
/// which take 8 GB.
#[test]
fn a_loss_plugin_takes_at_most_a_fifth_of_what_logits_take() {
    let said = |name: &str, usual| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let (tokens, vocabulary) = (said("PEAK_TOKENS", 1024), said("PEAK_VOCABULARY", 16_000));
    at_most_a_fifth("label-smoothing", &json!({ "smoothing": 0.1 }), tokens, vocabulary);
}
