//! A schema as a table for people: each setting with its type, default and sentence.

use retune_roles::text::line;
use serde_json::Value;

use crate::navigate::target;

/// Most characters of a key.
const WORD: usize = 60;

/// Most characters of a type, and of a default.
const SENTENCE: usize = 500;

/// One setting that a schema describes.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its keys, joined with dots: `schedule.steps`.
    pub name: String,
    /// Its type in words: `number 0 to 5`.
    pub kind: String,
    /// `= 2.0`, `required`, `optional`.
    pub default: String,
    /// Its description as one line.
    pub about: String,
}

/// The properties of a JSON Schema, nested ones dotted.
pub fn settings(schema: &Value) -> Vec<Setting> {
    let mut rows = Vec::new();
    collect(schema, schema, "", &mut rows, 4);
    rows
}

fn collect(root: &Value, schema: &Value, prefix: &str, rows: &mut Vec<Setting>, depth: u8) {
    let schema = target(root, schema);
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let key_shown = line(key, WORD);
        let name = if prefix.is_empty() { key_shown } else { format!("{prefix}.{key_shown}") };
        let target = target(root, property);
        let about = property
            .get("description")
            .or_else(|| target.get("description"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        let default = match property.get("default") {
            _ if property.get("x-from-recipe").is_some() => "the recipe's columns".to_owned(),
            Some(Value::Null) => "unset".to_owned(),
            Some(value) => line(&format!("= {value}"), SENTENCE),
            None if required.contains(&key.as_str()) => "required".to_owned(),
            None => "optional".to_owned(),
        };
        let kind = line(&kind(root, target), SENTENCE);
        rows.push(Setting { name: name.clone(), kind, default, about: line(&sentence(about), 4 * SENTENCE) });
        if depth > 0 && target.get("properties").is_some() {
            collect(root, target, &name, rows, depth - 1);
        }
    }
}

/// A doc comment as one line, without rustdoc's link marks.
pub fn sentence(about: &str) -> String {
    about.replace("[`", "`").replace("`]", "`").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A type in words: `number 0 to 5`, `"nfc" | "nfkc"`.
pub fn kind(root: &Value, schema: &Value) -> String {
    let schema = target(root, schema);
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(parts) = schema.get(key).and_then(Value::as_array) {
            let parts: Vec<String> = parts.iter().map(|part| kind(root, part)).filter(|k| k != "null").collect();
            return parts.join(" | ");
        }
    }
    let base = match schema.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).filter(|n| *n != "null").collect::<Vec<_>>().join(" | ")
        }
        _ => "any".to_owned(),
    };
    if base == "array" {
        return format!("list of {}", schema.get("items").map_or("any".to_owned(), |items| kind(root, items)));
    }
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    let low = number("minimum").map(|v| format!("{v}")).or(number("exclusiveMinimum").map(|v| format!("above {v}")));
    let high = number("maximum").map(|v| format!("{v}")).or(number("exclusiveMaximum").map(|v| format!("below {v}")));
    match (low, high) {
        // schemars writes the range of the Rust type; only bounds a person set are worth the room.
        (Some(low), Some(high)) => format!("{base} {low} to {high}"),
        (Some(low), None) if low != "0" || base == "number" => format!("{base} from {low}"),
        (None, Some(high)) => format!("{base} to {high}"),
        _ => base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_becomes_rows_with_type_range_default_and_sentence() {
        let schema = json!({
            "$defs": {"Form": {"oneOf": [{"const": "nfc"}, {"const": "nfkc"}]}},
            "required": ["steps"],
            "properties": {
                "gamma": {"type": "number", "minimum": 0.0, "maximum": 5.0, "default": 2.0, "description": "Focus on\n hard rows."},
                "form": {"$ref": "#/$defs/Form", "default": "nfc"},
                "steps": {"type": "array", "items": {"type": "integer"}},
                "alpha": {"type": ["number", "null"], "default": null},
            }
        });
        let rows: Vec<String> =
            settings(&schema).iter().map(|s| format!("{}|{}|{}|{}", s.name, s.kind, s.default, s.about)).collect();
        assert_eq!(
            rows,
            [
                "gamma|number 0 to 5|= 2.0|Focus on hard rows.",
                "form|\"nfc\" | \"nfkc\"|= \"nfc\"|",
                "steps|list of integer|required|",
                "alpha|number|unset|",
            ]
        );
    }
}
