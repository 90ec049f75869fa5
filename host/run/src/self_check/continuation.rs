//! Greedy texts of a device beside those of another, or of transformers.
//!
//! Two tokens may be equally likely but for rounding, and a text that takes the other one is another text from there on. So
//! where texts part, what is measured is how much less likely the device finds the expected token, and the text goes on from
//! there as it should have been.

use retune_roles::{Example, Sequence, Target};
use retune_train::TrainError;
use retune_train::generation::{GenerationSpec, generate};
use retune_train::model::Model;

use super::rows;

/// By how much the logit of an expected token is below that of the token that `model` writes in its place, at most; zero when it
/// writes what is expected. `found` is what it wrote after `prompt`.
pub(super) fn shortfall(
    model: &Model,
    prompt: &[u32],
    expected: &[u32],
    spec: &GenerationSpec,
    mut found: Vec<u32>,
) -> Result<f64, TrainError> {
    let (mut worst, mut done) = (0.0f64, 0);
    loop {
        let rest = &expected[done..];
        let same = rest.iter().zip(&found).take_while(|(expected, found)| expected == found).count();
        let Some(wanted) = rest.get(same) else {
            // A longer text than expected is another text.
            return Ok(if found.len() > rest.len() { f64::INFINITY } else { worst });
        };
        let Some(chosen) = found.get(same) else { return Ok(f64::INFINITY) };
        let text = [prompt, &expected[..done + same]].concat();
        let scores = scores(model, &text, spec)?;
        let score = |id: u32| scores.get(id as usize).copied().unwrap_or(f32::NAN);
        let off = f64::from(score(*chosen) - score(*wanted));
        worst = if off.is_nan() { f64::INFINITY } else { worst.max(off) };
        done += same + 1;
        let text = [prompt, &expected[..done]].concat();
        let spec = GenerationSpec {
            max_new_tokens: expected.len() - done,
            min_new_tokens: spec.min_new_tokens.saturating_sub(done),
            ..spec.clone()
        };
        if spec.max_new_tokens == 0 {
            return Ok(worst);
        }
        found = generate(model, &[text], &spec, None, 1)?.into_iter().next().map_or_else(Vec::new, |text| text.ids);
    }
}

/// The logits behind a text, by the forward pass of training, with the penalty of what is repeated.
fn scores(model: &Model, text: &[u32], spec: &GenerationSpec) -> Result<Vec<f32>, TrainError> {
    let row = Example::new("text", Sequence::of(text.to_vec()), Target::None);
    let logits = rows::logits(model, &[row])?;
    let mut logits = logits[logits.len().saturating_sub(model.config().shape.vocab_size)..].to_vec();
    let penalty = spec.repetition_penalty as f32;
    for (_, logit) in (0u32..).zip(&mut logits).filter(|(id, _)| text.contains(id)) {
        *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
    }
    Ok(logits)
}
