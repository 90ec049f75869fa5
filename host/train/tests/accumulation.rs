//! Splitting a step's rows into micro-batches changes nothing.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod support;

use retune_roles::{Example, Loss, Progress, RoleKind, builtin::CrossEntropy};
use retune_train::{
    TrainSpec,
    collate::Collation,
    model::Model,
    step::{Shape, StepSums, compute},
    workers::Alone,
};
use support::*;

fn sums(model: &Model, loss: &mut dyn Loss, rows: &[Example], batch_size: usize, dropout_seed: Option<u64>) -> StepSums {
    let mut collation = Collation::new(model.task(), &[]);
    collation.want(RoleKind::Loss, loss.name(), loss.wants()).unwrap();
    let rows: Vec<&Example> = rows.iter().collect();
    let shape = Shape { batch_size, dropout_seed, first: 0 };
    compute(model, loss, &collation, &rows, shape, &Progress::default(), &Alone).unwrap()
}

/// Relative distance of whole gradients, in float64.
fn distance(a: &StepSums, b: &StepSums) -> f64 {
    let (mut difference, mut size) = (0.0, 0.0);
    for (a, b) in a.gradients.iter().zip(b.gradients.iter()) {
        let (Some(a), Some(b)) = (a, b) else { assert!(a.is_none() && b.is_none()); continue };
        for (a, b) in a.to_vec().unwrap().into_iter().zip(b.to_vec().unwrap()) {
            difference += f64::from(a - b).powi(2);
            size += f64::from(a).powi(2);
        }
    }
    (difference / size).sqrt()
}

fn same_gradients(model: &Model, mut loss: impl Loss, rows: &[Example]) {
    for dropout in [None, Some(3)] {
        let whole = sums(model, &mut loss, rows, 8, dropout);
        assert!(whole.numerator > 0.0);
        for batch_size in [4, 3, 1] {
            let split = sums(model, &mut loss, rows, batch_size, dropout);
            let distance = distance(&whole, &split);
            assert!(distance < 1e-6, "micro-batches of {batch_size}, dropout {dropout:?}: {distance:e}");
            assert!((whole.loss() - split.loss()).abs() < 1e-6 * whole.loss());
            assert_eq!((whole.denominator, whole.tokens, whole.rows), (split.denominator, split.tokens, split.rows));
        }
    }
}

#[test]
fn gradients_of_a_classifier_do_not_depend_on_the_micro_batch() {
    same_gradients(&bert(0.2), CrossEntropy::for_sequences(), &rows(8, 1));
}

#[test]
fn gradients_of_a_language_model_with_rows_of_any_length_do_not_depend_on_the_micro_batch() {
    same_gradients(&llama(), CrossEntropy::for_tokens(), &token_rows(8, 2));
}

#[test]
fn dropout_really_drops_and_follows_the_step() {
    let (model, rows) = (bert(0.2), rows(8, 1));
    let mut loss = CrossEntropy::for_sequences();
    let without = sums(&model, &mut loss, &rows, 8, None);
    let with = sums(&model, &mut loss, &rows, 8, Some(3));
    let other = sums(&model, &mut loss, &rows, 8, Some(4));
    assert!(distance(&without, &with) > 1e-2);
    assert!(distance(&with, &other) > 1e-2);
}

/// Trains 50 steps on windows of eight rows; the last window of an epoch has three.
fn fifty_losses(model: Model, data: &[Example], loss: Box<dyn Loss>, batch_size: usize, dropout: bool) -> Vec<f64> {
    let directory = tempfile::tempdir().unwrap();
    let spec = TrainSpec {
        epochs: 10,
        batch_size,
        gradient_accumulation_steps: 8 / batch_size,
        dropout,
        optimizer: retune_train::AdamW { learning_rate: 1e-3, ..Default::default() },
        ..spec(directory.path())
    };
    let (outcome, recorder) = train(model, spec, retune_train::Roles::new(loss), data, &[]);
    assert_eq!(outcome.unwrap().steps, 50);
    recorder.losses()
}

fn same_losses(make: impl Fn() -> (Model, Box<dyn Loss>), data: &[Example], dropout: bool) {
    assert_eq!(data.len() % 8, 3);
    let run = |batch_size| {
        let (model, loss) = make();
        fifty_losses(model, data, loss, batch_size, dropout)
    };
    let whole = run(8);
    for batch_size in [4, 1] {
        for (step, (a, b)) in whole.iter().zip(run(batch_size)).enumerate() {
            assert!((a - b).abs() < 1e-5, "micro-batches of {batch_size}, step {}: {a} and {b}", step + 1);
        }
    }
}

#[test]
fn fifty_steps_of_a_classifier_have_the_same_losses_however_they_are_split() {
    let make = || (bert(0.1), Box::new(CrossEntropy::for_sequences()) as Box<dyn Loss>);
    same_losses(make, &rows(35, 5), false);
    same_losses(make, &rows(35, 5), true);
}

#[test]
fn fifty_steps_of_a_language_model_have_the_same_losses_however_they_are_split() {
    let make = || (llama(), Box::new(CrossEntropy::for_tokens()) as Box<dyn Loss>);
    same_losses(make, &token_rows(35, 5), false);
}
