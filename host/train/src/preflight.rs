//! What can be known to be wrong before the first step.

use retune_roles::{Example, Metric, Target, nearest::nearest};

use crate::{
    error::{TrainError, list},
    model::{Input, Model, Task},
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
            rows.iter().max_by_key(|row| row.input_ids.len()),
            rows.iter().min_by_key(|row| row.input_ids.len()),
            rows.iter().max_by_key(|row| row.input_ids.iter().max()),
            rows.iter().max_by_key(|row| row.token_type_ids.iter().max()),
            rows.iter().find(|row| !row.token_type_ids.is_empty() && row.token_type_ids.len() != row.input_ids.len()),
            rows.iter()
                .find(|row| matches!(&row.target, Target::Tokens(labels) if labels.len() != row.input_ids.len())),
        ];
        for row in extremes.into_iter().flatten() {
            Input::from_examples(&[row], model.config(), model.device())?;
        }
    }
    Ok(())
}

fn target(task: &Task, what: &str, row: &Example) -> Result<(), TrainError> {
    let refuse = |problem: String, help: &str| Err(TrainError::Data { problem, help: Some(help.to_string()) });
    match (task, &row.target) {
        (Task::SequenceClassification { labels }, Target::Class(class)) if (*class as usize) < labels.len() => Ok(()),
        (Task::SequenceClassification { labels }, Target::Class(class)) => refuse(
            format!("{what} row {} has class {class}, but the model has {} labels", row.key, labels.len()),
            "the label set must cover every row",
        ),
        (Task::CausalLm, Target::Tokens(_)) => Ok(()),
        (_, Target::None) => {
            refuse(format!("{what} row {} has no label", row.key), "name the column with the labels in data.columns")
        }
        (Task::SequenceClassification { .. }, Target::Tokens(_)) => refuse(
            format!("{what} row {} has a label a token, expected one class", row.key),
            "check the task of data and model",
        ),
        (Task::CausalLm, Target::Class(_)) => refuse(
            format!("{what} row {} has one class, expected a label a token", row.key),
            "check the task of data and model",
        ),
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
