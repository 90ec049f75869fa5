//! Logits to the tokens that may be drawn: what transformers' processors and warpers do, in their order and in float32.

use super::GenerationSpec;

/// Tokens that may come next and their scores, in the order of the vocabulary.
pub(super) type Candidates = Vec<(u32, f32)>;

/// Changes the logits of all tokens: the penalty of those in `text` (prompt and answer), and no end token within the
/// first `min_new_tokens`, of which `new` are there.
pub(super) fn process(spec: &GenerationSpec, text: &[u32], new: usize, logits: &mut [f32]) {
    if spec.repetition_penalty != 1.0 {
        let penalty = spec.repetition_penalty as f32;
        let mut ids = text.to_vec();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
            }
        }
    }
    if new < spec.min_new_tokens {
        for id in &spec.eos_token_id {
            if let Some(logit) = logits.get_mut(*id as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }
}

/// What is left to draw among: temperature, then `top_k`, `top_p` and `min_p`.
pub(super) fn warp(spec: &GenerationSpec, logits: &[f32]) -> Candidates {
    let temperature = spec.temperature as f32;
    let scores = logits.iter().map(|logit| logit / temperature);
    let mut left: Candidates = (0..).zip(scores).filter(|(_, score)| *score > f32::NEG_INFINITY).collect();
    if spec.top_k > 0 && spec.top_k < left.len() {
        let mut sorted: Vec<f32> = left.iter().map(|(_, score)| *score).collect();
        let (_, least, _) = sorted.select_nth_unstable_by(spec.top_k - 1, |a, b| b.total_cmp(a));
        let least = *least;
        // As many as are equal to the last one.
        left.retain(|(_, score)| *score >= least);
    }
    if spec.top_p < 1.0 {
        let mut order: Vec<usize> = (0..left.len()).collect();
        order.sort_by(|a, b| left[*a].1.total_cmp(&left[*b].1));
        let sorted: Vec<f32> = order.iter().map(|place| left[*place].1).collect();
        let (outside, mut below) = ((1.0 - spec.top_p) as f32, 0.0f32);
        let mut kept = vec![true; left.len()];
        let most = order.len().saturating_sub(1);
        for (place, probability) in order[..most].iter().zip(softmax(&sorted)) {
            below += probability;
            kept[*place] = below > outside;
        }
        retain(&mut left, &kept);
    }
    if let Some(min_p) = spec.min_p {
        let probabilities = softmax(&left.iter().map(|(_, score)| *score).collect::<Vec<_>>());
        let most = probabilities.iter().copied().fold(0.0, f32::max);
        let least = min_p as f32 * most;
        let kept: Vec<bool> = probabilities.iter().map(|p| *p >= least).collect();
        retain(&mut left, &kept);
    }
    left
}

fn retain(left: &mut Candidates, kept: &[bool]) {
    let mut kept = kept.iter();
    left.retain(|_| kept.next().is_some_and(|kept| *kept));
}

fn softmax(scores: &[f32]) -> Vec<f32> {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        repetition_penalty: f64,
        temperature: f64,
        top_k: usize,
        top_p: f64,
        min_p: Option<f64>,
        min_new_tokens: usize,
        text: Vec<u32>,
        logits: Vec<f32>,
        left: Candidates,
    }

    /// Written by tests/reference/generate_fixtures.py.
    #[test]
    fn what_is_left_to_draw_among_is_what_transformers_leaves() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../../../tests/fixtures/generation/processors.json")).unwrap();
        for (index, case) in cases.iter().enumerate() {
            let spec = GenerationSpec {
                repetition_penalty: case.repetition_penalty,
                temperature: case.temperature,
                top_k: case.top_k,
                top_p: case.top_p,
                min_p: case.min_p,
                min_new_tokens: case.min_new_tokens,
                eos_token_id: vec![2],
                ..GenerationSpec::default()
            };
            let mut logits = case.logits.clone();
            process(&spec, &case.text, 2, &mut logits);
            let left = warp(&spec, &logits);
            let ids = |list: &Candidates| list.iter().map(|(id, _)| *id).collect::<Vec<_>>();
            assert_eq!(ids(&left), ids(&case.left), "case {index}");
            assert!(left.iter().zip(&case.left).all(|(a, b)| (a.1 - b.1).abs() <= 1e-6 * b.1.abs()), "case {index}");
        }
    }
}
