//! Rows that share a sequence are learnt as they are apart.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod support;

use retune_roles::{Example, Loss as _, Progress, RoleKind, Target, builtin::CrossEntropy};
use retune_train::collate::Collation;
use retune_train::model::Model;
use retune_train::training::step::{Shape, StepSums, compute};
use retune_train::training::workers::Alone;
use support::{splitting::distance, *};

/// `rows` in sequences of so many of them, in the order of `rows`.
fn packed(rows: &[Example], sizes: &[usize]) -> Vec<Example> {
    let mut rest = rows;
    let mut pack = |size: &usize| {
        let (those, others) = rest.split_at(*size);
        rest = others;
        let sequences = those.iter().flat_map(|row| row.sequences.clone()).collect();
        Example { key: format!("{}@0", those[0].key), sequences, target: Target::None, extra: Vec::new() }
    };
    sizes.iter().map(&mut pack).collect()
}

/// One step over all rows, in micro-batches of so many sequences.
fn step(model: &Model, rows: &[Example], batch_size: usize, dropout_seed: Option<u64>) -> StepSums {
    let mut loss = CrossEntropy::for_tokens();
    let mut collation = Collation::new(model.task(), &[]);
    collation.want(RoleKind::Loss, loss.name(), loss.wants()).unwrap();
    let rows: Vec<&Example> = rows.iter().collect();
    let shape = Shape { batch_size, dropout_seed, first: 0 };
    compute(model, &mut loss, &collation, &rows, shape, &Progress::default(), &Alone).unwrap()
}

#[test]
fn a_step_of_packed_rows_is_the_step_of_the_same_rows_apart() {
    for model in [llama(), tied_llama()] {
        let rows = token_rows(11, 3);
        let apart = step(&model, &rows, 4, None);
        for sizes in [&[3, 1, 5, 2][..], &[11], &[1; 11]] {
            let packed = packed(&rows, sizes);
            for batch_size in [1, 2, 8] {
                let found = step(&model, &packed, batch_size, None);
                assert_eq!(
                    (found.tokens, found.rows, found.denominator),
                    (apart.tokens, apart.rows, apart.denominator)
                );
                assert!((found.loss() - apart.loss()).abs() < 1e-5, "{sizes:?}: {} {}", found.loss(), apart.loss());
                assert!(distance(&apart, &found) < 1e-5, "{sizes:?} by {batch_size}: {:e}", distance(&apart, &found));
            }
        }
    }
}

#[test]
fn every_document_drops_out_units_of_its_own_whatever_the_micro_batch() {
    let config = llama_config().replace(r#""rope_theta""#, r#""attention_dropout": 0.3, "rope_theta""#);
    let model = model_of(&config);
    // The same row, so that nothing but dropout tells its copies apart.
    let row = token_rows(1, 3).remove(0);
    let rows = packed(&vec![row.clone(); 4], &[2, 2]);
    let together = step(&model, &rows, 2, Some(3));
    let one_by_one = step(&model, &rows, 1, Some(3));
    assert!(distance(&together, &one_by_one) < 1e-5);
    let alone = |place: usize| {
        let mut rows = rows.clone();
        rows[place / 2].sequences.truncate(1);
        step(&model, &rows, 2, Some(3)).numerator
    };
    let plain = step(&model, &[row], 1, Some(3)).numerator;
    let [first, second] = [together.numerator - alone(2), together.numerator - alone(0)];
    assert!((first - second).abs() > 1e-3, "two documents drop out the same units: {first} and {second}");
    assert!((plain - first).abs() > 1e-3, "the second document drops out what the first does: {plain} and {first}");
}

#[test]
fn a_packed_row_of_a_classification_is_refused() {
    let rows = packed(&rows(2, 1), &[2]);
    let error = bert(0.0).input(&rows.iter().collect::<Vec<_>>()).unwrap_err().to_string();
    assert!(error.contains("it has 2 sequences, expected one for sequence-classification"), "{error}");
}

#[test]
fn recomputing_trains_the_same_model_to_the_byte_packed_or_not() {
    let rows = token_rows(24, 3);
    let packs = packed(&rows, &[3, 1, 5, 2, 4, 1, 3, 5]);
    for data in [&rows, &packs] {
        let [kept, recomputed] = [false, true].map(|gradient_checkpointing| {
            let directory = tempfile::tempdir().unwrap();
            let spec = retune_train::TrainSpec {
                batch_size: 2,
                gradient_accumulation_steps: 2,
                gradient_checkpointing,
                ..spec(directory.path())
            };
            let roles = retune_train::Roles::new(Box::new(CrossEntropy::for_tokens()));
            let (outcome, recorder) = train(tied_llama(), spec, roles, data, &[]);
            (bytes(&outcome.unwrap().model), recorder.losses())
        });
        assert!(kept == recomputed);
    }
}
