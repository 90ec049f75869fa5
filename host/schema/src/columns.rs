//! Settings that the recipe knows already: which columns the model reads, and which one is the label.
//!
//! A plugin marks such a property of its schema with `x-from-recipe`, and a recipe need not say a second time what
//! its `data.columns` says. The names are the host's whole vocabulary; others are left alone, so that a plugin for a later
//! host runs on this one with its own defaults.

use serde_json::{Map, Value};

/// The keyword of a property that the host fills in.
const KEYWORD: &str = "x-from-recipe";

/// Columns of the source data, by what the run uses them for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Those whose text the model reads, in its order: a list, for properties marked `input-columns`. Empty when
    /// nobody knows: nothing is filled in then.
    pub inputs: Vec<String>,
    /// The label's: a text, for properties marked `label-column`.
    pub label: Option<String>,
}

impl Columns {
    /// `given` with the marked properties that it leaves out.
    pub fn fill(&self, schema: &Value, given: &Value) -> Value {
        let (Some(properties), Some(given)) = (schema.get("properties").and_then(Value::as_object), object(given))
        else {
            return given.clone();
        };
        let mut filled = given;
        for (name, property) in properties {
            let known = match property.get(KEYWORD).and_then(Value::as_str) {
                Some("input-columns") if !self.inputs.is_empty() => Some(Value::from(self.inputs.clone())),
                Some("label-column") => self.label.clone().map(Value::from),
                _ => None,
            };
            if let Some(known) = known.filter(|_| !filled.contains_key(name)) {
                filled.insert(name.clone(), known);
            }
        }
        Value::Object(filled)
    }
}

/// The settings as an object; nothing is an empty one.
fn object(given: &Value) -> Option<Map<String, Value>> {
    match given {
        Value::Null => Some(Map::new()),
        other => other.as_object().cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_recipe_knows_is_filled_in_where_it_is_asked_for_and_not_given() {
        let schema = json!({"properties": {
            "fields": {"type": "array", "x-from-recipe": "input-columns"},
            "label": {"type": "string", "x-from-recipe": "label-column"},
            "later": {"x-from-recipe": "something-new"},
            "gamma": {"default": 2.0},
        }});
        let columns = Columns { inputs: vec!["a".into(), "b".into()], label: Some("c".into()) };
        assert_eq!(columns.fill(&schema, &Value::Null), json!({"fields": ["a", "b"], "label": "c"}));
        assert_eq!(
            columns.fill(&schema, &json!({"fields": ["x"], "gamma": 1})),
            json!({"fields": ["x"], "gamma": 1, "label": "c"})
        );
        assert_eq!(Columns::default().fill(&schema, &json!({})), json!({}));
        assert_eq!(columns.fill(&schema, &json!([1])), json!([1]), "what is no object is the schema's to refuse");
        assert_eq!(columns.fill(&json!(true), &json!({})), json!({}));
    }
}
