//! Splitting a step's rows into micro-batches changes nothing.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod support;

use std::sync::{Barrier, Mutex};

use retune_roles::{Example, Loss, Progress, RoleKind, builtin::CrossEntropy};
use retune_train::{
    TrainError,
    collate::Collation,
    optimizer::gradients::{Floats, Gradients},
    training::sampler::{Position, Sampler},
    training::step::{Shape, StepSums, compute},
    training::workers::Workers,
};
use support::{splitting::*, *};

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

/// What two threads have put in for the others to add.
struct Table {
    numbers: Mutex<Vec<Vec<f64>>>,
    gradients: Mutex<Vec<Vec<Option<Vec<f32>>>>>,
    barrier: Barrier,
}

/// One of several workers in this process.
struct Thread<'a> {
    rank: usize,
    size: usize,
    table: &'a Table,
}

impl Workers for Thread<'_> {
    fn rank(&self) -> usize {
        self.rank
    }
    fn size(&self) -> usize {
        self.size
    }
    fn sum(&self, values: &mut [f64]) -> Result<(), TrainError> {
        self.table.numbers.lock().unwrap().push(values.to_vec());
        self.table.barrier.wait();
        let all = self.table.numbers.lock().unwrap();
        for (index, value) in values.iter_mut().enumerate() {
            *value = all.iter().map(|part| part[index]).sum();
        }
        Ok(())
    }
    fn sum_gradients(&self, gradients: &mut Gradients) -> Result<(), TrainError> {
        let mine = gradients.iter().map(|part| part.map(|floats| floats.to_vec().unwrap())).collect();
        self.table.gradients.lock().unwrap().push(mine);
        self.table.barrier.wait();
        let all = self.table.gradients.lock().unwrap();
        for (index, part) in gradients.iter_mut().enumerate() {
            let Some(Floats::Host(sum)) = part else { continue };
            sum.fill(0.0);
            for other in all.iter().filter_map(|parts| parts[index].as_ref()) {
                sum.iter_mut().zip(other).for_each(|(s, o)| *s += o);
            }
        }
        Ok(())
    }
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
            let table = Table { numbers: Mutex::default(), gradients: Mutex::default(), barrier: Barrier::new(size) };
            let shares: Vec<_> = (0..size).map(|rank| sampler.take(position, rank, size)).collect();
            let many: Vec<StepSums> = std::thread::scope(|scope| {
                let worker = |rank: usize| {
                    let (data, table, share) = (&data, &table, &shares[rank]);
                    scope.spawn(move || {
                        let (model, mut loss) = (bert(0.2), CrossEntropy::for_sequences());
                        let mut collation = Collation::new(model.task(), &[]);
                        collation.want(RoleKind::Loss, loss.name(), loss.wants()).unwrap();
                        let mine: Vec<&Example> = share.rows.iter().map(|&row| &data[row]).collect();
                        let shape = Shape { batch_size: 2, dropout_seed: Some(3), first: share.first };
                        let me = Thread { rank, size, table };
                        compute(&model, &mut loss, &collation, &mine, shape, &Progress::default(), &me).unwrap()
                    })
                };
                let threads: Vec<_> = (0..size).map(worker).collect();
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
