//! One pattern, or several.

use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::kinds::{File, Glob};

/// Patterns over parameter names; one alone may be written without brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Globs(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    One(String),
    Several(Vec<String>),
}

impl From<Written> for Globs {
    fn from(written: Written) -> Self {
        match written {
            Written::One(glob) => Self(vec![glob]),
            Written::Several(globs) => Self(globs),
        }
    }
}

impl From<Vec<String>> for Globs {
    fn from(globs: Vec<String>) -> Self {
        Self(globs)
    }
}

impl Deref for Globs {
    type Target = [String];
    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl JsonSchema for Globs {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Globs".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        one_or_several::<Glob>(generator, "glob or list of globs")
    }
}

/// A file, or several.
pub fn files(generator: &mut SchemaGenerator) -> Schema {
    one_or_several::<File>(generator, "file or list of files")
}

fn one_or_several<T: JsonSchema>(generator: &mut SchemaGenerator, kind: &str) -> Schema {
    let one = generator.subschema_for::<T>();
    json_schema!({"anyOf": [one, {"type": "array", "items": one}], "x-kind": kind})
}
