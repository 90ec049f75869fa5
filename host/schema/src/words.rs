//! A validator's error in the words of somebody who writes configurations: the key,
//! what was expected, the nearest key or the allowed values.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use retune_roles::text::shortened;
use serde_json::{Map, Value};

use crate::bounds::dereferenced;
use crate::config_error::{ConfigError, shown};

/// Most keys or values among which the nearest is looked for.
const LISTED: usize = 1_000;

/// Which of several errors to tell: a misspelt key before the missing key that it
/// was meant to be, and deeper ones before shallower.
pub(crate) fn weight(error: &ValidationError<'_>) -> (bool, usize) {
    let unknown = matches!(error.kind(), ValidationErrorKind::AdditionalProperties { .. });
    (unknown, error.instance_path().as_str().matches('/').count())
}

/// The schema of the value at `path`, as far as properties and items lead.
fn at<'a>(root: &'a Value, path: &[String]) -> &'a Value {
    let step = |schema: &'a Value, key: &String| {
        let schema = dereferenced(root, schema);
        let within = |schema: &'a Value| {
            let schema = dereferenced(root, schema);
            schema.get("properties").and_then(|p| p.get(key)).or_else(|| schema.get("items"))
        };
        within(schema).or_else(|| {
            ["anyOf", "oneOf", "allOf"]
                .iter()
                .filter_map(|name| schema.get(name)?.as_array())
                .flatten()
                .find_map(within)
        })
    };
    path.iter().try_fold(root, step).map_or(&Value::Null, |schema| dereferenced(root, schema))
}

pub(crate) fn tell(root: &Value, error: &ValidationError<'_>) -> ConfigError {
    let mut path: Vec<String> = error
        .instance_path()
        .as_str()
        .split('/')
        .skip(1)
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect();
    let subject = if path.is_empty() { "the configuration".to_owned() } else { format!("`{}`", shown(&path)) };
    let value = brief(error.instance());
    let kind = error.kind();
    let (message, help) = match kind {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let key = unexpected.first().cloned().unwrap_or_default();
            let known = keys(root, at(root, &path));
            path.push(key.clone());
            (format!("unknown key `{}`", shown(&path)), nearest(&key, &known))
        }
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default().to_owned();
            let help = described(root, &path, &key);
            path.push(key);
            (format!("the key `{}` is missing and has no default", shown(&path)), help)
        }
        ValidationErrorKind::Type { kind } => (format!("{subject} is {value}, expected {}", types(kind)), None),
        ValidationErrorKind::Enum { options } => {
            (format!("{subject} is {value}, which it cannot be"), choices(options, error.instance()))
        }
        ValidationErrorKind::Constant { expected_value } => {
            (format!("{subject} is {value}, expected {}", brief(expected_value)), None)
        }
        ValidationErrorKind::Minimum { limit } => (format!("{subject} is {value}, the least is {limit}"), None),
        ValidationErrorKind::Maximum { limit } => (format!("{subject} is {value}, the most is {limit}"), None),
        ValidationErrorKind::ExclusiveMinimum { limit } => {
            (format!("{subject} is {value}, it must be more than {limit}"), None)
        }
        ValidationErrorKind::ExclusiveMaximum { limit } => {
            (format!("{subject} is {value}, it must be less than {limit}"), None)
        }
        ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::AnyOf { .. } => {
            let options = alternatives(root, at(root, &path));
            let help = (!options.is_empty()).then(|| choices(&Value::Array(options), error.instance())).flatten();
            (format!("{subject} is {value}, which it cannot be"), help)
        }
        _ => (format!("{subject}: {}", shortened(&error.to_string(), 300)), None),
    };
    ConfigError { path, message, help }
}

/// The keys that an object of this schema may have.
fn keys<'a>(root: &'a Value, schema: &'a Value) -> Vec<String> {
    let own = |schema: &'a Value| {
        let keys = dereferenced(root, schema).get("properties").and_then(Value::as_object);
        keys.into_iter().flat_map(Map::keys)
    };
    let parts = ["anyOf", "oneOf", "allOf"].iter().filter_map(|name| schema.get(name)?.as_array()).flatten();
    own(schema).chain(parts.flat_map(own)).take(LISTED).cloned().collect()
}

/// Constants among `oneOf` or `anyOf`, as documented enums are written.
fn alternatives(root: &Value, schema: &Value) -> Vec<Value> {
    let parts = ["oneOf", "anyOf"].iter().filter_map(|name| schema.get(name)?.as_array()).flatten();
    parts
        .flat_map(|part| {
            let part = dereferenced(root, part);
            let listed = part.get("enum").and_then(Value::as_array).into_iter().flatten();
            part.get("const").into_iter().chain(listed)
        })
        .take(LISTED)
        .cloned()
        .collect()
}

fn choices(options: &Value, given: &Value) -> Option<String> {
    let options = options.as_array()?;
    let listed = options.iter().take(20).map(brief).collect::<Vec<_>>().join(", ");
    let words: Vec<String> = options.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let near = given.as_str().and_then(|given| closest(given, &words));
    Some(match near {
        Some(near) => format!("did you mean \"{near}\"? The values are {listed}"),
        None => format!("the values are {listed}"),
    })
}

fn nearest(key: &str, known: &[String]) -> Option<String> {
    if known.is_empty() {
        return Some("this plugin takes no configuration".into());
    }
    let listed = known.iter().take(20).map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
    Some(match closest(key, known) {
        Some(near) => format!("did you mean `{near}`? The keys are {listed}"),
        None => format!("the keys are {listed}"),
    })
}

fn closest<'a>(given: &str, known: &'a [String]) -> Option<&'a str> {
    retune_roles::nearest::nearest(given, known.iter().map(String::as_str))
}

/// What the schema says about a key, for one that is missing.
fn described(root: &Value, path: &[String], key: &str) -> Option<String> {
    let schema = at(root, path).get("properties")?.get(key)?;
    let text = schema.get("description").or_else(|| dereferenced(root, schema).get("description"))?.as_str()?;
    Some(format!("`{key}`: {}", shortened(text.split("\n\n").next()?.trim(), 300)))
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => article(&one.to_string()),
        TypeKind::Multiple(many) => many.iter().map(|t| article(&t.to_string())).collect::<Vec<_>>().join(" or "),
    }
}

fn article(name: &str) -> String {
    match name {
        "null" => "nothing (null)".into(),
        "boolean" => "true or false".into(),
        "integer" => "a whole number".into(),
        "array" => "a list".into(),
        "object" => "a table".into(),
        other => format!("a {other}"),
    }
}

/// A value, short enough for a sentence.
fn brief(value: &Value) -> String {
    match value {
        Value::Object(_) => "a table".into(),
        Value::Array(_) => "a list".into(),
        Value::Null => "null".into(),
        other => shortened(&other.to_string(), 60),
    }
}
