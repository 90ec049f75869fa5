//! What passes through a model in a run: told from the lengths of the rows, in the order in which a run takes them.

use retune_roles::Rows;

use super::sampler::{Position, Sampler};
use super::trainer::sampling;
use crate::spec::TrainSpec;

/// Rows that are looked at before the rest is taken to be like them.
const LOOKED_AT: u64 = 2_000_000;

/// Tokens of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Optimiser steps at most.
    pub steps: u64,
    /// Tokens of all steps.
    pub tokens: u64,
    /// The most tokens of a micro-batch.
    pub largest: u64,
    /// The most tokens of an evaluation's batch, which are the longest rows together.
    pub evaluated: u64,
}

impl Traffic {
    /// Of a run over `train`, evaluated on `validation`. Of very many rows the first two million are looked at.
    pub fn of(spec: &TrainSpec, train: &dyn Rows, validation: &dyn Rows) -> Self {
        let (mut sampler, steps) = sampling(spec, train, 1);
        let mut traffic = Self { steps, ..Self::default() };
        if !train.is_empty() {
            traffic.training(spec, train, &mut sampler);
        }
        let mut lengths: Vec<usize> = (0..validation.len()).map(|row| validation.length(row)).collect();
        lengths.sort_unstable();
        let batch = spec.evaluation.batch_size.unwrap_or(spec.batch_size);
        traffic.evaluated = lengths.iter().rev().take(batch).sum::<usize>() as u64;
        traffic
    }

    fn training(&mut self, spec: &TrainSpec, train: &dyn Rows, sampler: &mut Sampler) {
        let (mut at, mut rows, mut taken) = (Position::default(), 0, 0);
        while taken < self.steps && rows < LOOKED_AT {
            let window = sampler.take(at, 0, 1).rows;
            for micro in window.chunks(spec.batch_size) {
                let tokens = micro.iter().map(|&row| train.length(row)).sum::<usize>() as u64;
                self.largest = self.largest.max(tokens);
                self.tokens += tokens;
            }
            rows += window.len() as u64;
            taken += 1;
            at = sampler.after(at);
        }
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
        let traffic = Traffic::of(&spec, &train, &validation);
        assert_eq!(traffic, Traffic { steps: 12, tokens: 440, largest: 100, evaluated: 17 });
        let all = Traffic::of(&TrainSpec { batch_size: 5, ..spec }, &train, &Vec::<Example>::new());
        assert_eq!((all.largest, all.evaluated), (110, 0));
    }
}
