//! The most memory that a loss over a vocabulary takes, forward and backward. A process of its own, because it
//! counts what this one allocates.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../../tests/support/counting.rs"]
mod counting;

use counting::most;

use retune_tensor::{AnyTensor, Device, Head, from_int64, fused, lazy_logits, normal};

const WIDTH: usize = 32;

fn loss(logits: &AnyTensor, labels: &AnyTensor, smoothing: f64) -> AnyTensor {
    let token = fused::token_log_probs(logits, labels, -100).unwrap().sum(&[], false).unwrap();
    if smoothing == 0.0 {
        return token;
    }
    token.add(&fused::mean_log_probs(logits).unwrap().sum(&[], false).unwrap().mul_scalar(smoothing).unwrap()).unwrap()
}

#[test]
fn lazy_logits_take_at_most_a_fifth_of_what_logits_take() {
    let (tokens, vocabulary) = size(2048, 16_000);
    at_most_a_fifth(tokens, vocabulary);
}

/// Tokens and vocabulary, unless `PEAK_TOKENS` and `PEAK_VOCABULARY` say others; BENCHMARKS.md has 4,096 and 128,000, which take
/// 8 GB.
fn size(tokens: usize, vocabulary: usize) -> (usize, usize) {
    let said = |name: &str, usual| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    (said("PEAK_TOKENS", tokens), said("PEAK_VOCABULARY", vocabulary))
}

fn at_most_a_fifth(tokens: usize, vocabulary: usize) {
    let device = Device::flex();
    let hidden = normal(&[tokens, WIDTH], 0.0, 1.0, 1, &device).unwrap().leaf().unwrap();
    let weight = normal(&[vocabulary, WIDTH], 0.0, 0.2, 2, &device).unwrap().leaf().unwrap();
    let labels = (0..tokens as i64).map(|t| if t % 7 == 0 { -100 } else { t * 31 % vocabulary as i64 }).collect();
    let labels = from_int64(labels, &[2, tokens / 2], &device).unwrap();
    for smoothing in [0.0, 0.1] {
        let (plain, ()) = most(|| {
            let logits = hidden.matmul(&weight.transpose(0, 1).unwrap()).unwrap();
            let logits = logits.reshape(&[2, -1, vocabulary as i32]).unwrap();
            loss(&logits, &labels, smoothing).backward().unwrap();
        });
        let (lazy, ()) = most(|| {
            let head = Head { hidden: hidden.clone(), weight: weight.clone(), bias: None, soft_cap: None };
            let logits = lazy_logits(head, &[2, tokens / 2], None).unwrap();
            loss(&logits, &labels, smoothing).backward().unwrap();
        });
        println!("smoothing {smoothing}: {} MB in chunks, {} MB plain", lazy / 1_000_000, plain / 1_000_000);
        assert!(plain > 2 * 4 * tokens * vocabulary, "{plain} bytes cannot hold the logits and their gradient");
        assert!(lazy * 5 < plain, "smoothing {smoothing}: {lazy} bytes, and {plain} for logits that are made");
    }
}
