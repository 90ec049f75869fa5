//! From a TOML table to a [`Recipe`], section by section.

mod data;
mod evaluation;
mod strategy;
mod training;

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use retune_roles::TaskKind;

use super::reader::{Problems, Section};
use super::{At, BaseRef, Model, Recipe, roles};
use crate::diagnostic::{Diagnostic, Result, Text};

const TASKS: &[(&str, TaskKind)] =
    &[("sequence-classification", TaskKind::SequenceClassification), ("causal-lm", TaskKind::CausalLm)];

/// Of a file that is not TOML at all, such as a CSV, every line is an error, and the first few say it.
const SYNTAX_ERRORS_SHOWN: usize = 3;

/// Reads the whole recipe, or says everything that is wrong with it.
pub fn recipe(text: Text, folder: &Path, stem: &str) -> Result<Recipe> {
    let source = text.text.clone();
    let (table, errors) = DeTable::parse_recoverable(&source);
    let problems = Problems::new(&text);
    for error in errors.iter().take(SYNTAX_ERRORS_SHOWN) {
        // A recovered table is full of holes: what else is wrong with it would be noise.
        problems.add(error.span().unwrap_or(0..0), "this is not TOML", error.message().to_owned(), None);
    }
    let parsed = if errors.is_empty() { root(table.get_ref(), folder, stem, &problems) } else { None };
    let sound = problems.is_empty();
    match (parsed, sound) {
        (Some(build), true) => Ok(build(text)),
        (_, _) => {
            Err(problems.into_diagnostic().unwrap_or_else(|| Diagnostic::new(format!("`{}` cannot be read", stem))))
        }
    }
}

pub(super) use data::FORMATS;

type Build = Box<dyn FnOnce(Text) -> Recipe>;

fn root<'a>(table: &'a DeTable<'a>, folder: &Path, stem: &str, problems: &Problems<'_>) -> Option<Build> {
    let mut top = Section::root(table, problems);
    let name = name(&mut top, stem);
    let seed = top.whole("seed", 0).map_or(42, At::into_inner);
    let device = device(&mut top);
    let model = match top.section("model", "model") {
        Some(section) => model(section, folder),
        None => absent(&top, table, "model", "add [model] with `base` (a Hugging Face directory) and `task`"),
    };
    let task = model.as_ref().map(|m| *m.task);
    let data = match top.section("data", "data") {
        Some(section) => data::data(section, folder, task),
        None => absent(&top, table, "data", "add [data] with `train` (a csv, jsonl or txt file)"),
    };
    let strategy = top.section("strategy", "strategy").and_then(|s| strategy::strategy(s, folder)).unwrap_or_default();
    let loss = top.node("loss").and_then(|node| roles::role("loss".to_owned(), node, folder, false, problems));
    let training = training::training(top.section("training", "training"));
    // Asked of the text: a validation set that is there but wrong has been reported.
    let validated =
        table.get("data").and_then(|data| data.get_ref().as_table()).is_none_or(|data| data.contains_key("validation"));
    let evaluation = evaluation::evaluation(top.section("evaluation", "evaluation"), folder, task, validated, problems);
    let export = top.section("export", "export").and_then(|section| export(section, folder));
    top.close();
    let (model, data) = (model?, data?);
    Some(Box::new(move |text| Recipe {
        text,
        name,
        seed,
        device,
        model,
        data,
        strategy,
        loss,
        training,
        evaluation,
        export,
    }))
}

/// Complains about a section that is not there; one of the wrong type has been reported.
fn absent<T>(top: &Section<'_, '_>, table: &DeTable<'_>, key: &str, instead: &str) -> Option<T> {
    if table.get(key).is_none() {
        top.missing(key, instead);
    }
    None
}

fn name(top: &mut Section<'_, '_>, stem: &str) -> String {
    let Some(name) = top.string("name") else { return named_after(stem) };
    if name.chars().all(fit_for_a_name) && !name.starts_with('.') {
        return name.into_inner();
    }
    let span = name.span().unwrap_or_default();
    top.problems().add(
        span,
        format!("`name` cannot be `{}`", *name),
        "letters, digits, `-`, `_` and `.` only",
        Some("the run directory is named after it".to_owned()),
    );
    named_after(stem)
}

