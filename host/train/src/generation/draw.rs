//! The next token of logits.

use retune_tensor::random::unit;

use super::GenerationSpec;
use super::scores::{Candidates, process, warp};
use crate::seeds::{Purpose, seed_of};

/// The token that follows `text`, of which the last `new` were generated for prompt number `prompt`; `None` when no logit is
/// a number.
pub(super) fn next(spec: &GenerationSpec, prompt: usize, text: &[u32], new: usize, logits: &mut [f32]) -> Option<u32> {
    process(spec, text, new, logits);
    if !spec.do_sample {
        return most_probable(logits);
    }
    let candidates = warp(spec, logits);
    let seed = seed_of(spec.seed, Purpose::Generation, prompt as u64, new as u64);
    drawn(&candidates, unit(seed, 0))
}

/// The first of equal ones.
fn most_probable(logits: &[f32]) -> Option<u32> {
    let mut best: Option<(u32, f32)> = None;
    for (id, logit) in (0..).zip(logits) {
        if *logit > best.map_or(f32::NEG_INFINITY, |(_, best)| best) {
            best = Some((id, *logit));
        }
    }
    best.filter(|(_, logit)| logit.is_finite()).map(|(id, _)| id)
}

/// The candidate at `place`, from 0 to below 1, when they lie side by side as wide as their probabilities.
fn drawn(candidates: &Candidates, place: f64) -> Option<u32> {
    let most = candidates.iter().map(|(_, score)| *score).fold(f32::NEG_INFINITY, f32::max);
    if !most.is_finite() || candidates.iter().any(|(_, score)| score.is_nan()) {
        return None;
    }
    let width = |score: f32| f64::from(score - most).exp();
    let total: f64 = candidates.iter().map(|(_, score)| width(*score)).sum();
    let mut left = place * total;
    for (id, score) in candidates {
        left -= width(*score);
        if left < 0.0 {
            return Some(*id);
        }
    }
    // Rounding may leave a little.
    candidates.last().map(|(id, _)| *id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_of_equal_logits_is_taken_and_none_of_what_is_no_number() {
        assert_eq!(most_probable(&[0.0, 3.0, 3.0]), Some(1));
        assert_eq!(most_probable(&[f32::NAN, 1.0]), Some(1));
        assert_eq!(most_probable(&[f32::NAN; 3]), None);
        assert_eq!(most_probable(&[f32::INFINITY, 1.0]), None);
        assert_eq!(drawn(&vec![(3, f32::NAN), (4, 0.0)], 0.5), None);
        assert_eq!(drawn(&Vec::new(), 0.5), None);
    }

    #[test]
    fn tokens_are_drawn_as_often_as_they_are_probable() {
        let spec = GenerationSpec { do_sample: true, top_k: 0, temperature: 2.0, ..GenerationSpec::default() };
        let logits = [0.0, 2.0 * 2.0f32.ln(), f32::NEG_INFINITY, 2.0 * 5.0f32.ln()];
        let mut seen = [0usize; 4];
        for prompt in 0..100 {
            for step in 0..80 {
                seen[next(&spec, prompt, &[], step, &mut logits.clone()).unwrap() as usize] += 1;
            }
        }
        // One, two and five eighths of 8,000; a standard deviation is at most 45.
        for (seen, expected) in seen.into_iter().zip([1000usize, 2000, 0, 5000]) {
            assert!(seen.abs_diff(expected) <= expected.min(180), "{seen}, not about {expected}");
        }
    }
}
