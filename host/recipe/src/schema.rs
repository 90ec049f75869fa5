//! The JSON Schema of a recipe, generated from the [sections](crate::sections).
//!
//! schemars describes Rust; this makes it describe TOML: there is no null, numbers have
//! the bounds of their Rust type, and a key that must be given or whose default depends
//! on others says so.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::recipe::Recipe;

/// The schema.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Recipe>().to_value();
        tidy(&mut schema);
        if let Some(root) = schema.as_object_mut() {
            root.insert("title".to_owned(), json!("A recipe of retune"));
        }
        schema
    });
    &SCHEMA
}

pub(crate) fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(tidy);
            without_null(members);
            bounds(members);
            require(members);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// TOML has no null: a key that may be left out is left out.
fn without_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(parts)) = schema.get_mut("anyOf") {
        parts.retain(|part| part != &json!({"type": "null"}));
        if let [Value::Object(only)] = &parts[..] {
            let only = only.clone();
            schema.shift_remove("anyOf");
            // What stands beside the alternative (the key's own description) wins.
            for (key, value) in only {
                schema.entry(key).or_insert(value);
            }
        }
    }
    // A section's default is that of its keys.
    if schema.get("default").is_some_and(Value::is_object) {
        schema.entry("x-default").or_insert(json!("its keys'"));
    }
    if schema.get("default").is_some_and(Value::is_null) || schema.contains_key("x-default") {
        schema.shift_remove("default");
    }
    schema.shift_remove("writeOnly");
}

/// Formats of Rust's numbers become bounds; a text may not be empty.
fn bounds(schema: &mut Map<String, Value>) {
    let most = match schema.get("format").and_then(Value::as_str) {
        Some("uint32") => Some(json!(u32::MAX)),
        // TOML's whole numbers end here.
        Some("uint64") => Some(json!(i64::MAX)),
        Some("double") => None,
        _ => {
            let free = ["enum", "const", "pattern"].iter().all(|key| !schema.contains_key(*key));
            if free && schema.get("type") == Some(&json!("string")) {
                schema.entry("minLength").or_insert(json!(1));
            }
            return;
        }
    };
    schema.shift_remove("format");
    if let Some(most) = most {
        schema.entry("maximum").or_insert(most);
    }
}

/// Keys marked `x-required` are required by their table, and have no default.
fn require(schema: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    let mut required = Vec::new();
    for (key, property) in properties.iter_mut() {
        let Some(property) = property.as_object_mut() else { continue };
        if property.shift_remove("x-required").is_some() {
            property.shift_remove("default");
            required.push(json!(key));
        }
    }
    if !required.is_empty() {
        schema.insert("required".to_owned(), Value::Array(required));
    }
}
