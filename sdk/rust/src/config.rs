//! A plugin's settings: from a Rust type to JSON Schema, and back from JSON.
//!
//! The type is an ordinary struct. `Deserialize` reads it; `JsonSchema` tells the
//! host what is allowed, so that a recipe with a wrong key is refused with the
//! file, the line and the nearest key before anything is loaded. Three attributes
//! make the most of that: `#[serde(default)]` (with `Default` and `Serialize`)
//! puts the defaults into the schema, `#[serde(deny_unknown_fields)]` forbids
//! other keys, and a doc comment on a field becomes its description.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// The JSON Schema (2020-12) of a configuration.
pub fn schema<C: JsonSchema>() -> Value {
    // Without references: a reader of the schema sees every key where it stands.
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema: Schema = settings.into_generator().into_root_schema_for::<C>();
    if let Some(object) = schema.as_object_mut()
        && object.get("type") == Some(&Value::from("null"))
    {
        // `()` is the configuration of a plugin that has none; the host still sends `{}`.
        object.insert("type".into(), "object".into());
        object.insert("additionalProperties".into(), false.into());
    }
    schema.to_value()
}

/// Reads a configuration.
///
/// # Errors
/// When `json` is not what the type expects; says where.
pub fn parse<C: DeserializeOwned>(json: &str) -> Result<C> {
    serde_json::from_str(json)
        .or_else(|error| match json.trim() {
            "{}" => serde_json::from_str("null").map_err(|_| error),
            _ => Err(error),
        })
        .map_err(|error| Error::config(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Focus {
        /// How much easy rows count less.
        #[schemars(range(min = 0))]
        gamma: f64,
        names: Option<Vec<String>>,
    }

    impl Default for Focus {
        fn default() -> Self {
            Self { gamma: 2.0, names: None }
        }
    }

    #[test]
    fn a_schema_tells_types_defaults_bounds_and_that_there_is_nothing_else() {
        let schema = schema::<Focus>();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["additionalProperties"], false);
        let gamma = &schema["properties"]["gamma"];
        assert_eq!(gamma["default"], 2.0);
        assert_eq!(gamma["minimum"], 0);
        assert_eq!(gamma["type"], "number");
        assert_eq!(gamma["description"], "How much easy rows count less.");
        assert_eq!(schema.get("required"), None);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = parse::<Focus>(r#"{"gama": 1}"#).unwrap_err();
        assert_eq!(error.kind, crate::ErrorKind::Config);
        assert!(error.message.contains("gama"), "{}", error.message);
    }

    #[test]
    fn no_configuration_takes_an_empty_object_and_nothing_else() {
        assert_eq!(schema::<()>()["type"], json!("object"));
        assert!(parse::<()>("{}").is_ok());
        assert!(parse::<()>(r#"{"gamma": 1}"#).is_err());
    }
}
