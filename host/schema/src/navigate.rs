//! Finding one's way in a schema: the part that describes a value, its keys, its constants.

use serde_json::{Map, Value};

use crate::bounds::dereferenced;

/// Most keys or values among which the nearest is looked for.
const LISTED: usize = 1_000;

/// How deep alternatives within alternatives are looked at for the values they list.
const NESTED: u8 = 4;

/// The keywords that list alternatives or parts.
const COMBINED: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// The schema of the value at `path`, as far as properties and items lead; null where
/// the schema says nothing.
pub fn at<'a>(root: &'a Value, path: &[String]) -> &'a Value {
    property_at(root, path).map_or(&Value::Null, |schema| dereferenced(root, schema))
}

/// As [`at`], with what stands beside a `$ref`: description and default of the key.
pub fn property_at<'a>(root: &'a Value, path: &[String]) -> Option<&'a Value> {
    let step = |schema: &'a Value, key: &String| {
        let schema = dereferenced(root, schema);
        let within = |schema: &'a Value| {
            let schema = dereferenced(root, schema);
            schema.get("properties").and_then(|p| p.get(key)).or_else(|| schema.get("items"))
        };
        within(schema).or_else(|| parts(schema).find_map(within))
    };
    path.iter().try_fold(root, step)
}

/// `schema` itself, when it is no reference, or what it refers to within `root`.
pub fn target<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    dereferenced(root, schema)
}

/// The alternatives and parts of a schema.
pub(crate) fn parts(schema: &Value) -> impl Iterator<Item = &Value> {
    COMBINED.iter().filter_map(|name| schema.get(name)?.as_array()).flatten()
}

/// The keys that an object of this schema may have.
pub(crate) fn keys(root: &Value, schema: &Value) -> Vec<String> {
    let own = |schema| {
        let keys = dereferenced(root, schema).get("properties").and_then(Value::as_object);
        keys.into_iter().flat_map(Map::keys)
    };
    own(schema).chain(parts(schema).flat_map(own)).take(LISTED).cloned().collect()
}

/// Constants among alternatives, as documented enums are written.
pub(crate) fn constants(root: &Value, schema: &Value) -> Vec<Value> {
    parts(schema)
        .flat_map(|part| {
            let part = dereferenced(root, part);
            let listed = part.get("enum").and_then(Value::as_array).into_iter().flatten();
            part.get("const").into_iter().chain(listed)
        })
        .take(LISTED)
        .cloned()
        .collect()
}

/// All values that `schema` allows, when there are but a few: constants, lists of them, truth values, and
/// alternatives made of these. `null` is not among them: a configuration leaves the key out.
pub(crate) fn choices(root: &Value, schema: &Value) -> Option<Vec<Value>> {
    let mut listed = choices_to(root, schema, NESTED)?;
    listed.retain(|value| !value.is_null());
    listed.truncate(LISTED);
    (!listed.is_empty()).then_some(listed)
}

fn choices_to(root: &Value, schema: &Value, depth: u8) -> Option<Vec<Value>> {
    let schema = dereferenced(root, schema);
    if let Some(value) = schema.get("const") {
        return Some(vec![value.clone()]);
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return Some(values.iter().take(LISTED).cloned().collect());
    }
    let depth = depth.checked_sub(1)?;
    let part = |part| choices_to(root, part, depth);
    for keyword in ["oneOf", "anyOf"] {
        if let Some(alternatives) = schema.get(keyword).and_then(Value::as_array).filter(|list| list.len() <= LISTED) {
            let mut all: Vec<Value> = Vec::new();
            for alternative in alternatives {
                all.extend(part(alternative)?);
                // Alternatives of alternatives multiply.
                if all.len() > LISTED {
                    return None;
                }
            }
            return Some(all);
        }
    }
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        return parts.iter().take(LISTED).find_map(part);
    }
    match schema.get("type")?.as_str()? {
        "null" => Some(vec![Value::Null]),
        // By itself it is a kind of value, which is told as such; beside others it is two more of them.
        "boolean" if depth + 1 < NESTED => Some(vec![Value::Bool(true), Value::Bool(false)]),
        _ => None,
    }
}

/// The first paragraph of what a schema says about `key` of the object at `path`.
pub(crate) fn about(root: &Value, path: &[String], key: &str) -> Option<String> {
    let schema = at(root, path);
    let property = std::iter::once(schema)
        .chain(parts(schema).map(|part| dereferenced(root, part)))
        .find_map(|schema| schema.get("properties")?.get(key))?;
    let text = property.get("description").or_else(|| dereferenced(root, property).get("description"))?.as_str()?;
    Some(retune_roles::text::line(text.split("\n\n").next()?.trim(), 300))
}
