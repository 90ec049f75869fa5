//! Every key of a recipe as a table for people: `retune recipe keys`, the reference page,
//! and what errors say about a key.

use std::sync::LazyLock;

use retune_roles::builtin::BUILTINS;
use retune_schema::describe::{kind, sentence, settings};
use retune_schema::navigate::target;
use serde_json::Value as Json;

use crate::schema::schema;

/// One key of a recipe.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key.
    pub name: String,
    /// Its type or its allowed values.
    pub kind: String,
    /// What holds when it is left out; `required` when it may not be.
    pub default: String,
    /// What it does.
    pub about: String,
    /// Whether it must be given.
    pub required: bool,
}

/// The keys of one table.
#[derive(Clone, Debug)]
pub struct Section {
    /// As an error names it: `training.optimizer`; empty for the top level, `role` for a role.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// Its keys, in order.
    pub keys: Vec<Key>,
    /// Whether these are settings of a built-in role, which stand in its `config`.
    pub builtin: bool,
}

/// All sections, in the order a recipe is written; the keys of roles, which stand in several places, at the end.
pub fn sections() -> &'static [Section] {
    static SECTIONS: LazyLock<Vec<Section>> = LazyLock::new(|| {
        let (mut sections, mut role) = (Vec::new(), None);
        collect("", schema(), &mut sections, &mut role);
        sections.extend(role);
        for builtin in BUILTINS {
            let about = format!("The built-in {} `{}`: {}", builtin.role(), builtin.name, builtin.about);
            let keys = settings(&(builtin.schema)()).into_iter();
            let keys = keys.map(|setting| {
                let required = setting.default == "required";
                let default = setting.default.trim_start_matches("= ").to_owned();
                Key { name: setting.name, kind: setting.kind, default, about: setting.about, required }
            });
            sections.push(Section { name: builtin.name.to_owned(), about, keys: keys.collect(), builtin: true });
        }
        sections
    });
    &SECTIONS
}

/// The name of the section in which the table at `path` stands: `data.preprocess[0]` is a `role`.
pub fn section_of(path: &[String]) -> String {
    let names: Vec<&str> = path.iter().map(String::as_str).filter(|key| key.parse::<usize>().is_err()).collect();
    let name = names.join(".");
    let known = sections().iter().any(|section| section.name == name && !section.builtin);
    if known { name } else { "role".to_owned() }
}

/// The key at `path`; an item of a list is described by the list.
pub fn key(path: &[String]) -> Option<&'static Key> {
    let (name, parent) = path.split_last()?;
    let here = section_of(parent);
    sections().iter().find(|section| section.name == here)?.keys.iter().find(|key| key.name == *name)
}

/// The sections other than `here` that have a key `name`.
pub fn sections_with(name: &str, here: &str) -> Vec<&'static str> {
    let others = sections().iter().filter(|section| section.name != here && section.name != "role" && !section.builtin);
    others.filter(|section| section.keys.iter().any(|key| key.name == name)).map(|s| s.name.as_str()).collect()
}

/// The sections, or only the one called so, as lines of a terminal.
pub fn text(only: Option<&str>) -> String {
    let mut out = String::new();
    let width = sections().iter().flat_map(|section| &section.keys).map(|key| key.name.len()).max().unwrap_or(0);
    for section in sections().iter().filter(|section| only.is_none_or(|name| name == section.name)) {
        let title = match section.name.as_str() {
            "" => "# top level".to_owned(),
            _ if section.name == "role" || section.builtin => format!("# {}", section.about),
            name => format!("[{name}]"),
        };
        out.push_str(&format!("{}{title}\n", if out.is_empty() { "" } else { "\n" }));
        if section.keys.is_empty() {
            out.push_str("no settings\n");
        }
        for Key { name, kind, default, about, .. } in &section.keys {
            out.push_str(&format!("{name:width$}  {about} ({kind}; default: {default})\n"));
        }
    }
    out
}

