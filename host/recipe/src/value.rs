//! TOML values: their kinds in words, and free-form ones as JSON with the place of every part.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::DeValue;

/// A value with its place.
pub type Node<'a> = Spanned<DeValue<'a>>;

/// What a value is, in words.
pub fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Where each part of a role's config stands, by JSON pointer.
pub type Places = BTreeMap<String, Range<usize>>;

/// A free-form value as JSON, with the place of every part.
pub fn json(node: &Node<'_>, pointer: &str, places: &mut Places) -> Json {
    places.entry(pointer.to_owned()).or_insert_with(|| node.span());
    match node.get_ref() {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Integer(n) => {
            i64::from_str_radix(n.as_str(), n.radix()).map_or_else(|_| Json::String(n.to_string()), Json::from)
        }
        // JSON has no infinities: they stay words, which the role's schema then refuses.
        DeValue::Float(n) => n
            .as_str()
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map_or_else(|| Json::String(n.to_string()), Json::Number),
        DeValue::Boolean(b) => Json::Bool(*b),
        DeValue::Datetime(d) => Json::String(d.to_string()),
        DeValue::Array(items) => Json::Array(
            items.iter().enumerate().map(|(i, item)| json(item, &format!("{pointer}/{i}"), places)).collect(),
        ),
        DeValue::Table(table) => {
            let mut object = serde_json::Map::new();
            for (key, value) in table.iter() {
                let name = key.get_ref().to_string();
                let inner = format!("{pointer}/{name}");
                places.insert(inner.clone(), key.span());
                object.insert(name, json(value, &inner, places));
            }
            Json::Object(object)
        }
    }
}
