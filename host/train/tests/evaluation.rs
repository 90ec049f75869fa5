//! What an evaluation finds and tells: independent of batches, small for many labels, with the rows when it fails.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod support;

use retune_roles::{
    Batch, Failure, InputSpec, Loss, LossOutput, Metric, Progress, RoleKind, Sequence, Target, ValueSpec,
    builtin::{Accuracy, CrossEntropy},
};
use retune_tensor::{Device, from_float32};
use retune_train::{HeldOut, Silent, TrainError, evaluate};
use support::*;

#[test]
fn an_evaluation_does_not_depend_on_the_batch_size() {
    let (model, validation) = (bert(0.1), rows(37, 4));
    let run = |batch_size| {
        let mut loss = CrossEntropy::for_sequences();
        let held_out = HeldOut::new(&validation, batch_size);
        evaluate(&model, &held_out, &mut loss, &mut [Box::new(Accuracy::new())], &mut Silent).unwrap()
    };
    let one = run(1);
    for batch_size in [2, 8, 37, 100] {
        let many = run(batch_size);
        assert!((many.loss - one.loss).abs() < 1e-6, "{} and {}", many.loss, one.loss);
        assert_eq!((many.get("accuracy"), many.rows), (one.get("accuracy"), 37));
        assert_eq!(many.confusion, one.confusion);
    }
    let confusion = one.confusion.unwrap();
    let hits: u64 = (0..3).map(|i| confusion.rows(i, i)).sum();
    let all: u64 = confusion.pairs().map(|(.., rows)| rows).sum();
    assert_eq!((all, Some(hits as f64 / all as f64)), (37, run(5).get("accuracy")));
}

#[test]
fn an_evaluation_of_twenty_thousand_labels_keeps_and_writes_the_pairs_that_occur() {
    let mut validation = rows(24, 4);
    for (number, row) in validation.iter_mut().enumerate() {
        row.target = Target::Class(19_999 - (number as u32 % 12) * 1_500);
    }
    let mut loss = CrossEntropy::for_sequences();
    let found = evaluate(&bert_of(20_000), &HeldOut::new(&validation, 8), &mut loss, &mut [], &mut Silent).unwrap();
    let confusion = found.confusion.unwrap();
    // A table of all pairs has 400 million counts.
    assert!((12..=24).contains(&confusion.len()), "{}", confusion.len());
    assert_eq!(confusion.pairs().map(|(.., rows)| rows).sum::<u64>(), 24);
    assert_eq!(confusion.pairs().filter(|(class, ..)| *class == 19_999).map(|(.., rows)| rows).sum::<u64>(), 2);
    assert!(serde_json::to_string(&confusion).unwrap().len() < 24 * 20);
}

#[test]
fn a_role_that_fails_while_a_model_is_evaluated_is_told_with_the_rows_it_was_given() {
    // Four rows, the longest first: none of the two batches is a stretch of the file.
    let mut validation = rows(4, 4);
    for (row, length) in validation.iter_mut().zip([5, 9, 4, 8]) {
        row.sequences = vec![Sequence::of((3..3 + length).collect())];
    }
    let told = |loss: &mut dyn Loss, metric: Box<dyn Metric>| {
        let failed = evaluate(&bert(0.0), &HeldOut::new(&validation, 2), loss, &mut [metric], &mut Silent).unwrap_err();
        let TrainError::Role(failure) = failed else { panic!("{failed}") };
        failure.details().place.clone().unwrap()
    };
    let mut sound = CrossEntropy::for_sequences();
    assert_eq!(told(&mut sound, Box::new(FailsAt(1, Accuracy::new()))), "the evaluation of train.csv:2, train.csv:4");
    assert_eq!(told(&mut sound, Box::new(FailsAt(2, Accuracy::new()))), "the evaluation of train.csv:1, train.csv:3");
    // What the host has against an answer is told there too, not at a step.
    assert_eq!(told(&mut PerRow, Box::new(Accuracy::new())), "the evaluation of train.csv:2, train.csv:4");
}

/// Accuracy that fails in so many batches.
struct FailsAt(usize, Accuracy);

impl Metric for FailsAt {
    fn name(&self) -> &str {
        "fails"
    }
    fn describe(&self) -> &[ValueSpec] {
        self.1.describe()
    }
    fn wants(&self) -> &[InputSpec] {
        self.1.wants()
    }
    fn update(&mut self, batch: &Batch) -> retune_roles::Result<()> {
        self.0 -= 1;
        if self.0 == 0 {
            return Err(Failure::new("fails", RoleKind::Metric, "update", "enough"));
        }
        self.1.update(batch)
    }
    fn snapshot(&mut self) -> retune_roles::Result<Vec<u8>> {
        self.1.snapshot()
    }
    fn merge(&mut self, snapshot: &[u8]) -> retune_roles::Result<()> {
        self.1.merge(snapshot)
    }
    fn compute(&mut self) -> retune_roles::Result<Vec<(String, f64)>> {
        self.1.compute()
    }
    fn reset(&mut self) -> retune_roles::Result<()> {
        self.1.reset()
    }
}

/// A loss whose numerator is not a sum.
struct PerRow;

impl Loss for PerRow {
    fn name(&self) -> &str {
        "per-row"
    }
    fn wants(&self) -> &[InputSpec] {
        &[]
    }
    fn compute(&mut self, batch: &Batch, _: &Progress) -> retune_roles::Result<LossOutput> {
        let per_row = from_float32(vec![1.0; batch.keys().len()], &[batch.keys().len()], &Device::flex()).unwrap();
        Ok(LossOutput { numerator: per_row.clone(), denominator: per_row, reported: Vec::new() })
    }
}
