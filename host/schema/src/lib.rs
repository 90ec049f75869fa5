//! Configurations checked against a JSON Schema.
//!
//! [`resolve`] fills defaults in first, then validates everything; [`faults`] only
//! validates. What is wrong comes back as [`ConfigError`]s: the path, and what was
//! expected there. A schema that comes from a plugin is not believed either: it may
//! not refer outside itself, its patterns run in linear time, and what it costs is
//! bounded (`bounds`).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod bounds;
mod columns;
mod config_error;
mod defaults;
pub mod describe;
mod faults;
pub mod navigate;

pub use columns::Columns;
pub use config_error::{ConfigError, Problem, shown};
pub use faults::{faults, range};
pub use jsonschema::Validator;

use jsonschema::{Draft, PatternOptions};
use retune_roles::text::line;
use serde_json::{Map, Value};

use crate::bounds::{Budget, Depth, Endless};

/// What to do about a schema that grows as it is followed.
const ENDLESS: &str = "this is a fault of the plugin: tell its author; a key that refers to the schema it stands in \
                       may have no default, and few keys or alternatives may refer to the same definition";

/// Compiles `schema`; gives the reason when it is none.
///
/// # Errors
/// Why `schema` is not a JSON Schema that can be used here, in one sentence.
pub fn compile(schema: &Value) -> Result<Validator, String> {
    if !schema.is_object() && !schema.is_boolean() {
        return Err("it is neither an object nor true or false".into());
    }
    bounds::check(schema).map_err(|reason| line(&reason, 300))?;
    let patterns = PatternOptions::regex().size_limit(bounds::PATTERN).dfa_size_limit(bounds::PATTERN);
    // The contract's draft: in an older one, other keywords would say where a reference begins.
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(patterns)
        .build(schema)
        .map_err(|error| line(&error.to_string(), 300))
}

/// Whether a configuration can be checked against `schema` at a bounded price.
///
/// # Errors
/// Why not, in words for "the schema ...".
pub fn affordable(schema: &Value) -> Result<(), String> {
    let mut config = Value::Object(Map::new());
    filled(schema, &mut config).map(drop).map_err(|Endless| "expands without end".to_owned())
}

/// Fills defaults in, and gives the most errors that a validator can find then.
fn filled(schema: &Value, config: &mut Value) -> Result<u64, Endless> {
    let mut budget = Budget::of(config);
    defaults::fill(schema, schema, config, Depth::START, &mut budget)?;
    let mut budget = Budget::of(config);
    bounds::weigh(schema, schema, config, &mut budget)?;
    Ok(budget.errors())
}

