//! References to roles in a recipe: `{ plugin = "x.wasm", config = {…} }`.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use toml::de::DeValue;

use super::At;
use super::reader::{Problems, Section};
use super::value::{Node, Places, json, kind};

/// A role, by plugin or by name.
#[derive(Clone, Debug)]
pub struct RoleRef {
    /// As errors name it: `loss`, `data.preprocess[0]`.
    pub path: String,
    /// Which.
    pub source: RoleSource,
    /// As given.
    pub config: Json,
    /// Where each part of `config` stands, by JSON pointer.
    pub places: Places,
    /// Sandbox limits, as given.
    pub limits: Json,
    /// Where each part of `limits` stands.
    pub limit_places: Places,
}

/// Where a role comes from.
#[derive(Clone, Debug)]
pub enum RoleSource {
    /// A component.
    Plugin(At<PathBuf>),
    /// One of ours.
    Builtin(At<String>),
}

impl RoleRef {
    /// The place of the file or the name.
    pub fn span(&self) -> Option<std::ops::Range<usize>> {
        match &self.source {
            RoleSource::Plugin(path) => path.span(),
            RoleSource::Builtin(name) => name.span(),
        }
    }

    /// One of ours, with nothing to configure.
    pub fn builtin(path: String, name: At<String>) -> Self {
        let empty = || Json::Object(serde_json::Map::new());
        Self {
            path,
            source: RoleSource::Builtin(name),
            config: empty(),
            places: Places::new(),
            limits: empty(),
            limit_places: Places::new(),
        }
    }
}

/// Reads one reference; `bare` lets a string stand for a built-in's name.
pub fn role(path: String, node: &Node<'_>, folder: &Path, bare: bool, problems: &Problems<'_>) -> Option<RoleRef> {
    if bare && let DeValue::String(name) = node.get_ref() {
        let name = At::new(name.to_string(), node.span());
        // A file given as a bare string is the likeliest slip here, and clear enough to take.
        if name.ends_with(".wasm") {
            let mut role = RoleRef::builtin(path, name.clone());
            role.source = RoleSource::Plugin(name.map(|file| folder.join(file)));
            return Some(role);
        }
        return Some(RoleRef::builtin(path, name));
    }
    let mut section = Section::open("role", path.clone(), node, problems)?;
    let plugin = section.string("plugin");
    let builtin = section.string("builtin");
    let (config, places) = table(&mut section, "config");
    let (limits, limit_places) = table(&mut section, "limits");
    let span = section.span();
    let source = match (plugin, builtin) {
        (Some(file), None) => Some(RoleSource::Plugin(file.map(|file| folder.join(file)))),
        (None, Some(name)) => Some(RoleSource::Builtin(name)),
        (Some(_), Some(name)) => {
            let span = name.span().unwrap_or(span);
            problems.add(span, format!("`{path}` has both `plugin` and `builtin`"), "leave one out", None);
            None
        }
        (None, None) => {
            if section.node("plugin").is_none() && section.node("builtin").is_none() {
                section.missing("plugin", "write plugin = \"file.wasm\", or builtin = \"name\"");
            }
            None
        }
    };
    if let (Some(RoleSource::Builtin(_)), Some(place)) = (&source, limit_places.get("")) {
        problems.add(
            place.clone(),
            format!("`{path}.limits` has no effect on a built-in"),
            "only plugins are sandboxed",
            Some("remove it".to_owned()),
        );
    }
    section.close();
    Some(RoleRef { path, source: source?, config, places, limits, limit_places })
}

fn table(section: &mut Section<'_, '_>, key: &'static str) -> (serde_json::Value, Places) {
    let mut places = Places::new();
    let full = section.full(key);
    let problems = section.problems();
    let value = match section.node(key) {
        None => serde_json::Value::Object(serde_json::Map::new()),
        Some(node) if node.get_ref().is_table() => json(node, "", &mut places),
        Some(node) => {
            problems.add(
                node.span(),
                format!("`{full}` must be a table, not {}", kind(node.get_ref())),
                "expected a table",
                Some(format!("write {key} = {{ name = value }}")),
            );
            serde_json::Value::Object(serde_json::Map::new())
        }
    };
    (value, places)
}
