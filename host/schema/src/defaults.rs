//! Defaults of a schema, filled into a configuration at every depth.

use serde_json::Value;

use crate::bounds::{self, Budget, Depth, Endless, dereferenced};

/// Adds the default of every key that is absent, and descends into those that are there.
pub(crate) fn fill(
    root: &Value,
    schema: &Value,
    config: &mut Value,
    depth: Depth,
    budget: &mut Budget,
) -> Result<(), Endless> {
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
