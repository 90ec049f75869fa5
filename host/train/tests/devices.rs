//! Training as a GPU does it, here: burn's operations instead of the CPU's kernels, and what goes over the bus.
//!
//! A binary of its own, because the choice is the process's. Tests take turns for the same reason.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};

use retune_roles::builtin::CrossEntropy;
use retune_roles::{Example, Loss, Progress, RoleKind};
use retune_tensor::device::Portable;
use retune_tensor::transfer::{Transfers, so_far};
use retune_train::TrainSpec;
use retune_train::collate::Collation;
use retune_train::model::{Model, Task};
use retune_train::training::step::{self, Shape, StepSums};
use retune_train::training::workers::Alone;
use support::{bert, llama, roles, rows, spec, tied_llama, token_rows, train};

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One step in micro-batches of four rows, with dropout where the model has any.
fn one(model: &Model, rows: &[Example]) -> StepSums {
    let mut loss = match model.task() {
        Task::SequenceClassification { .. } => CrossEntropy::for_sequences(),
        _ => CrossEntropy::for_tokens(),
    };
    let mut collation = Collation::new(model.task(), &[]);
    collation.want(RoleKind::Loss, "cross-entropy", loss.wants()).unwrap();
    let rows: Vec<&Example> = rows.iter().collect();
    let shape = Shape { batch_size: 4, dropout_seed: Some(3), first: 0 };
    step::compute(model, &mut loss, &collation, &rows, shape, &Progress::default(), &Alone).unwrap()
}

fn transfers(work: impl FnOnce()) -> Transfers {
    let before = so_far();
    work();
    so_far() - before
}

#[test]
fn a_step_of_other_devices_has_the_loss_and_the_gradients_of_the_cpus() {
    let _turn = turn();
    for (name, model, rows) in [
        ("bert", bert(0.0), rows(10, 1)),
        ("bert with dropout", bert(0.3), rows(10, 1)),
        ("llama", llama(), token_rows(10, 2)),
        ("tied llama", tied_llama(), token_rows(10, 2)),
    ] {
        let expected = one(&model, &rows);
        let found = {
            let _portable = Portable::new();
            one(&model, &rows)
        };
        assert!((found.loss() - expected.loss()).abs() < 1e-5, "{name}: {} and {}", found.loss(), expected.loss());
        assert_eq!(
            (found.tokens, found.rows, found.denominator),
            (expected.tokens, expected.rows, expected.denominator)
        );
        let parameters = model.parameters().iter();
        for (parameter, (found, expected)) in parameters.zip(found.gradients.iter().zip(expected.gradients.iter())) {
            let [found, expected] = [found, expected].map(|gradient| gradient.unwrap().to_vec().unwrap());
            let most = expected.iter().fold(1e-2f32, |most, x| most.max(x.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                let difference = (found - expected).abs();
                assert!(difference <= 2e-5 * most, "{name}, {}: {found} is not {expected}", parameter.name);
            }
        }
    }
}

#[test]
fn a_run_on_other_devices_follows_the_cpus() {
    let _turn = turn();
    let run = || {
        let directory = tempfile::tempdir().unwrap();
        let spec = TrainSpec { dropout: true, ..spec(directory.path()) };
        let (outcome, recorder) = train(bert(0.1), spec, roles(), &rows(24, 1), &rows(8, 2));
        outcome.unwrap();
        let evaluations: Vec<f64> = recorder.evaluations().into_iter().map(|(_, values)| values[0].1).collect();
        (recorder.losses(), evaluations)
    };
    let expected = run();
    let _portable = Portable::new();
    let found = run();
    assert_eq!((found.0.len(), found.1.len()), (12, 2));
    for (found, expected) in found.0.iter().chain(&found.1).zip(expected.0.iter().chain(&expected.1)) {
        assert!((found - expected).abs() < 2e-4, "{found} is not {expected}");
    }
}

#[test]
fn a_step_reads_its_loss_and_its_gradients_norms_and_nothing_for_each_micro_batch() {
    let _turn = turn();
    let _portable = Portable::new();
    for (model, rows) in [(bert(0.3), rows(12, 1)), (llama(), token_rows(12, 2))] {
        let parameters = model.parameters().len() as u64;
        for micro_batches in [1, 3] {
            let moved = transfers(|| drop(one(&model, &rows[..4 * micro_batches])));
            // A numerator and a denominator of each micro-batch in one piece, and a norm of each gradient in another.
            assert_eq!((moved.reads, moved.read_bytes), (2, 4 * (2 * micro_batches as u64 + parameters)));
        }
    }
}

#[test]
fn a_language_model_sends_angles_and_labels_for_each_token_and_nothing_for_each_layer() {
    let _turn = turn();
    let _portable = Portable::new();
    let rows: Vec<Example> = token_rows(400, 2).into_iter().filter(|row| row.tokens() == 20).take(4).collect();
    let model = llama();
    let found = transfers(|| drop(one(&model, &rows))).sent_bytes;
    // Heads of width 8. Of 20 tokens 18 are learnt, predicted by those before them.
    let (spans, longest, learnt, width) = (4, 20, 18, 8);
    let tokens = spans * longest;
    let network = 4 * tokens + 4 * tokens * width; // Ids; a cosine and a sine of each pair.
    let documents = 4 * (2 * tokens + spans + longest) + 2 * 4 * longest; // And what a causal pattern sees.
    // Labels; the tokens that are scored and their classes; where each score goes, and what stands elsewhere.
    let labels = 8 * tokens + 2 * 8 * spans * learnt + 8 * tokens + 2 * 8;
    assert_eq!(found, network + documents + labels);
}

#[test]
fn what_a_step_sends_grows_with_tokens_and_not_with_what_drops_out_of_them() {
    let _turn = turn();
    let _portable = Portable::new();
    // Rows of one length, so that the sum is a formula: 4 rows of 20 tokens, 2 layers of 2 heads, width 16.
    let rows: Vec<Example> = rows(400, 1).into_iter().filter(|row| row.tokens() == 20).take(4).collect();
    let (spans, longest, layers, heads, hidden, inner) = (4, 20, 2, 2, 16, 3);
    let tokens = spans * longest;
    let (plain, dropping) = (bert(0.0), bert(0.3));
    let plain = transfers(|| drop(one(&plain, &rows)));
    let ids = 4 * tokens + 4 * tokens; // Ids and positions.
    let labels = 8 * spans + 8 * spans; // Labels, and the classes of their scores.
    let pooled = 4 * spans; // Where the classifier reads.
    let documents = 4 * (2 * tokens + spans + longest);
    assert_eq!(plain.sent_bytes, ids + labels + pooled + documents);

    let dropped = transfers(|| drop(one(&dropping, &rows))).sent_bytes - plain.sent_bytes;
    // Streams of the lines, steps of the counter, lanes: forward and backward.
    let lines = |lines: u64, width: u64| 2 * 8 * (lines + width.div_ceil(4) + 4);
    let attention = 2 * 8 * (spans + heads * longest + longest.div_ceil(4) + 4);
    let expected =
        lines(tokens, hidden) + lines(spans, hidden) + layers * ((inner - 1) * lines(tokens, hidden) + attention);
    assert_eq!(dropped, expected);
}
