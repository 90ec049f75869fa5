//! The rooms' errors as diagnostics, pointed at the line of the recipe they come from.

use std::ops::Range;
use std::path::Path;

use retune_data::DataError;
use retune_train::TrainError;
use retune_train::model::ModelError;

use retune_recipe::diagnostic::Diagnostic;
use retune_recipe::{At, Recipe, Validation};

/// What the data room says.
pub fn data(recipe: &Recipe, error: DataError) -> Diagnostic {
    let help = error.help();
    let columns = &recipe.data.columns;
    let column = |purpose: &str| match purpose {
        "data.columns.text" => columns.text.span(),
        "data.columns.text_pair" => span(&columns.text_pair),
        "data.columns.label" => span(&columns.label),
        "data.columns.prompt" => span(&columns.prompt),
        "data.columns.completion" => span(&columns.completion),
        _ => None,
    };
    let (place, label) = match &error {
        DataError::Stage(failure) => return Diagnostic::from(failure.clone()),
        DataError::FileMissing { path, .. }
        | DataError::FileUnreadable { path, .. }
        | DataError::FormatUnknown { path }
        | DataError::EmptyFile { path }
        | DataError::NoRows { path } => (file(recipe, path), "this file"),
        DataError::ColumnMissing { purpose, .. }
        | DataError::ValueMissing { purpose, .. }
        | DataError::ValueKind { purpose, .. } => (column(purpose), "this column"),
        DataError::MaxLengthTooLong { .. } | DataError::NoRoom { .. } => (recipe.data.max_length.span(), "this length"),
        DataError::LabelUnknown { .. } | DataError::LabelTwice { .. } => {
            (recipe.data.labels.as_ref().and_then(At::span), "the label set")
        }
        DataError::TooFewLabels { .. } => {
            (recipe.data.labels.as_ref().and_then(At::span).or_else(|| span(&columns.label)), "these labels")
        }
        DataError::TokenizerMissing { .. }
        | DataError::TokenizerBroken { .. }
        | DataError::TokenizerDoesNotFit { .. } => (recipe.model.tokenizer.span(), "the tokenizer"),
        _ => (None, ""),
    };
    recipe.diagnostic(error.to_string(), place, label).help_some(help)
}

/// What the model room says while loading.
pub fn model(recipe: &Recipe, error: &ModelError) -> Diagnostic {
    let help = match error {
        ModelError::File { reason, .. } if reason.contains("truncated") || reason.contains("shorter") => {
            Some("fetch the file again: a download may have been cut off")
        }
        ModelError::MissingTensor { .. } | ModelError::TensorShape { .. } => {
            Some("config.json and model.safetensors must come from the same checkpoint")
        }
        _ => None,
    };
    recipe.diagnostic(error.to_string(), recipe.model.base.path().span(), "the base model").help_some(help)
}

/// What the training room says.
pub fn training(recipe: &Recipe, error: TrainError) -> Diagnostic {
    let help = error.help();
    match &error {
        TrainError::Role(failure) => return Diagnostic::from(failure.clone()),
        TrainError::Model(error) => return Diagnostic::new(error.to_string()),
        _ => {}
    }
    let (place, label) = match &error {
        TrainError::Pattern { pattern, .. } => (glob(recipe, pattern), "matches nothing"),
        TrainError::Field { field, .. } if field.starts_with("evaluation.best") => {
            (recipe.evaluation.best.as_ref().and_then(|b| b.metric.span()), "this value")
        }
        TrainError::Field { field, .. } if field.starts_with("strategy.train_top_layers") => {
            (recipe.strategy.train_top_layers.as_ref().and_then(At::span), "here")
        }
        TrainError::NothingLearns { .. } => (recipe.strategy.freeze.first().and_then(At::span), "frozen here"),
        TrainError::Want { role: retune_roles::RoleKind::Loss, .. } => {
            (recipe.loss.as_ref().and_then(|l| l.span()), "this loss")
        }
        _ => (None, ""),
    };
    recipe.diagnostic(error.to_string(), place, label).help_some(help)
}

fn span<T>(value: &Option<At<T>>) -> Option<Range<usize>> {
    value.as_ref().and_then(At::span)
}

/// Where a file is named.
fn file(recipe: &Recipe, path: &Path) -> Option<Range<usize>> {
    let validation = match &recipe.data.validation {
        Validation::File(file) => Some(file),
        Validation::None | Validation::Split(_) => None,
    };
    [Some(&recipe.data.train), validation, recipe.data.test.as_ref()]
        .into_iter()
        .flatten()
        .find(|file| file.as_path() == path)
        .and_then(At::span)
}

/// Where a glob stands.
fn glob(recipe: &Recipe, pattern: &str) -> Option<Range<usize>> {
    let strategy = &recipe.strategy;
    strategy
        .freeze
        .iter()
        .chain(strategy.reinitialize.iter().flat_map(|r| &r.layers))
        .find(|glob| glob.as_str() == pattern)
        .and_then(At::span)
}
