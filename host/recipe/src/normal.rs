//! Small freedoms of writing taken out before values are read: paths become absolute,
//! `3.0` is a whole number where one is needed.
//!
//! Which texts are paths, the schema says (`"format": "path"`). A path is relative to the
//! file that says it; one on the command line (`--set`) is relative to the recipe, too.

use std::path::{Component, Path, PathBuf};

use retune_schema::navigate::{at, target};
use serde_json::{Value as Json, json};

use crate::place::{Source, keys};
use crate::problems::Problems;
use crate::schema::schema;
use crate::written::{Written, at as value_at};

/// Makes the values of `written` plain, and reports paths that mean nothing here.
pub fn normalise(written: &mut Written, sources: &[Source], problems: &mut Problems) {
    for (pointer, place) in &written.places {
        let keys = keys(pointer);
        let Some(value) = value_at(&mut written.values, pointer) else { continue };
        let described = at(schema(), &keys);
        if let Some(whole) = whole(described, value) {
            *value = whole;
        }
        let Some(text) = value.as_str() else { continue };
        if !is_path(described, text) {
            continue;
        }
        if text.starts_with('~') {
            problems.add(
                place,
                format!("`{}` starts with `~`", retune_schema::shown(&keys)),
                "not expanded",
                Some("write the whole path, or one relative to the recipe".to_owned()),
            );
        }
        if let Some(path) = sources.get(place.source).map(|source| tidy(&source.folder.join(text))) {
            // A path that is not UTF-8 cannot be in a TOML file, but the recipe's folder may be one.
            *value = Json::String(path.to_string_lossy().into_owned());
        }
    }
}

/// `3.0` as `3`, where a whole number is asked for.
fn whole(described: &Json, value: &Json) -> Option<Json> {
    let number = value.as_f64().filter(|_| value.is_f64() && described.get("type") == Some(&json!("integer")))?;
    (number.fract() == 0.0 && number.abs() < 9e15).then(|| json!(number as i64))
}

/// Whether a text is a path, or one of several things of which a text is a path.
fn is_path(described: &Json, text: &str) -> bool {
    let alternatives = described.get("anyOf").and_then(Json::as_array).into_iter().flatten();
    std::iter::once(described).chain(alternatives.map(|part| target(schema(), part))).any(|part| {
        match part.get("format").and_then(Json::as_str) {
            Some("path") => true,
            Some("role") => text.ends_with(".wasm"),
            Some("template") => text.ends_with(".jinja"),
            _ => false,
        }
    })
}

/// Removes `.` and resolves `..` by name, so that messages and manifests read well.
fn tidy(path: &Path) -> PathBuf {
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
