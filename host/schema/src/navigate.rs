//! Finding one's way in a schema: the part that describes a value, its keys, its constants.

use serde_json::{Map, Value};

use crate::bounds::dereferenced;

/// Most keys or values among which the nearest is looked for.
const LISTED: usize = 1_000;

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

/// The first paragraph of what a schema says about `key` of the object at `path`.
pub(crate) fn about(root: &Value, path: &[String], key: &str) -> Option<String> {
    let schema = at(root, path);
    let property = std::iter::once(schema)
        .chain(parts(schema).map(|part| dereferenced(root, part)))
        .find_map(|schema| schema.get("properties")?.get(key))?;
    let text = property.get("description").or_else(|| dereferenced(root, property).get("description"))?.as_str()?;
    Some(retune_roles::text::shortened(text.split("\n\n").next()?.trim(), 300))
}
