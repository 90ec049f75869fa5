//! A model's or an adapter's logits, loss, gradients and steps beside those that transformers or peft gave.

use retune_recipe::diagnostic::Result;
use retune_roles::Example;
use retune_tensor::Device;
use retune_train::model::{Model, Parameter, Task};
use retune_train::optimizer::adamw::{Optimizer, Rate};
use retune_train::{AdamW, TrainError};

use super::finding::{Finding, largest_difference};
use super::fixture::Fixture;
use super::rows;
use super::tolerance::{Way, gradients_off, losses, sums};

/// Of the scripts that wrote the fixtures.
const LEARNING_RATE: f64 = 2e-3;
const WEIGHT_DECAY: f64 = 0.01;

/// Compares one fixture, in every way in which the device computes.
///
/// # Errors
/// When it cannot be read, or the device fails.
pub(super) fn check(fixture: &Fixture, device: &Device) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for way in Way::of(device) {
        let _taken = way.take();
        let model = fixture.load(device)?;
        let examples = fixture.examples(model.task())?;
        let mut add = |what: &str, value, bound| {
            let check = format!("{what} beside {}{}", fixture.peer(), way.suffix());
            findings.push(Finding::difference(check, &fixture.name, value, bound));
        };
        let failed = |error: TrainError| fixture.failed(error);
        let bound = sums(device);
        add("logits", logits(&model, &examples, fixture).map_err(failed)?, bound);
        if !fixture.has_labels() {
            continue;
        }
        let (loss, gradients) = step(&model, &examples, fixture).map_err(failed)?;
        add("loss", loss, bound);
        add("gradients", gradients_off(&gradients, device), bound);
        if let Some(expected) = fixture.floats("losses") {
            let found = steps(model, &examples, expected.len()).map_err(failed)?;
            add(&format!("losses of {} steps", expected.len()), largest_difference(&found, expected), losses(device));
        }
    }
    Ok(findings)
}

/// The largest difference of a logit.
fn logits(model: &Model, examples: &[Example], fixture: &Fixture) -> std::result::Result<f64, TrainError> {
    let found = rows::logits(model, examples)?;
    let expected = fixture.floats("logits").unwrap_or_default();
    let of_tokens = matches!(model.task(), Task::CausalLm | Task::TokenClassification { .. } | Task::MaskedLm);
    let of_rows = |all: &[f32]| if of_tokens { within(all, examples) } else { all.to_vec() };
    Ok(largest_difference(&of_rows(&found), &of_rows(expected)))
}

/// The logits `[batch, seq, vocab]` of the tokens that are there; those of padding mean nothing.
fn within(all: &[f32], examples: &[Example]) -> Vec<f32> {
    let longest = examples.iter().map(Example::tokens).max().unwrap_or(0);
    let vocab = all.len() / (examples.len() * longest).max(1);
    let rows = examples.iter().zip(all.chunks((longest * vocab).max(1)));
    rows.flat_map(|(example, row)| row[..(example.tokens() * vocab).min(row.len())].iter().copied()).collect()
}

/// How far the loss of all rows is from what is expected; and pairs of found and expected gradients.
#[allow(clippy::type_complexity, reason = "the pairs that are compared")]
fn step(
    model: &Model,
    examples: &[Example],
    fixture: &Fixture,
) -> std::result::Result<(f64, Vec<(Vec<f32>, Vec<f32>)>), TrainError> {
    let sums = rows::step(model, examples, examples.len(), None)?;
    let loss = largest_difference(&[sums.loss() as f32], fixture.floats("loss").unwrap_or_default());
    let found = rows::gradients(&sums)?;
    let pairs = model.parameters().iter().zip(found).filter_map(|(parameter, values)| {
        let expected = fixture.floats(&format!("grad.{}", parameter.name))?;
        let mean: Vec<f32> = values.iter().map(|value| value / sums.denominator as f32).collect();
        Some((shown(mean, parameter.shape(), expected.len()), expected.to_vec()))
    });
    Ok((loss, pairs.collect()))
}

/// A gradient as it is, or a matrix's product with cos(0), cos(1), … where the script has written that.
fn shown(gradient: Vec<f32>, shape: &[usize], count: usize) -> Vec<f32> {
    match *shape {
        [rows, width] if count == rows && count != gradient.len() => {
            let product =
                |row: &[f32]| row.iter().zip(0u32..).map(|(x, j)| f64::from(*x) * f64::from(j).cos()).sum::<f64>();
            gradient.chunks(width.max(1)).map(|row| product(row) as f32).collect()
        }
        _ => gradient,
    }
}

/// The losses of steps of AdamW on all rows.
fn steps(mut model: Model, examples: &[Example], count: usize) -> std::result::Result<Vec<f32>, TrainError> {
    let mut optimizer = Optimizer::new(AdamW::default(), model.parameters().len());
    let rate = |parameter: &Parameter| Rate {
        learning_rate: LEARNING_RATE,
        weight_decay: if parameter.decay { WEIGHT_DECAY } else { 0.0 },
    };
    let mut step = || {
        let sums = rows::step(&model, examples, examples.len(), None)?;
        let (loss, scale) = (sums.loss() as f32, 1.0 / sums.denominator);
        optimizer.update(model.parameters_mut(), sums.gradients, scale, rate, false)?;
        Ok(loss)
    };
    (0..count).map(|_| step()).collect()
}
