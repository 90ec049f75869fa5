//! What can be known to be wrong is refused before any training.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod support;

use retune_roles::{Example, Target};
use retune_train::{Best, EarlyStopping, Roles, Strategy, TrainError, TrainSpec, Trainer, model::Model};
use support::*;

fn refusal(
    model: Model,
    change: impl FnOnce(&mut TrainSpec, &mut Vec<Example>, &mut Vec<Example>, &mut Roles),
) -> TrainError {
    let directory = tempfile::tempdir().unwrap();
    let (mut spec, mut data, mut validation, mut roles) = (spec(directory.path()), rows(10, 1), rows(5, 2), roles());
    change(&mut spec, &mut data, &mut validation, &mut roles);
    let refused = Trainer::new(model, spec, roles, &data, &validation).err().unwrap();
    assert!(!directory.path().join("checkpoints").exists(), "nothing is written before training");
    refused
}

#[track_caller]
fn says(error: &TrainError, message: &str, help: Option<&str>) {
    assert_eq!(error.to_string(), message);
    assert_eq!(error.help().as_deref(), help);
}

#[test]
fn an_unknown_best_metric_names_the_nearest() {
    let error =
        refusal(bert(0.0), |spec, _, _, _| spec.evaluation.best = Some(Best { metric: "acuracy".into(), mode: None }));
    says(
        &error,
        "evaluation.best.metric: no metric of this run gives `acuracy`; there is `loss` and `accuracy`",
        Some("did you mean `accuracy`?"),
    );
}

#[test]
fn choosing_the_best_needs_a_validation_set() {
    let error = refusal(bert(0.0), |spec, _, validation, _| {
        spec.evaluation.best = Some(Best { metric: "loss".into(), mode: None });
        validation.clear();
    });
    says(&error, "evaluation.best: there is no validation set to choose the best weights on", None);
    let error = refusal(bert(0.0), |spec, _, validation, _| {
        spec.evaluation.early_stopping = Some(EarlyStopping { patience: 1, min_delta: 0.0 });
        validation.clear();
    });
    says(&error, "evaluation.early_stopping: there is no validation set to watch", None);
}

#[test]
fn a_freeze_pattern_that_matches_nothing_names_the_nearest() {
    let error = refusal(bert(0.0), |spec, _, _, _| {
        spec.strategy = Strategy { freeze: vec!["encoder.layr.0.**".into()], ..Strategy::default() }
    });
    assert_eq!(error.to_string(), "strategy.freeze: the pattern `encoder.layr.0.**` matches no parameter");
    assert!(error.help().unwrap().contains("encoder.layer.0"), "{:?}", error.help());
}

#[test]
fn freezing_everything_is_refused() {
    let error = refusal(bert(0.0), |spec, _, _, _| {
        spec.strategy = Strategy { freeze: vec!["**".into()], ..Strategy::default() }
    });
    assert_eq!(error.to_string(), "strategy: no parameter is left that learns");
}

#[test]
fn an_empty_training_set_is_refused() {
    let error = refusal(bert(0.0), |_, data, _, _| data.clear());
    assert_eq!(error.to_string(), "there are no rows to train on");
}

#[test]
fn a_row_that_does_not_fit_the_model_is_named() {
    let error = refusal(bert(0.0), |_, data, _, _| data[3].sequences[0].ids = vec![7, 60]);
    assert_eq!(
        error.to_string(),
        "sample train.csv:4: token id 60 is outside the model's vocabulary of 60; the tokenizer does not fit the model"
    );
    let error = refusal(bert(0.0), |_, _, validation, _| validation[2].sequences[0].ids = vec![7; 25]);
    assert_eq!(
        error.to_string(),
        "sample train.csv:3: it has 25 tokens, but the model has 24 positions; lower max_length"
    );
    let error = refusal(bert(0.0), |_, data, _, _| data[0].sequences[0].ids.clear());
    assert_eq!(error.to_string(), "sample train.csv:1: it has no tokens");
    let error = refusal(bert(0.0), |_, data, _, _| data[5].target = Target::Class(3));
    assert_eq!(error.to_string(), "training row train.csv:6 has class 3, but the model has 3 labels");
    let error = refusal(bert(0.0), |_, data, _, _| data[5].target = Target::None);
    assert_eq!(error.to_string(), "training row train.csv:6 has no label");
    let error = refusal(llama(), |_, _, _, _| {});
    assert_eq!(error.to_string(), "training row train.csv:1 has a class, expected tokens to learn");
    let error = refusal(bert(0.0), |spec, _, _, _| spec.columns = vec!["price".into()]);
    assert_eq!(error.to_string(), "training row train.csv:1 has 0 further columns, expected 1");
}
