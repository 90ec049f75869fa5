//! References to roles in a recipe: `{ plugin = "x.wasm", config = {…} }`.

use std::path::Path;

use toml::de::DeValue;

use super::reader::{Node, Places, Section, json, kind};
use super::{At, RoleRef, RoleSource};
use crate::recipe::reader::Problems;

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
