//! Splitting a step's rows into micro-batches changes nothing.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod support;

use retune_roles::{Example, Loss, Progress, RoleKind, builtin::CrossEntropy};
use retune_train::{
    collate::Collation,
    training::sampler::{Position, Sampler},
    training::step::{Shape, StepSums, compute},
};
use support::{
    peers::{Peer, peers},
    splitting::*,
    *,
};

#[test]
fn gradients_of_a_classifier_do_not_depend_on_the_micro_batch() {
    same_gradients(&bert(0.2), &mut CrossEntropy::for_sequences(), &rows(8, 1));
}

#[test]
fn gradients_of_a_language_model_with_rows_of_any_length_do_not_depend_on_the_micro_batch() {
    same_gradients(&llama(), &mut CrossEntropy::for_tokens(), &token_rows(8, 2));
}

#[test]
fn dropout_really_drops_and_follows_the_step() {
    let (model, rows) = (bert(0.2), rows(8, 1));
    let mut loss = CrossEntropy::for_sequences();
    let without = sums(&model, &mut loss, &rows, 8, None);
    let with = sums(&model, &mut loss, &rows, 8, Some(3));
    let other = sums(&model, &mut loss, &rows, 8, Some(4));
    assert!(distance(&without, &with) > 1e-2);
    let later = sums_at(&model, &mut loss, &rows, 8, Some(3), 1);
    assert!(distance(&with, &other) > 1e-2);
    assert!(distance(&with, &later) > 1e-2);
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

#[test]
fn several_workers_take_the_same_step_as_one() {
    let data = rows(19, 5);
    let mut sampler = Sampler::new(1, data.len(), 8);
    // The second window, and the last and short one.
    for window in [1, 2] {
        let position = Position { epoch: 0, window };
        let whole = sampler.take(position, 0, 1);
        let all: Vec<Example> = whole.rows.iter().map(|&row| data[row].clone()).collect();
        let one = sums(&bert(0.2), &mut CrossEntropy::for_sequences(), &all, 8, Some(3));
        for size in [2, 3] {
            let shares: Vec<_> = (0..size).map(|rank| sampler.take(position, rank, size)).collect();
            let many: Vec<StepSums> = std::thread::scope(|scope| {
                let worker = |(rank, me): (usize, Peer)| {
                    let (data, share) = (&data, &shares[rank]);
                    scope.spawn(move || {
                        let (model, mut loss) = (bert(0.2), CrossEntropy::for_sequences());
                        let mut collation = Collation::new(model.task(), &[]);
                        collation.want(RoleKind::Loss, loss.name(), loss.wants()).unwrap();
                        let mine: Vec<&Example> = share.rows.iter().map(|&row| &data[row]).collect();
                        let shape = Shape { batch_size: 2, dropout_seed: Some(3), first: share.first };
                        compute(&model, &mut loss, &collation, &mine, shape, &Progress::default(), &me).unwrap()
                    })
                };
                let threads: Vec<_> = peers(size).into_iter().enumerate().map(worker).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            for part in &many {
                assert!(distance(&one, part) < 1e-6, "{size} workers: {:e}", distance(&one, part));
                assert!((one.loss() - part.loss()).abs() < 1e-6);
                assert_eq!((one.rows, one.tokens, one.denominator), (part.rows, part.tokens, part.denominator));
            }
        }
    }
}
