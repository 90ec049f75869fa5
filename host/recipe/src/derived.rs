//! Defaults that depend on other keys; all others stand beside their key.

use retune_roles::TaskKind;
use serde_json::{Map, Value as Json, json};

/// Tokens per row where a row is a conversation or has a completion, as in TRL: at 128 most answers would be cut off.
const ANSWERED: u64 = 1024;

/// Fills in what the recipe leaves out and its other keys decide. `stem` is the file's name.
pub fn derive(values: &mut Map<String, Json>, stem: &str) {
    absent(values, "name", || json!(named_after(stem)));
    let task = values.get("model").and_then(|model| model.get("task")).cloned();
    let task = task.and_then(|task| serde_json::from_value::<TaskKind>(task).ok()).unwrap_or_default();
    let info = task.info();
    let validated = values.get("data").is_some_and(|data| data.get("validation").is_some());

    within(values, "model", |model| {
        if let Some(base) = model.get("base").cloned() {
            absent(model, "tokenizer", || base);
        }
    });
    within(values, "data", |data| {
        let (mut completes, mut talks) = (false, false);
        within(data, "columns", |columns| {
            talks = columns.contains_key("messages");
            completes = talks || columns.contains_key("completion");
            let words = task == TaskKind::TokenClassification;
            if words {
                absent(columns, "tokens", || json!("tokens"));
                absent(columns, "tags", || json!("tags"));
            } else if !completes {
                absent(columns, "text", || json!("text"));
            }
            if info.has_labels && !words && !columns.contains_key("labels") {
                absent(columns, "label", || json!("label"));
            }
        });
        if task == TaskKind::MaskedLm {
            absent(data, "mask", || json!({}));
        }
        if talks {
            absent(data, "chat", || json!({}));
        }
        if completes {
            absent(data, "max_length", || json!(ANSWERED));
        }
        // Documents are joined; a conversation, or a prompt and its completion, stays a row of its own.
        let joined = task == TaskKind::CausalLm && !completes;
        absent(data, "layout", || json!(if joined { "blocks" } else { "rows" }));
    });
    let adapted = values.contains_key("adapter");
    if adapted {
        within(values, "adapter", |adapter| absent(adapter, "target_modules", || json!(["all-linear"])));
    }
    within(values, "strategy", |strategy| {
        let frozen = strategy.get("freeze").is_some_and(|globs| globs.as_array().is_none_or(|globs| !globs.is_empty()));
        let narrows = adapted || frozen || strategy.contains_key("train_top_layers");
        absent(strategy, "method", || json!(if narrows { "partial" } else { "full" }));
        for item in strategy.get_mut("reinitialize").and_then(Json::as_array_mut).into_iter().flatten() {
            if let Some(item) = item.as_object_mut()
                && item.get("scheme").is_none_or(|scheme| scheme == "normal")
            {
                absent(item, "std", || json!(0.02));
            }
        }
    });
    within(values, "training", |training| {
        if !training.contains_key("max_steps") {
            absent(training, "epochs", || json!(3));
        }
        within(training, "lr_scheduler", |scheduler| {
            if !scheduler.contains_key("warmup_steps") {
                absent(scheduler, "warmup_ratio", || json!(0.1));
            }
        });
    });
    within(values, "evaluation", |evaluation| {
        absent(evaluation, "every", || json!(if validated { "epoch" } else { "never" }));
        absent(evaluation, "metrics", || json!(info.default_metrics));
    });
}

fn absent(table: &mut Map<String, Json>, key: &str, value: impl FnOnce() -> Json) {
    if !table.contains_key(key) {
        table.insert(key.to_owned(), value());
    }
}

/// Calls `fill` with a table inside another, made where there is none.
fn within(table: &mut Map<String, Json>, key: &str, fill: impl FnOnce(&mut Map<String, Json>)) {
    absent(table, key, || json!({}));
    if let Some(Json::Object(inner)) = table.get_mut(key) {
        fill(inner);
    }
}

/// Whether `c` may stand in the name of a run.
pub fn fit_for_a_name(c: char) -> bool {
    c.is_alphanumeric() || "-_.".contains(c)
}

/// A file's stem as a name: `my recipe (2)` is `my-recipe-2`.
fn named_after(stem: &str) -> String {
    let words: Vec<&str> = stem.split(|c| !fit_for_a_name(c)).filter(|word| !word.is_empty()).collect();
    let name = words.join("-").trim_start_matches('.').to_owned();
    if name.is_empty() { "run".to_owned() } else { name }
}
