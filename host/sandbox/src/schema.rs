//! A plugin's configuration, checked against the plugin's own JSON Schema.
//!
//! Defaults are filled in first, then everything is validated, and the first
//! error is told as people write configurations: the key, what was expected, the
//! nearest key there is. The schema is a guest's and is not believed either: it
//! may not refer outside itself, its patterns run in linear time, and what it costs
//! is bounded by [`crate::schema_bounds`].

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};

use crate::convert::shortened;
use crate::error::ConfigError;
use crate::schema_bounds::{self as bounds, Budget, Depth, Endless, dereferenced};

/// Most keys or values among which the nearest is looked for.
const LISTED: usize = 1_000;

/// What to do about a schema that grows as it is followed.
const ENDLESS: &str = "this is a fault of the plugin: tell its author; a key that refers to the schema it stands in \
                       may have no default, and few keys or alternatives may refer to the same definition";

/// Compiles `schema`; gives the reason when it is none.
pub(crate) fn compile(schema: &Value) -> Result<Validator, String> {
    if !schema.is_object() && !schema.is_boolean() {
        return Err("it is neither an object nor true or false".into());
    }
    bounds::check(schema).map_err(|reason| shortened(&reason, 300))?;
    let patterns = PatternOptions::regex().size_limit(bounds::PATTERN).dfa_size_limit(bounds::PATTERN);
    // The contract's draft: in an older one, other keywords would say where a reference begins.
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(patterns)
        .build(schema)
        .map_err(|error| shortened(&error.to_string(), 300))
}

/// `given` with defaults filled in, when it is valid.
pub(crate) fn resolve(schema: &Value, given: &Value) -> Result<Value, ConfigError> {
    let validator = compile(schema).map_err(|reason| ConfigError {
        path: Vec::new(),
        message: format!("the plugin's own schema is not valid: {reason}"),
        help: None,
    })?;
    let mut config = if given.is_null() { Value::Object(Map::new()) } else { given.clone() };
    let mut budget = Budget::of(&config);
    fill(schema, schema, &mut config, Depth::START, &mut budget)
        .and_then(|()| bounds::weigh(schema, schema, &config, &mut Budget::of(&config)))
        .map_err(|Endless| ConfigError {
            path: Vec::new(),
            message: "the plugin's schema expands without end".into(),
            help: Some(ENDLESS.into()),
        })?;
    match validator.iter_errors(&config).max_by_key(weight) {
        None => Ok(config),
        Some(error) => Err(tell(schema, &error)),
    }
}

/// Which of several errors to tell: a misspelt key before the missing key that it
/// was meant to be, and deeper ones before shallower.
fn weight(error: &ValidationError<'_>) -> (bool, usize) {
    let unknown = matches!(error.kind(), ValidationErrorKind::AdditionalProperties { .. });
    (unknown, error.instance_path().as_str().matches('/').count())
}

/// Adds the default of every key that is absent, and descends into those that are there.
fn fill(root: &Value, schema: &Value, config: &mut Value, depth: Depth, budget: &mut Budget) -> Result<(), Endless> {
    if !config.is_object() && !config.is_array() {
        return Ok(());
    }
    budget.spend(1)?;
    let deeper = depth.deeper()?;
    let schema = dereferenced(root, schema);
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        fill(root, part, config, deeper, budget)?;
    }
    // `Option<Struct>`: the alternative that is not null.
    if let (Value::Object(_), Some(parts)) = (&*config, schema.get("anyOf").and_then(Value::as_array)) {
        budget.spend(parts.len() as u64)?;
        let objects: Vec<_> =
            parts.iter().filter(|part| dereferenced(root, part).get("properties").is_some()).collect();
        if let [only] = objects[..] {
            fill(root, only, config, deeper, budget)?;
        }
    }
    match config {
        Value::Object(members) => {
            for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                budget.spend(1)?;
                if !members.contains_key(key) {
                    let default = property.get("default").or_else(|| dereferenced(root, property).get("default"));
                    let Some(default) = default else { continue };
                    budget.spend(bounds::size(default))?;
                    members.insert(key.clone(), default.clone());
                }
                if let Some(member) = members.get_mut(key) {
                    fill(root, property, member, deeper, budget)?;
                }
            }
            Ok(())
        }
        Value::Array(items) => match schema.get("items") {
            Some(schema) => items.iter_mut().try_for_each(|item| fill(root, schema, item, deeper, budget)),
            None => Ok(()),
        },
        _ => Ok(()),
    }
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

