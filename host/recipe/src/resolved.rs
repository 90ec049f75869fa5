//! A recipe written out with every value a run used.
//!
//! Law: reading this text gives the same recipe again.

use std::fmt::Write;

use serde_json::{Map, Value as Json};

use crate::place::child;
use crate::recipe::Recipe;
use crate::schema::schema;

/// The recipe as TOML, paths absolute, defaults filled in.
pub fn resolved(recipe: &Recipe) -> String {
    let mut out =
        String::from("# Every setting of this run, defaults filled in; `retune run` on this file repeats it.\n");
    let Ok(Json::Object(values)) = serde_json::to_value(recipe) else { return out };
    let (sections, keys): (Map<_, _>, Map<_, _>) = values.into_iter().partition(|(_, value)| value.is_object());
    table(&mut out, &[], &keys);
    for (name, section) in &sections {
        if let Json::Object(keys) = section {
            // Writing to a String does not fail.
            let _ = write!(out, "\n[{name}]\n");
            table(&mut out, std::slice::from_ref(name), keys);
        }
    }
    out
}

/// As [`resolved`], each value on a line of its own with who set it: a file and its line, `--set`, or `default`.
pub fn with_origins(recipe: &Recipe) -> String {
    let mut lines = Vec::new();
    if let Ok(values) = serde_json::to_value(recipe) {
        leaves(&mut Vec::new(), &values, &mut lines);
    }
    let width = lines.iter().map(|(_, line)| line.chars().count()).filter(|width| *width <= WIDE).max().unwrap_or(0);
    let origin = |path: &[String]| recipe.origin(&path.iter().fold(String::new(), |at, key| child(&at, key)));
    lines.iter().map(|(path, line)| format!("{line:width$}  # {}\n", origin(path))).collect()
}

/// Lines longer than this do not push all origins to the right.
const WIDE: usize = 60;

/// Every value that is not a table, with its path.
fn leaves(path: &mut Vec<String>, value: &Json, lines: &mut Vec<(Vec<String>, String)>) {
    let tables = |items: &Vec<Json>| items.first().is_some_and(Json::is_object);
    let inner: Vec<(String, &Json)> = match value {
        Json::Object(members) => members.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Json::Array(items) if tables(items) => {
            items.iter().enumerate().map(|(i, item)| (i.to_string(), item)).collect()
        }
        value => {
            if path.split_last().is_some_and(|(key, parent)| says_something(parent, key, value)) {
                lines.push((path.clone(), format!("{} = {}", retune_schema::shown(path), inline(value))));
            }
            return;
        }
    };
    for (key, value) in inner {
        path.push(key);
        leaves(path, value, lines);
        path.pop();
    }
}

/// The keys of one table, lists of tables after all others.
fn table(out: &mut String, path: &[String], keys: &Map<String, Json>) {
    let (lists, keys): (Vec<_>, Vec<_>) = keys
        .iter()
        .filter(|(key, value)| says_something(path, key, value))
        .partition(|(_, value)| value.as_array().and_then(|items| items.first()).is_some_and(Json::is_object));
    for (key, value) in keys {
        let _ = writeln!(out, "{key} = {}", inline(value));
    }
    for (key, items) in lists {
        for item in items.as_array().into_iter().flatten().filter_map(Json::as_object) {
            let _ = write!(out, "\n[[{}.{key}]]\n", path.join("."));
            for (key, value) in item.iter().filter(|(_, value)| !is_nothing(value)) {
                let _ = writeln!(out, "{key} = {}", inline(value));
            }
        }
    }
}

/// Whether a key has to be written: nothing is left out, and an empty list where that is the default.
fn says_something(path: &[String], key: &str, value: &Json) -> bool {
    let path: Vec<String> = path.iter().cloned().chain([key.to_owned()]).collect();
    let default = retune_schema::navigate::property_at(schema(), &path).and_then(|property| property.get("default"));
    let is_default = value.as_array().is_some_and(Vec::is_empty) && default == Some(value);
    !is_nothing(value) && !is_default
}

fn is_nothing(value: &Json) -> bool {
    value.is_null() || value.as_object().is_some_and(|members| members.values().all(is_nothing))
}

/// A value on one line; nulls, which TOML lacks, are left out.
fn inline(value: &Json) -> String {
    match value {
        Json::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| format!("{} = {}", bare(key), inline(value)))
                .collect();
            if members.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", members.join(", ")) }
        }
        Json::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.to_string(),
            (None, Some(number)) => toml::Value::from(number).to_string(),
            (None, None) => number.to_string(),
        },
        Json::String(text) => toml::Value::from(text.as_str()).to_string(),
        other => other.to_string(),
    }
}

/// A key, quoted where TOML asks for it.
fn bare(key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if plain { key.to_owned() } else { toml::Value::from(key).to_string() }
}