fn fit_for_a_name(c: char) -> bool {
    c.is_alphanumeric() || "-_.".contains(c)
}

/// A file's stem as a name: `my recipe (2)` is `my-recipe-2`.
fn named_after(stem: &str) -> String {
    let words: Vec<&str> = stem.split(|c| !fit_for_a_name(c)).filter(|word| !word.is_empty()).collect();
    let name = words.join("-").trim_start_matches('.').to_owned();
    if name.is_empty() { "run".to_owned() } else { name }
}

fn device(top: &mut Section<'_, '_>) -> At<String> {
    let Some(device) = top.string("device") else { return At::default_of("auto".to_owned()) };
    if device.parse::<retune_tensor::device::DeviceChoice>().is_err() {
        let span = device.span().unwrap_or_default();
        top.problems().add(
            span,
            format!("`device` cannot be `{}`", *device),
            "not a device",
            Some("allowed: `auto`, `cpu`, `cuda:0`, `cuda:1`, …".to_owned()),
        );
    }
    device
}

fn model(mut section: Section<'_, '_>, folder: &Path) -> Option<Model> {
    let base = path(&mut section, "base", folder);
    let config = path(&mut section, "config", folder);
    let tokenizer = path(&mut section, "tokenizer", folder);
    let task = section.choice("task", TASKS);
    if task.is_none() && section.node("task").is_none() {
        section.missing("task", "write task = \"sequence-classification\" or task = \"causal-lm\"");
    }
    let base = match (base, config) {
        (Some(directory), None) => Some(BaseRef::Directory(directory)),
        (None, Some(file)) => {
            if section.node("tokenizer").is_none() {
                section.missing(
                    "tokenizer",
                    "`config` brings no tokenizer: write tokenizer = \"directory with tokenizer.json\"",
                );
            }
            Some(BaseRef::Config(file))
        }
        (Some(_), Some(config)) => {
            let span = config.span().unwrap_or_default();
            section.problems().add(
                span,
                "`model` has both `base` and `config`",
                "leave one out",
                Some("`base` loads weights; `config` draws them from the seed".to_owned()),
            );
            None
        }
        (None, None) => {
            if section.node("base").is_none() && section.node("config").is_none() {
                section.missing(
                    "base",
                    "write base = \"a Hugging Face directory\", or config = \"config.json\" for random weights",
                );
            }
            None
        }
    };
    section.close();
    let base = base?;
    let tokenizer = match (&base, tokenizer) {
        (_, Some(directory)) => directory,
        (BaseRef::Directory(directory), None) => directory.clone(),
        (BaseRef::Config(_), None) => return None,
    };
    Some(Model { base, tokenizer, task: task? })
}

fn export(mut section: Section<'_, '_>, folder: &Path) -> Option<At<PathBuf>> {
    let directory = path(&mut section, "directory", folder);
    if directory.is_none() && section.node("directory").is_none() {
        section.missing(
            "directory",
            "write directory = \"out/my-model\", or leave [export] out: the run directory has a copy anyway",
        );
    }
    section.close();
    directory
}

/// A path, absolute from `folder`.
fn path(section: &mut Section<'_, '_>, key: &'static str, folder: &Path) -> Option<At<PathBuf>> {
    let text = section.string(key)?;
    Some(resolve(section, key, text, folder))
}

fn resolve(section: &Section<'_, '_>, key: &str, text: At<String>, folder: &Path) -> At<PathBuf> {
    if text.starts_with('~') {
        let span = text.span().unwrap_or_default();
        section.problems().add(
            span,
            format!("`{}` starts with `~`", section.full(key)),
            "not expanded",
            Some("write the whole path, or one relative to the recipe".to_owned()),
        );
    }
    text.map(|text| tidy(&folder.join(text)))
}

/// Removes `.` and resolves `..` by name, so that messages and manifests read well.
fn tidy(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// Whether a value is a table.
fn is_table(value: &DeValue<'_>) -> bool {
    value.is_table()
}
