//! A validator's errors as [`ConfigError`]s: every one of them, each where a person would look for it.
//!
//! Where a value may be one of several things, the errors told are those of the
//! alternative whose type it has; where all of them are listed values, these are told
//! whatever type it has.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use retune_roles::text::shortened;
use serde_json::Value;

use crate::bounds::dereferenced;
use crate::config_error::{ConfigError, Problem, brief};
use crate::navigate::{about, at, choices, constants, keys};

/// Most errors of one configuration.
const MOST: usize = 100;

/// Everything that `validator`, compiled from `schema`, has against `config`.
///
/// A key that is missing is left out where a misspelt one beside it was meant to be it.
/// The worst comes first: unknown keys, then what stands deeper.
pub fn faults(schema: &Value, validator: &Validator, config: &Value) -> Vec<ConfigError> {
    sorted(schema, validator.iter_errors(config).take(MOST))
}

/// The first thing that `validator` has against `config`: what [`faults`] gives where there could be more errors than memory for them.
pub(crate) fn first(schema: &Value, validator: &Validator, config: &Value) -> Vec<ConfigError> {
    sorted(schema, validator.validate(config).err())
}

fn sorted<'a>(schema: &Value, errors: impl IntoIterator<Item = ValidationError<'a>>) -> Vec<ConfigError> {
    let mut found = Vec::new();
    for error in errors {
        collect(schema, &error, &mut found);
    }
    let misspelt: Vec<(Vec<String>, String)> = found
        .iter()
        .filter_map(|error| Some((error.path[..error.path.len().checked_sub(1)?].to_vec(), error.near()?.to_owned())))
        .collect();
    found.retain(|error| {
        let meant = || {
            misspelt
                .iter()
                .any(|(parent, near)| error.path.strip_prefix(&parent[..]) == Some(std::slice::from_ref(near)))
        };
        !(matches!(error.problem, Problem::MissingKey { .. }) && meant())
    });
    found.sort_by_key(|error| {
        let known = !matches!(error.problem, Problem::UnknownKey { .. });
        (known, std::cmp::Reverse(error.path.len()))
    });
    found
}

fn collect(root: &Value, error: &ValidationError<'_>, found: &mut Vec<ConfigError>) {
    let path: Vec<String> = error
        .instance_path()
        .as_str()
        .split('/')
        .skip(1)
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect();
    let below = |key: &str| path.iter().cloned().chain([key.to_owned()]).collect();
    let given = error.instance().as_ref().clone();
    let problem = match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known = keys(root, at(root, &path));
            found.extend(
                unexpected
                    .iter()
                    .map(|key| ConfigError { path: below(key), problem: Problem::UnknownKey { known: known.clone() } }),
            );
            return;
        }
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            let problem = Problem::MissingKey { about: about(root, &path, key) };
            found.push(ConfigError { path: below(key), problem });
            return;
        }
        ValidationErrorKind::Type { kind } => match choices(root, at(root, &path)) {
            Some(allowed) => Problem::NotAllowed { given, allowed },
            None => Problem::WrongType { given, expected: types(kind) },
        },
        ValidationErrorKind::Enum { options } => {
            let allowed = options.as_array().into_iter().flatten().filter(|value| !value.is_null());
            Problem::NotAllowed { given, allowed: allowed.cloned().collect() }
        }
        ValidationErrorKind::Constant { expected_value } => {
            Problem::NotAllowed { given, allowed: vec![expected_value.as_ref().clone()] }
        }
        ValidationErrorKind::Minimum { .. }
        | ValidationErrorKind::Maximum { .. }
        | ValidationErrorKind::ExclusiveMinimum { .. }
        | ValidationErrorKind::ExclusiveMaximum { .. } => {
            let schema = at(root, &path);
            let alternatives = crate::navigate::parts(schema).map(|part| dereferenced(root, part));
            let bounds = std::iter::once(schema).chain(alternatives).map(|schema| range(schema, Some(&given)));
            let range = bounds.into_iter().find(|range| !range.is_empty()).unwrap_or_default();
            Problem::OutOfRange { given, range }
        }
        ValidationErrorKind::Pattern { .. } | ValidationErrorKind::MinLength { .. } => Problem::WrongForm { given },
        ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
            let schema = at(root, &path);
            let own_type = |errors: &&Vec<ValidationError<'_>>| {
                !errors.iter().any(|inner| {
                    let refuses_all = matches!(
                        inner.kind(),
                        ValidationErrorKind::Type { .. }
                            | ValidationErrorKind::Enum { .. }
                            | ValidationErrorKind::Constant { .. }
                    );
                    refuses_all && inner.instance_path() == error.instance_path()
                })
            };
            let allowed = constants(root, schema);
            if let Some(allowed) = choices(root, schema) {
                Problem::NotAllowed { given, allowed }
            } else if let Some(errors) = context.iter().find(own_type) {
                errors.iter().for_each(|error| collect(root, error, found));
                return;
            } else if allowed.iter().any(|value| std::mem::discriminant(value) == std::mem::discriminant(&given)) {
                Problem::NotAllowed { given, allowed }
            } else {
                Problem::WrongType { given, expected: alternatives(root, schema) }
            }
        }
        _ => Problem::Other { message: shortened(&error.to_string(), 300), help: None },
    };
    // A value of another type than the values there are is refused twice, and told once.
    let told = |error: &ConfigError| error.path == path && matches!(error.problem, Problem::NotAllowed { .. });
    if !(matches!(problem, Problem::NotAllowed { .. }) && found.iter().any(told)) {
        found.push(ConfigError { path, problem });
    }
}

/// The bounds of a number in words: "at least 1", "more than 0 and at most 1". Bounds that only
/// repeat what the number's type can hold are told when `given` is beyond them.
pub fn range(schema: &Value, given: Option<&Value>) -> String {
    let given = given.and_then(Value::as_f64);
    let bound = |key: &str, words: &str| {
        let bound = schema.get(key)?;
        let limit = bound.as_f64()?;
        let whole = schema.get("type").is_some_and(|name| name == "integer");
        let of_the_type = whole && (limit >= f64::from(u32::MAX) || (key == "minimum" && limit == 0.0));
        let beyond = given.is_some_and(|given| if key == "minimum" { given < limit } else { given > limit });
        let shown = bound.as_i64().map_or_else(|| limit.to_string(), |whole| whole.to_string());
        (!of_the_type || beyond).then(|| format!("{words} {shown}"))
    };
    let low = bound("minimum", "at least").or_else(|| bound("exclusiveMinimum", "more than"));
    let high = bound("maximum", "at most").or_else(|| bound("exclusiveMaximum", "less than"));
    low.into_iter().chain(high).collect::<Vec<_>>().join(" and ")
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => article(&one.to_string()),
        TypeKind::Multiple(many) => many.iter().map(|t| article(&t.to_string())).collect::<Vec<_>>().join(" or "),
    }
}

/// What a schema's alternatives are: `"auto" or a whole number`.
fn alternatives(root: &Value, schema: &Value) -> String {
    let mut names: Vec<String> = Vec::new();
    for part in crate::navigate::parts(schema) {
        let part = dereferenced(root, part);
        let of_type = || part.get("type").and_then(Value::as_str).map_or_else(|| "another value".to_owned(), article);
        let listed = choices(root, part).map(|values| values.iter().map(brief).collect());
        for name in listed.unwrap_or_else(|| vec![of_type()]) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.join(" or ")
}

/// A type of JSON in words.
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