fn tell(root: &Value, error: &ValidationError<'_>) -> ConfigError {
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

/// `["a", "0", "b"]` as `a[0].b`.
pub(crate) fn shown(path: &[String]) -> String {
    path.iter().fold(String::new(), |mut shown, part| {
        match part.parse::<usize>() {
            Ok(index) => shown.push_str(&format!("[{index}]")),
            Err(_) if shown.is_empty() => shown.push_str(part),
            Err(_) => shown.push_str(&format!(".{part}")),
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "additionalProperties": false,
            "required": ["field"],
            "properties": {
                "field": {"type": "string", "description": "The column to read."},
                "gamma": {"type": "number", "minimum": 0, "default": 2.0},
                "mode": {"enum": ["exact", "near"], "default": "exact"},
                "form": {"oneOf": [{"const": "nfc"}, {"const": "nfkc"}], "default": "nfc"},
                "bounds": {"$ref": "#/$defs/Bounds", "default": {}},
                "extra": {"anyOf": [{"$ref": "#/$defs/Bounds"}, {"type": "null"}]},
                "rules": {"type": "array", "items": {"$ref": "#/$defs/Bounds"}, "default": []}
            },
            "$defs": {
                "Bounds": {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": {
                        "min_chars": {"type": "integer", "minimum": 0, "default": 1},
                        "max_chars": {"type": ["integer", "null"], "default": null}
                    }
                }
            }
        })
    }

    fn told(config: Value) -> String {
        let error = resolve(&schema(), &config).unwrap_err();
        format!("{} | {} | {}", error.shown_path(), error.message, error.help.unwrap_or_default())
    }

    #[test]
    fn defaults_are_filled_at_every_depth() {
        let resolved = resolve(&schema(), &json!({"field": "t", "rules": [{"min_chars": 3}], "extra": {}})).unwrap();
        assert_eq!(
            resolved,
            json!({
                "field": "t", "gamma": 2.0, "mode": "exact", "form": "nfc",
                "bounds": {"min_chars": 1, "max_chars": null},
                "extra": {"min_chars": 1, "max_chars": null},
                "rules": [{"min_chars": 3, "max_chars": null}]
            })
        );
    }

    #[test]
    fn no_configuration_is_an_empty_one() {
        let schema = json!({"type": "object", "properties": {"gamma": {"type": "number", "default": 2}}});
        assert_eq!(resolve(&schema, &Value::Null).unwrap(), json!({"gamma": 2}));
    }

    #[test]
    fn each_wrong_key_is_told_with_its_path_and_the_next_step() {
        let cases = [
            json!({"field": "t", "gama": 1}),
            json!({"feld": "t"}),
            json!({"gamma": 1}),
            json!({"field": "t", "gamma": -1}),
            json!({"field": "t", "gamma": "two"}),
            json!({"field": "t", "mode": "exakt"}),
            json!({"field": "t", "form": "nfd"}),
            json!({"field": "t", "bounds": {"min_char": 1}}),
            json!({"field": "t", "rules": [{}, {"max_chars": 1.5}]}),
            json!({"field": "t", "zzz": 1}),
            json!([1, 2]),
        ];
        let lines: Vec<String> = cases.into_iter().map(told).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_plugin_without_settings_says_so() {
        let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
        let error = resolve(&schema, &json!({"gamma": 1})).unwrap_err();
        assert_eq!(error.help.as_deref(), Some("this plugin takes no configuration"));
    }

    #[test]
    fn a_schema_that_points_outside_itself_or_is_none_is_not_valid() {
        let outside = json!({"$ref": "http://example.com/schema.json"});
        assert!(resolve(&outside, &json!({})).unwrap_err().message.contains("not valid"));
        assert!(compile(&json!("string")).is_err());
    }

    /// `levels` definitions, each of which names the next one twice under `keyword`.
    fn doubling(keyword: &str, levels: usize) -> Value {
        let level = |n: usize| {
            let next = json!({"$ref": format!("#/$defs/{}", n + 1)});
            (n.to_string(), json!({keyword: [next.clone(), next]}))
        };
        let mut definitions: Map<String, Value> = (0..levels).map(level).collect();
        definitions.insert(levels.to_string(), json!({"type": "string"}));
        json!({"$ref": "#/$defs/0", "$defs": definitions})
    }

    #[test]
    fn a_schema_without_end_is_refused_before_it_takes_memory_or_time() {
        let whole = json!({"$ref": "#", "default": {}});
        let long = json!({"default": vec![0; 10_000]});
        let borrowed: Map<String, Value> =
            (0..1_000).map(|n| (n.to_string(), json!({"$ref": "#/$defs/long"}))).collect();
        let either = json!({"properties": {"a": {"$ref": "#"}}});
        let schemas = [
            json!({"$ref": "#"}),
            json!({"type": "object", "properties": {"a": whole, "b": whole}}),
            json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]}),
            json!({"properties": borrowed, "$defs": {"long": long}}),
            // What only the validator would walk.
            doubling("allOf", 30),
            doubling("oneOf", 30),
            json!({"not": doubling("anyOf", 30)["$defs"]["0"], "$defs": doubling("anyOf", 30)["$defs"]}),
            json!({"properties": {"a": {"$ref": "#", "default": {}}}, "oneOf": [either, either, either]}),
            json!({"unevaluatedProperties": false, "anyOf": doubling("anyOf", 30)["$defs"]["0"]["anyOf"],
                "$defs": doubling("anyOf", 30)["$defs"]}),
        ];
        for schema in schemas {
            let error = resolve(&schema, &Value::Null).unwrap_err();
            assert!(error.message.ends_with("expands without end"), "{}: {schema}", error.message);
        }
        // As deep, and not as broad.
        assert!(resolve(&doubling("allOf", 10), &Value::Null).unwrap_err().message.contains("expected a string"));
    }

    #[test]
    fn a_pattern_that_compiles_to_megabytes_is_refused() {
        let schema = json!({"properties": {"a": {"pattern": "^(?:\\w{1,900} ){1,900}$"}}});
        assert!(compile(&schema).unwrap_err().ends_with("is not a \"regex\""), "{:?}", compile(&schema));
        assert!(compile(&json!({"properties": {"a": {"pattern": "^[\\w-]{1,64}$"}}})).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn what_was_resolved_resolves_to_itself(
            gamma in proptest::option::of(0.0..9.0f64),
            near in proptest::option::of(proptest::bool::ANY),
            rules in proptest::option::of(proptest::collection::vec(proptest::option::of(0..9u32), 0..4)),
        ) {
            let mut given = json!({"field": "t"});
            if let Some(gamma) = gamma {
                given["gamma"] = json!(gamma);
            }
            if let Some(near) = near {
                given["mode"] = json!(if near { "near" } else { "exact" });
            }
            if let Some(rules) = rules {
                given["rules"] = rules.iter().map(|least| least.map_or(json!({}), |n| json!({"min_chars": n}))).collect();
            }
            let resolved = resolve(&schema(), &given).unwrap();
            proptest::prop_assert_eq!(resolve(&schema(), &resolved).unwrap(), resolved.clone());
            for (key, value) in given.as_object().unwrap() {
                if key != "rules" {
                    proptest::prop_assert_eq!(&resolved[key], value);
                }
            }
        }
    }
}
