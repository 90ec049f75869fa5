//! The rooms' errors as diagnostics, pointed at the line of the recipe they come from.

use std::path::Path;

use retune_data::{ChatError, DataError};
use retune_train::TrainError;
use retune_train::model::ModelError;

use retune_recipe::Recipe;
use retune_recipe::diagnostic::Diagnostic;
use retune_recipe::place::Place;

/// What the data room says.
pub fn data(recipe: &Recipe, error: DataError) -> Diagnostic {
    let help = error.help();
    let (place, label) = match &error {
        DataError::Stage(failure) => return Diagnostic::from(failure.clone()),
        DataError::FileMissing { path, .. }
        | DataError::FileUnreadable { path, .. }
        | DataError::FormatUnknown { path }
        | DataError::EmptyFile { path }
        | DataError::NoRows { path } => (file(recipe, path), "this file"),
        DataError::ColumnMissing { purpose, .. }
        | DataError::ValueMissing { purpose, .. }
        | DataError::ValueKind { purpose, .. } => (recipe.place(purpose), "this column"),
        DataError::Chat(ChatError::NoTemplate { .. }) => {
            (recipe.place("model.tokenizer").or_else(|| recipe.place("model.base")), "the tokenizer")
        }
        DataError::Chat(error) => (chat_key(error).and_then(|key| recipe.place(key)), "this key"),
        DataError::TagsUnlikeWords { .. } | DataError::TagColumnNotNamed => {
            (recipe.place("data.columns.tags").or_else(|| recipe.place("data.columns")), "these tags")
        }
        DataError::LabelColumnsNotNamed { .. } | DataError::NumbersUneven { .. } => {
            let place = recipe.place("data.columns.label").or_else(|| recipe.place("data.columns"));
            (place, "these columns")
        }
        DataError::NoWords { .. } => (recipe.place("data.mask.whole_word"), "this key"),
        DataError::MaxLengthTooLong { .. } | DataError::NoRoom { .. } => {
            (recipe.place("data.max_length"), "this length")
        }
        DataError::LabelUnknown { .. } | DataError::LabelTwice { .. } => (recipe.place("data.labels"), "the label set"),
        DataError::TooFewLabels { .. } => {
            (recipe.place("data.labels").or_else(|| recipe.place("data.columns.label")), "these labels")
        }
        DataError::TokenizerMissing { .. }
        | DataError::TokenizerBroken { .. }
        | DataError::TokenizerLacksToken { .. }
        | DataError::TokenizerWithoutTemplate { .. }
        | DataError::TokenizerOption { .. }
        | DataError::NoMaskToken { .. }
        | DataError::TokenizerDoesNotFit { .. } => {
            (recipe.place("model.tokenizer").or_else(|| recipe.place("model.base")), "the tokenizer")
        }
        _ => (None, ""),
    };
    recipe.diagnostic(error.to_string(), place, label).help_some(help)
}

/// The key of a recipe that a problem with conversations comes from.
fn chat_key(error: &ChatError) -> Option<&'static str> {
    Some(match error {
        ChatError::TemplateUnknown { .. } | ChatError::TemplateBroken { .. } => "data.chat.template",
        ChatError::NotMessages { .. } => "data.columns.messages",
        ChatError::NotTools { .. } => "data.columns.tools",
        ChatError::LastNotAssistant { .. } | ChatError::WeightWithAll { .. } => "data.chat.learn",
        ChatError::WeightKind { .. } => "data.chat.weight",
        ChatError::Undated { .. } => "data.chat",
        _ => return None,
    })
}

/// What the model room says while loading.
pub fn model(recipe: &Recipe, error: &ModelError) -> Diagnostic {
    if let ModelError::Adapter { key, help, .. } = error {
        let place = recipe.nearest_place(&format!("adapter.{key}")).or_else(|| recipe.place("adapter"));
        return recipe.diagnostic(error.to_string(), place, "here").help_some(help.clone());
    }
    let help = match error {
        ModelError::File { reason, .. } if reason.contains("truncated") || reason.contains("shorter") => {
            Some("fetch the file again: a download may have been cut off")
        }
        ModelError::MissingTensor { .. } | ModelError::TensorShape { .. } => {
            Some("config.json and model.safetensors must come from the same checkpoint")
        }
        _ => None,
    };
    recipe.diagnostic(error.to_string(), recipe.place(recipe.model.start().key()), "the base model").help_some(help)
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
            (recipe.place("evaluation.best.metric"), "this value")
        }
        TrainError::Field { field, .. } if field.starts_with("strategy.train_top_layers") => {
            (recipe.place("strategy.train_top_layers"), "here")
        }
        TrainError::Field { field, .. } if field.starts_with("strategy.") => (recipe.nearest_place(field), "here"),
        TrainError::NothingLearns { .. } => {
            (recipe.place("strategy.freeze[0]").or_else(|| recipe.place("strategy.freeze")), "frozen here")
        }
        TrainError::Want { role: retune_roles::RoleKind::Loss, .. } => {
            (recipe.nearest_place("loss.plugin"), "this loss")
        }
        _ => (None, ""),
    };
    recipe.diagnostic(error.to_string(), place, label).help_some(help)
}

/// Where a file is named.
fn file<'a>(recipe: &'a Recipe, path: &Path) -> Option<&'a Place> {
    let data = &recipe.data;
    let files = [
        ("data.train", Some(&*data.train)),
        ("data.validation", data.validation_file()),
        ("data.test", data.test.as_deref()),
    ];
    files.into_iter().find(|(_, file)| *file == Some(path)).and_then(|(key, _)| recipe.place(key))
}

/// Where a glob stands.
fn glob<'a>(recipe: &'a Recipe, pattern: &str) -> Option<&'a Place> {
    let strategy = &recipe.strategy;
    let reset = strategy
        .reinitialize
        .iter()
        .enumerate()
        .map(|(i, r)| (format!("strategy.reinitialize[{i}].layers"), &r.layers));
    std::iter::once(("strategy.freeze".to_owned(), &strategy.freeze))
        .chain(reset)
        .find_map(|(key, globs)| Some((key, globs.iter().position(|glob| glob == pattern)?)))
        .and_then(|(key, item)| recipe.nearest_place(&format!("{key}[{item}]")))
}
