//! Steps and runs whose windows are split into micro-batches in several ways.

use retune_roles::{Example, Loss, Progress, RoleKind};
use retune_train::{
    AdamW, Roles, TrainSpec,
    collate::Collation,
    model::Model,
    training::step::{Shape, StepSums, compute},
    training::workers::Alone,
};

use super::{spec, train};

/// What the first step of a run adds up, over micro-batches of `batch_size`.
pub fn sums(
    model: &Model,
    loss: &mut dyn Loss,
    rows: &[Example],
    batch_size: usize,
    dropout_seed: Option<u64>,
) -> StepSums {
    sums_at(model, loss, rows, batch_size, dropout_seed, 0)
}

/// As [`sums`], at another step.
pub fn sums_at(
    model: &Model,
    loss: &mut dyn Loss,
    rows: &[Example],
    batch_size: usize,
    dropout_seed: Option<u64>,
    step: u64,
) -> StepSums {
    let mut collation = Collation::new(model.task(), &[]);
    collation.want(RoleKind::Loss, loss.name(), loss.wants()).unwrap();
    let rows: Vec<&Example> = rows.iter().collect();
    let shape = Shape { batch_size, dropout_seed, first: 0 };
    compute(model, loss, &collation, &rows, shape, &Progress { step, ..Progress::default() }, &Alone).unwrap()
}

/// Relative distance of whole gradients, in float64.
pub fn distance(a: &StepSums, b: &StepSums) -> f64 {
    let (mut difference, mut size) = (0.0, 0.0);
    for (a, b) in a.gradients.iter().zip(b.gradients.iter()) {
        let (Some(a), Some(b)) = (a, b) else {
            assert!(a.is_none() && b.is_none());
            continue;
        };
        for (a, b) in a.to_vec().unwrap().into_iter().zip(b.to_vec().unwrap()) {
            difference += f64::from(a - b).powi(2);
            size += f64::from(a).powi(2);
        }
    }
    (difference / size).sqrt()
}

/// Whole and split steps on eight rows have the same sums and gradients, with dropout and without.
pub fn same_gradients(model: &Model, loss: &mut dyn Loss, rows: &[Example]) {
    for dropout in [None, Some(3)] {
        let whole = sums(model, loss, rows, 8, dropout);
        assert!(whole.numerator > 0.0);
        for batch_size in [4, 3, 1] {
            let split = sums(model, loss, rows, batch_size, dropout);
            let distance = distance(&whole, &split);
            assert!(distance < 1e-6, "micro-batches of {batch_size}, dropout {dropout:?}: {distance:e}");
            assert!((whole.loss() - split.loss()).abs() < 1e-6 * whole.loss());
            assert_eq!((whole.denominator, whole.tokens, whole.rows), (split.denominator, split.tokens, split.rows));
        }
    }
}

/// Trains 50 steps on windows of eight rows; the last window of an epoch has three.
fn fifty_losses(model: Model, data: &[Example], loss: Box<dyn Loss>, batch_size: usize, dropout: bool) -> Vec<f64> {
    let directory = tempfile::tempdir().unwrap();
    let spec = TrainSpec {
        epochs: 10,
        batch_size,
        gradient_accumulation_steps: 8 / batch_size,
        dropout,
        optimizer: AdamW { learning_rate: 1e-3, ..Default::default() },
        ..spec(directory.path())
    };
    let (outcome, recorder) = train(model, spec, Roles::new(loss), data, &[]);
    assert_eq!(outcome.unwrap().steps, 50);
    let losses = recorder.losses();
    assert_eq!(losses.len(), 50);
    losses
}

/// Fifty losses are the same for 1 x 8, 2 x 4 and 8 x 1 rows a step.
pub fn same_losses(make: impl Fn() -> (Model, Box<dyn Loss>), data: &[Example], dropout: bool) {
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
