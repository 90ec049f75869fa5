//! What passes through a model in a run: told from the lengths of the rows, in the order in which a run takes them.

use retune_roles::{Example, Rows, Target};

use super::sampler::{Position, Sampler};
use super::trainer::sampling;
use crate::spec::TrainSpec;

/// Rows that are looked at before the rest is taken to be like them.
const LOOKED_AT: u64 = 2_000_000;

/// Rows that are read, for what their lengths do not say.
const READ: u64 = 200_000;

/// Tokens of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Optimiser steps at most.
    pub steps: u64,
    /// Tokens of all steps.
    pub tokens: u64,
    /// The most tokens of a micro-batch.
    pub largest: u64,
    /// The most tokens of a micro-batch that carry a label, where tokens do.
    pub targets: u64,
    /// The most tokens of a batch of validation rows, which are the longest ones together.
    pub evaluated: u64,
    /// Those of them that carry a label.
    pub evaluated_targets: u64,
    /// The same of the test rows.
    pub tested: u64,
    /// Those of them that carry a label.
    pub tested_targets: u64,
    /// Tokens that stand before the last learnt stretch of a validation row, at most: the longest question.
    pub longest_question: u64,
    /// Different tokens that training reads.
    pub distinct: u64,
}

/// Rows, cut at some length.
struct Cut<'a> {
    rows: &'a dyn Rows,
    longest: usize,
    /// Whether tokens carry labels, so that rows have to be read to be counted.
    labelled: bool,
}

impl<'a> Cut<'a> {
    fn new(rows: &'a dyn Rows, longest: usize) -> Self {
        let first = (!rows.is_empty()).then(|| rows.get(0));
        let labelled = first.is_some_and(|row| matches!(row.target, Target::None | Target::Labels(_)));
        Self { rows, longest, labelled }
    }

    fn length(&self, row: usize) -> usize {
        self.rows.length(row).min(self.longest)
    }

    fn targets(&self, row: usize) -> u64 {
        if self.labelled { targets(&self.rows.get(row), self.longest) } else { 0 }
    }

    /// Tokens of the `batch` longest rows, and labels of these.
    fn longest_batch(&self, batch: usize) -> [u64; 2] {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_cached_key(|&row| std::cmp::Reverse(self.length(row)));
        order.truncate(batch);
        let tokens = order.iter().map(|&row| self.length(row) as u64).sum();
        let labels = order.iter().map(|&row| self.targets(row)).sum();
        [tokens, labels]
    }

    fn longest_question(&self) -> u64 {
        let rows = if self.labelled { self.rows.len().min(READ as usize) } else { 0 };
        let question = |row| {
            let row = self.rows.get(row);
            row.sequences.iter().filter_map(|sequence| sequence.learnt.last()).map(|range| range.start).max()
        };
        (0..rows).filter_map(question).max().map_or(0, |longest| u64::from(longest).min(self.longest as u64))
    }
}

/// Tokens of a row's first `longest` that carry a label.
fn targets(row: &Example, longest: usize) -> u64 {
    match &row.target {
        Target::Labels(labels) => labels.iter().take(longest).filter(|label| **label >= 0).count() as u64,
        _ => {
            let ranges = row.sequences.iter().flat_map(|sequence| &sequence.learnt);
            let learnt =
                ranges.map(|range| (range.end as usize).min(longest).saturating_sub((range.start as usize).max(1)));
            learnt.sum::<usize>() as u64
        }
    }
}

/// Adds a number to a set of them.
fn see(seen: &mut Vec<u64>, number: usize) {
    let (word, bit) = (number / 64, number % 64);
    if seen.len() <= word {
        seen.resize(word + 1, 0);
    }
    seen[word] |= 1 << bit;
}

impl Traffic {
    /// Of a run over `train`, evaluated on `validation` and then on `test`, all rows cut at `longest`. Of very many rows the first two
    /// million are looked at, and the first 200,000 read.
    pub fn of(spec: &TrainSpec, train: &dyn Rows, validation: &dyn Rows, test: &dyn Rows, longest: usize) -> Self {
        let (mut sampler, steps) = sampling(spec, train, 1);
        let mut traffic = Self { steps, ..Self::default() };
        if !train.is_empty() {
            traffic.training(spec, &Cut::new(train, longest), &mut sampler);
        }
        let batch = spec.evaluation.batch_size.unwrap_or(spec.batch_size);
        let validation = Cut::new(validation, longest);
        [traffic.evaluated, traffic.evaluated_targets] = validation.longest_batch(batch);
        traffic.longest_question = validation.longest_question();
        [traffic.tested, traffic.tested_targets] = Cut::new(test, longest).longest_batch(batch);
        traffic
    }