/// `given` with defaults filled in, when it is valid; `null` is an empty configuration.
///
/// # Errors
/// Everything that is wrong, the worst first; or, with an empty path, why the schema cannot be used.
pub fn resolve(schema: &Value, given: &Value) -> Result<Value, Vec<ConfigError>> {
    let validator = compile(schema)
        .map_err(|reason| vec![ConfigError::whole(format!("the plugin's own schema is not valid: {reason}"), None)])?;
    let mut config = if given.is_null() { Value::Object(Map::new()) } else { given.clone() };
    let errors = filled(schema, &mut config).map_err(|Endless| {
        vec![ConfigError::whole("the plugin's schema expands without end", Some(ENDLESS.to_owned()))]
    })?;
    let mut faults = match errors {
        0..=bounds::ERRORS => faults(schema, &validator, &config),
        _ => faults::first(schema, &validator, &config),
    };
    for fault in &mut faults {
        fault.blame_default(given);
    }
    if faults.is_empty() { Ok(config) } else { Err(faults) }
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
                "how": {"type": ["string", "null"], "enum": ["near", "far", null]},
                "either": {"anyOf": [{"$ref": "#/$defs/Level"}, {"const": 3}, {"type": "boolean"}, {"type": "null"}]},
                "open": {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1}]},
                "on": {"type": "boolean", "default": true},
                "rules": {"type": "array", "items": {"$ref": "#/$defs/Bounds"}, "default": []}
            },
            "$defs": {
                "Level": {"oneOf": [{"type": "string", "const": "low"}, {"type": "string", "enum": ["mid", "high"]}]},
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
        let errors = resolve(&schema(), &config).unwrap_err();
        let told =
            |error: &ConfigError| format!("{} | {error} | {}", error.shown_path(), error.help().unwrap_or_default());
        errors.iter().map(told).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn defaults_are_filled_at_every_depth() {
        let resolved = resolve(&schema(), &json!({"field": "t", "rules": [{"min_chars": 3}], "extra": {}})).unwrap();
        assert_eq!(
            resolved,
            json!({
                "field": "t", "gamma": 2.0, "mode": "exact", "form": "nfc", "on": true,
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
            json!({"field": "t", "extra": {"min_char": 1}}),
            json!({"field": "t", "extra": 3}),
            json!({"field": 1, "gamma": -1, "rules": [{"zzz": 1}]}),
            // Where every alternative is a value, the values are told whatever type was given.
            json!({"field": "t", "mode": 3}),
            json!({"field": "t", "form": 3}),
            json!({"field": "t", "form": {"nfc": true}}),
            json!({"field": "t", "how": 3}),
            json!({"field": "t", "how": "nera"}),
            json!({"field": "t", "either": 4}),
            json!({"field": "t", "either": "hihg"}),
            json!({"field": "t", "open": "atuo"}),
            json!({"field": "t", "open": 0}),
            json!({"field": "t", "open": []}),
            json!({"field": "t", "on": "yes"}),
        ];
        let lines: Vec<String> = cases.into_iter().map(told).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_list_that_must_be_another_list_is_told_by_what_is_in_it() {
        let either = json!({"anyOf": [{"anyOf": [{"const": [1, 2]}]}, {"type": "string"}]});
        let schema = json!({"properties": {"a": {"const": [1, 2]}, "b": either, "c": {"const": {"x": 1}}}});
        let told = |config: Value| {
            let error = resolve(&schema, &config).unwrap_err().swap_remove(0);
            format!("{error} | {}", error.help().unwrap_or_default())
        };
        assert_eq!(told(json!({"a": [3]})), "`a` is [3], which it cannot be | the values are [1,2]");
        assert_eq!(told(json!({"a": 3})), "`a` is 3, which it cannot be | the values are [1,2]");
        assert_eq!(told(json!({"b": [3]})), "`b` is [3], expected [1,2] or a string | ");
        assert_eq!(told(json!({"c": {"x": 2}})), "`c` is {\"x\":2}, which it cannot be | the values are {\"x\":1}");
    }

    #[test]
    fn whatever_a_schema_says_is_told_on_lines_of_bounded_length() {
        let long = "x\nerror: forged\u{202e}".repeat(10_000);
        let values: Vec<String> = (0..1_000).map(|n| format!("{n}{long}")).collect();
        let schema = json!({"properties": {
            "a": {"enum": values}, "b": {"type": "object", "additionalProperties": false, "properties": {&*long: {}}},
            &*long: {"type": "integer"}, "c": {"anyOf": [{"anyOf": [{"const": [values[0]]}]}, {"type": "string"}]},
        }, "required": [long]});
        let given = [
            json!({"a": "1", &*long: 1}),
            json!({"b": {"y": 1}, &*long: 1}),
            json!({&*long: "t"}),
            json!({"c": [3], &*long: 1}),
            json!({}),
        ];
        for given in given {
            for error in resolve(&schema, &given).unwrap_err() {
                let told = format!("{error} {}", error.help().unwrap_or_default());
                assert!(retune_roles::text::is_line(&told) && told.chars().count() < 3_000, "{told}");
            }
        }
    }

    #[test]
    fn a_default_that_its_own_schema_refuses_is_the_plugins_fault() {
        let schema = json!({"properties": {
            "level": {"type": "integer", "maximum": 5, "default": 9},
            "bounds": {"type": "object", "required": ["least"], "default": {}},
            "names": {"items": {"type": "string"}, "default": ["a", 3]},
        }});
        let told = |given: Value| {
            let errors = resolve(&schema, &given).unwrap_err();
            errors.iter().map(|error| format!("{error} | {}\n", error.help().unwrap_or_default())).collect::<String>()
        };
        insta::assert_snapshot!(told(Value::Null));
        // What somebody set is theirs.
        let given = told(json!({"level": 8, "bounds": {}, "names": [3]}));
        assert!(!given.contains("default of the plugin"), "{given}");
    }

    #[test]
    fn a_plugin_without_settings_says_so() {
        let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
        let error = resolve(&schema, &json!({"gamma": 1})).unwrap_err();
        assert_eq!(error[0].help().as_deref(), Some("this plugin takes no configuration"));
    }

    #[test]
    fn a_schema_that_points_outside_itself_or_is_none_is_not_valid() {
        let outside = json!({"$ref": "http://example.com/schema.json"});
        assert!(resolve(&outside, &json!({})).unwrap_err()[0].to_string().contains("not valid"));
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
            let error = resolve(&schema, &Value::Null).unwrap_err()[0].to_string();
            assert!(error.ends_with("expands without end"), "{error}: {schema}");
        }
        // As deep, and not as broad.
        assert!(
            resolve(&doubling("allOf", 10), &Value::Null).unwrap_err()[0].to_string().contains("expected a string")
        );
    }

    #[test]
    fn errors_without_number_are_not_listed() {
        let names = |count: usize| (0..count).map(|n| format!("n{n}")).collect::<Vec<_>>();
        let items = |count: usize, items: Value| json!({"properties": {"a": {"type": "array", "default": vec![json!({}); count], "items": items}}});
        // A hundred thousand million comparisons are refused.
        let depends = json!({"x": names(20_000)});
        for part in
            [json!({"required": names(20_000)}), json!({"enum": names(20_000)}), json!({"dependentRequired": depends})]
        {
            let error = &resolve(&items(20_000, part), &Value::Null).unwrap_err()[0];
            assert!(error.to_string().ends_with("expands without end"), "{error}");
        }
        // A million errors can be looked for, and are told as the first of them.
        let errors = resolve(&items(1_000, json!({"required": names(1_000)})), &Value::Null).unwrap_err();
        assert_eq!((errors.len(), errors[0].shown_path().as_str()), (1, "a[0].n0"));
        let errors = resolve(&items(10, json!({"required": names(50)})), &Value::Null).unwrap_err();
        assert_eq!(errors.len(), 100);
        // A long list of the words that there may be is as good as a short one.
        let words = items(20_000, json!({"enum": ["low", "mid", "high", {}]}));
        assert!(resolve(&words, &Value::Null).is_ok());
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