/// The reference page, in Markdown.
pub fn page() -> String {
    let mut out = String::from(
        "# Keys of a recipe\n\nMade by `retune recipe keys --markdown` from the doc comments of `host/recipe/src/sections/`; a test \
         compares. Foreign\nnames (of transformers, peft, axolotl) are answered with the key here when a recipe is read.\n",
    );
    for section in sections() {
        let title = match section.name.as_str() {
            "" => "Top level".to_owned(),
            "role" => "A role".to_owned(),
            name if section.builtin => format!("Settings of `{name}`"),
            name => format!("`[{name}]`"),
        };
        out.push_str(&format!("\n## {title}\n\n"));
        if !section.name.is_empty() {
            out.push_str(&format!("{}\n\n", section.about));
        }
        if section.keys.is_empty() {
            out.push_str("It has no settings.\n");
            continue;
        }
        out.push_str("| key | type | default | |\n|---|---|---|---|\n");
        let cell = |text: &str| text.replace('|', "\\|");
        for Key { name, kind, default, about, .. } in &section.keys {
            out.push_str(&format!("| `{name}` | {} | {} | {} |\n", cell(kind), cell(default), cell(about)));
        }
    }
    out
}

fn collect(name: &str, table: &'static Json, sections: &mut Vec<Section>, role: &mut Option<Section>) {
    let Some(properties) = table.get("properties").and_then(Json::as_object) else { return };
    let required = table.get("required").and_then(Json::as_array);
    let about = says(table, "description");
    let keys = properties.iter().map(|(name, property)| {
        let required = required.is_some_and(|names| names.iter().any(|required| required == name));
        key_of(name, property, required, &about)
    });
    sections.push(Section { name: name.to_owned(), keys: keys.collect(), about: about.clone(), builtin: false });
    for (key, property) in properties {
        let Some(inner) = table_of(property) else { continue };
        if inner.pointer("/properties/plugin").is_some() {
            if role.is_none() {
                let mut found = Vec::new();
                collect("role", inner, &mut found, &mut None);
                *role = found.pop();
            }
            continue;
        }
        let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        collect(&name, inner, sections, role);
    }
}

/// What the schema says of a key; one alone in its table is described by the table.
pub(crate) fn key_of(name: &str, property: &Json, required: bool, table: &str) -> Key {
    let meant = target(schema(), property);
    let says = |name: &str| property.get(name).or_else(|| meant.get(name)).and_then(Json::as_str);
    let default = match property.get("default") {
        _ if required => "required".to_owned(),
        Some(Json::String(default)) => default.clone(),
        Some(default) => default.to_string(),
        None => says("x-default").unwrap_or("none").to_owned(),
    };
    Key {
        name: name.to_owned(),
        kind: words(property),
        default,
        about: says("description").map_or_else(|| table.to_owned(), sentence),
        required,
    }
}

/// A type in words: `list of roles`, `whole number, at least 1`.
fn words(property: &Json) -> String {
    let meant = target(schema(), property);
    let says = |name: &str| property.get(name).or_else(|| meant.get(name)).and_then(Json::as_str);
    if let Some(kind) = says("x-kind") {
        return kind.to_owned();
    }
    match meant.get("type").and_then(Json::as_str) {
        Some("array") => format!("list of {}s", meant.get("items").map_or("value".to_owned(), words)),
        Some("object") => "table".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some(number @ ("integer" | "number")) => {
            let name = if number == "integer" { "whole number" } else { "number" };
            let range = retune_schema::range(meant, None);
            if range.is_empty() { name.to_owned() } else { format!("{name}, {range}") }
        }
        _ => kind(schema(), property),
    }
}

/// The table with keys that a value may be, alone, in a list or as one of several things.
fn table_of(property: &'static Json) -> Option<&'static Json> {
    let meant = target(schema(), property);
    if meant.get("properties").is_some() {
        return Some(meant);
    }
    let parts = ["anyOf", "oneOf"].iter().filter_map(|name| meant.get(name)?.as_array()).flatten();
    meant.get("items").into_iter().chain(parts).find_map(table_of)
}

fn says(schema: &Json, name: &str) -> String {
    schema.get(name).and_then(Json::as_str).map(sentence).unwrap_or_default()
}