    /// Of batches of so many tokens, in training and evaluation, all of which carry labels, made of rows of `longest`.
    pub fn of_longest(longest: u64, largest: u64, evaluated: u64) -> Self {
        Self {
            largest,
            targets: largest,
            evaluated,
            evaluated_targets: evaluated,
            longest_question: longest,
            distinct: u64::MAX,
            ..Self::default()
        }
    }

    fn training(&mut self, spec: &TrainSpec, train: &Cut<'_>, sampler: &mut Sampler) {
        let (mut at, mut rows, mut taken, mut seen) = (Position::default(), 0, 0, Vec::new());
        while taken < self.steps && rows < LOOKED_AT {
            let window = sampler.take(at, 0, 1).rows;
            for micro in window.chunks(spec.batch_size) {
                let tokens = micro.iter().map(|&row| train.length(row)).sum::<usize>() as u64;
                self.largest = self.largest.max(tokens);
                self.tokens += tokens;
                if rows < READ {
                    let read: Vec<_> = micro.iter().map(|&row| train.rows.in_epoch(row, at.epoch)).collect();
                    let labels =
                        if train.labelled { read.iter().map(|row| targets(row, train.longest)).sum() } else { 0 };
                    self.targets = self.targets.max(labels);
                    let ids = read.iter().flat_map(|row| row.sequences.iter().flat_map(|sequence| &sequence.ids));
                    ids.for_each(|id| see(&mut seen, *id as usize));
                }
            }
            rows += window.len() as u64;
            taken += 1;
            at = sampler.after(at);
        }
        self.distinct = seen.iter().map(|word: &u64| u64::from(word.count_ones())).sum();
        if taken > 0 {
            self.tokens = (u128::from(self.tokens) * u128::from(self.steps) / u128::from(taken)) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use retune_roles::{Example, Sequence, Target};

    use super::*;
    use crate::spec::EvaluationSpec;

    fn rows(lengths: &[usize]) -> Vec<Example> {
        let row = |length: &usize| Example::new("row", Sequence::of(vec![5; *length]), Target::Class(0));
        lengths.iter().map(row).collect()
    }

    #[test]
    fn every_token_of_every_epoch_is_counted_and_the_largest_batch_found() {
        let (train, validation) = (rows(&[1, 2, 3, 4, 100]), rows(&[7, 9, 8]));
        let spec = TrainSpec {
            epochs: 4,
            batch_size: 1,
            gradient_accumulation_steps: 2,
            evaluation: EvaluationSpec { batch_size: Some(2), ..EvaluationSpec::default() },
            ..TrainSpec::default()
        };
        let test = rows(&[50]);
        let traffic = Traffic::of(&spec, &train, &validation, &test, usize::MAX);
        let counted = Traffic { steps: 12, tokens: 440, largest: 100, distinct: 1, ..Traffic::default() };
        assert_eq!(traffic, Traffic { evaluated: 17, tested: 50, ..counted });
        let nothing = Vec::<Example>::new();
        let all = Traffic::of(&TrainSpec { batch_size: 5, ..spec.clone() }, &train, &nothing, &nothing, usize::MAX);
        assert_eq!((all.largest, all.evaluated), (110, 0));
        let cut = Traffic::of(&spec, &train, &validation, &test, 8);
        assert_eq!((cut.largest, cut.tokens, cut.evaluated, cut.tested), (8, 72, 16, 8));
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
    fn labels_of_tokens_are_counted_where_they_are_drawn_and_where_they_are_learnt() {
        let mut chat = Example::new("chat", Sequence::of(vec![5; 9]), Target::None);
        chat.sequences[0].learnt = vec![0..3, 7..9];
        let hidden = Example::new("hidden", Sequence::of(vec![5; 4]), Target::Labels(vec![-100, 7, -100, 3]));
        let spec = TrainSpec { epochs: 1, batch_size: 1, ..TrainSpec::default() };
        let counted = |row: &Example, longest| {
            let traffic = Traffic::of(&spec, &vec![row.clone()], &vec![row.clone()], &vec![row.clone()], longest);
            assert_eq!([traffic.targets; 2], [traffic.evaluated_targets, traffic.tested_targets]);
            assert_eq!(traffic.longest_question, if row.key == "chat" { 7.min(longest as u64) } else { 0 });
            traffic.targets
        };
        assert_eq!([counted(&chat, 99), counted(&chat, 8), counted(&chat, 5)], [4, 3, 2]);
        assert_eq!([counted(&hidden, 99), counted(&hidden, 3)], [2, 1]);
    }
}
