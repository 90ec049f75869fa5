//! What can be known to be wrong before the first step.

use retune_roles::{Example, Metric, Sequence, Task, nearest::nearest};

use crate::{
    error::{TrainError, list},
    model::Model,
    spec::{Mode, TrainSpec},
};

/// Refuses examples that this model cannot be trained or evaluated on, by key.
pub(crate) fn examples(
    model: &Model,
    train: &[Example],
    validation: &[Example],
    columns: &[String],
) -> Result<(), TrainError> {
    if train.is_empty() {
        let help = "check the data report: every row may have been dropped by a preprocessor";
        return Err(TrainError::Data { problem: "there are no rows to train on".into(), help: Some(help.into()) });
    }
    for (what, rows) in [("training", train), ("validation", validation)] {
        for row in rows {
            target(model.task(), what, row)?;
            if row.extra.len() != columns.len() {
                let problem = format!(
                    "{what} row {} has {} further columns, expected {}",
                    row.key,
                    row.extra.len(),
                    columns.len()
                );
                return Err(TrainError::Data { problem, help: None });
            }
        }
        // The extremes stand for all rows: making a tensor of each would cost minutes on large sets.
        let extremes = [
            rows.iter().max_by_key(|row| row.tokens()),
            rows.iter().min_by_key(|row| row.tokens()),
            rows.iter().max_by_key(|row| row.sequences.iter().flat_map(|s| &s.ids).max()),
            rows.iter().max_by_key(|row| row.sequences.iter().flat_map(|s| &s.segments).max()),
            rows.iter().find(|row| row.sequences.len() != 1 || row.sequences.iter().any(uneven)),
        ];
        for row in extremes.into_iter().flatten() {
            model.input(&[row])?;
        }
    }
    Ok(())
}

fn uneven(sequence: &Sequence) -> bool {
    !sequence.segments.is_empty() && sequence.segments.len() != sequence.len()
}

fn target(task: &Task, what: &str, row: &Example) -> Result<(), TrainError> {
    task.check(row).map_err(|found| TrainError::Data {
        problem: format!("{what} row {} {}", row.key, found.reason),
        help: Some(found.help.to_string()),
    })
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
    let described = || metrics.iter().flat_map(|metric| metric.describe());
    let own = if best.metric == "loss" {
        Some(Mode::Min)
    } else {
        let value = described().find(|value| value.name == best.metric);
        value.map(|value| if value.higher_is_better { Mode::Max } else { Mode::Min })
    };
    match own {
        Some(own) => Ok(best.mode.unwrap_or(own)),
        None => {
            let names: Vec<String> =
                std::iter::once("loss".to_string()).chain(described().map(|value| value.name.clone())).collect();
            Err(TrainError::Field {
                field: "evaluation.best.metric".into(),
                problem: format!("no metric of this run gives `{}`; there is {}", best.metric, list(&names)),
                help: nearest(&best.metric, names.iter().map(String::as_str))
                    .map(|name| format!("did you mean `{name}`?")),
            })
        }
    }
}
