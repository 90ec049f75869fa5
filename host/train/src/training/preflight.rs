//! What can be known to be wrong before the first step.

use retune_roles::{Example, Metric, Rows, Sequence, Task, nearest::nearest};

use crate::{
    error::{TrainError, list},
    evaluation::names::ValueNames,
    model::Model,
    spec::{Mode, TrainSpec},
};

/// Refuses rows that this model cannot be trained or evaluated on, by key.
pub(crate) fn rows(
    model: &Model,
    train: &dyn Rows,
    validation: &dyn Rows,
    columns: &[String],
) -> Result<(), TrainError> {
    if train.is_empty() {
        let help = "check the data report: every row may have been dropped by a preprocessor";
        return Err(TrainError::Data { problem: "there are no rows to train on".into(), help: Some(help.into()) });
    }
    for (what, rows) in [("training", train), ("validation", validation)] {
        let mut extremes = Extremes::default();
        for number in 0..rows.len() {
            let row = rows.get(number);
            target(model.task(), what, &row)?;
            if row.extra.len() != columns.len() {
                let problem = format!(
                    "{what} row {} has {} further columns, expected {}",
                    row.key,
                    row.extra.len(),
                    columns.len()
                );
                return Err(TrainError::Data { problem, help: None });
            }
            extremes.add(number, &row);
        }
        for number in extremes.rows() {
            model.input(&[&rows.get(number)])?;
        }
    }
    Ok(())
}

/// The rows that stand for all others: making a tensor of each row would cost minutes on large sets.
#[derive(Default)]
struct Extremes {
    longest: Option<(usize, usize)>,
    shortest: Option<(usize, usize)>,
    highest_id: Option<(u32, usize)>,
    highest_segment: Option<(u8, usize)>,
    several: Option<usize>,
    odd: Option<usize>,
}

impl Extremes {
    fn add(&mut self, number: usize, row: &Example) {
        let tokens = row.tokens();
        if self.longest.is_none_or(|(most, _)| tokens > most) {
            self.longest = Some((tokens, number));
        }
        if self.shortest.is_none_or(|(least, _)| tokens < least) {
            self.shortest = Some((tokens, number));
        }
        if let Some(&id) = row.sequences.iter().flat_map(|s| &s.ids).max()
            && self.highest_id.is_none_or(|(highest, _)| id > highest)
        {
            self.highest_id = Some((id, number));
        }
        if let Some(&segment) = row.sequences.iter().flat_map(|s| &s.segments).max()
            && self.highest_segment.is_none_or(|(highest, _)| segment > highest)
        {
            self.highest_segment = Some((segment, number));
        }
        if self.several.is_none() && row.sequences.len() != 1 {
            self.several = Some(number);
        }
        if self.odd.is_none() && row.sequences.iter().any(odd) {
            self.odd = Some(number);
        }
    }

    fn rows(&self) -> impl Iterator<Item = usize> {
        let second = |found: Option<(usize, usize)>| found.map(|(_, number)| number);
        let [longest, shortest] = [second(self.longest), second(self.shortest)];
        let (id, segment) = (self.highest_id.map(|(_, n)| n), self.highest_segment.map(|(_, n)| n));
        [longest, shortest, id, segment, self.several, self.odd].into_iter().flatten()
    }
}

/// Empty, or with a segment for some tokens only.
fn odd(sequence: &Sequence) -> bool {
    sequence.is_empty() || (!sequence.segments.is_empty() && sequence.segments.len() != sequence.len())
}

fn target(task: &Task, what: &str, row: &Example) -> Result<(), TrainError> {
    task.check(row).map_err(|found| TrainError::Data {
        problem: format!("{what} row {} {}", row.key, found.reason),
        help: Some(found.help.to_string()),
    })
}

/// What a person should know of a warm-up that leaves nothing of the run, or next to nothing.
pub(crate) fn warm_up(spec: &TrainSpec, total: u64) -> Option<String> {
    let warmup = spec.lr_scheduler.warmup(total);
    let highest = (0..total).map(|step| spec.lr_scheduler.factor(step, total)).fold(0.0, f64::max);
    let steps = |n: u64| if n == 1 { "1 step".to_string() } else { format!("{n} steps") };
    let (run, warmup) = (steps(total), steps(warmup));
    if highest == 0.0 {
        Some(format!(
            "the run has {run} and the warm-up {warmup}: the learning rate is 0 throughout, so nothing is learnt; \
             shorten the warm-up"
        ))
    } else if highest < 1.0 {
        Some(format!(
            "the warm-up of {warmup} is as long as the run of {run}: the learning rate reaches {:.1e} of {:.1e}; \
             shorten the warm-up",
            highest * spec.optimizer.learning_rate,
            spec.optimizer.learning_rate
        ))
    } else {
        None
    }
}

/// Which way the watched value is better; refuses a `best.metric` that nothing gives.
pub(crate) fn best(spec: &TrainSpec, metrics: &[Box<dyn Metric>], no_validation: bool) -> Result<Mode, TrainError> {
    let Some(best) = &spec.evaluation.best else {
        if spec.evaluation.early_stopping.is_some() && no_validation {
            return Err(TrainError::field("evaluation.early_stopping", "there is no validation set to watch"));
        }
        return Ok(Mode::Min);
    };
    if no_validation {
        return Err(TrainError::field("evaluation.best", "there is no validation set to choose the best weights on"));
    }
    let given = ValueNames::of(metrics);
    let described = || given.described().zip(metrics.iter().flat_map(|metric| metric.describe()));
    let own = if best.metric == "loss" {
        Some(Mode::Min)
    } else {
        let value = described().find(|(name, _)| *name == best.metric);
        value.map(|(_, value)| if value.higher_is_better { Mode::Max } else { Mode::Min })
    };
    match own {
        Some(own) => Ok(best.mode.unwrap_or(own)),
        None => {
            let names: Vec<String> =
                std::iter::once("loss".to_string()).chain(described().map(|(name, _)| name.to_string())).collect();
            Err(TrainError::Field {
                field: "evaluation.best.metric".into(),
                problem: format!("no metric of this run gives `{}`; there is {}", best.metric, list(&names)),
                help: nearest(&best.metric, names.iter().map(String::as_str))
                    .map(|name| format!("did you mean `{name}`?")),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::spec::AdamW;

    fn warned(warmup: u64, total: u64) -> Option<String> {
        let mut spec =
            TrainSpec { optimizer: AdamW { learning_rate: 5e-5, ..AdamW::default() }, ..TrainSpec::default() };
        spec.lr_scheduler.warmup_steps = Some(warmup);
        warm_up(&spec, total)
    }

    #[test]
    fn a_warm_up_that_leaves_nothing_of_the_run_is_told_with_the_rate_it_reaches() {
        assert_eq!(
            warned(1, 1).unwrap(),
            "the run has 1 step and the warm-up 1 step: the learning rate is 0 throughout, so nothing is learnt; \
             shorten the warm-up"
        );
        // Of ten steps with a warm-up of 500 the last has a rate of 9/500 of the peak.
        let said = warned(500, 10).unwrap();
        assert!(said.contains("500 steps is as long as the run of 10 steps"), "{said}");
        assert!(said.contains("reaches 9.0e-7 of 5.0e-5"), "{said}");
        assert!(warned(10, 10).is_some());
        assert_eq!(warned(9, 10), None);
        assert_eq!(warned(0, 1), None);
    }
}
