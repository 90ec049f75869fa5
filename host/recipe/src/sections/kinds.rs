//! What a text stands for, for keys whose Rust type does not say it. These are only ever
//! named in `#[schemars(with = …)]`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A path to a file, relative to the recipe that says it.
#[derive(Debug)]
pub struct File;

/// A path to a directory, relative to the recipe that says it.
#[derive(Debug)]
pub struct Folder;

/// A pattern over parameter names: `encoder.layer.0.**`.
#[derive(Debug)]
pub struct Glob;

/// The name of a built-in role, or a file that ends in `.wasm`.
#[derive(Debug)]
pub struct RoleName;

/// The name of a chat template, or a file that ends in `.jinja`.
#[derive(Debug)]
pub struct TemplateName;

macro_rules! text {
    ($kind:ty, $name:literal, $schema:tt) => {
        impl JsonSchema for $kind {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

text!(File, "File", {"type": "string", "minLength": 1, "format": "path", "x-kind": "file"});
text!(Folder, "Folder", {"type": "string", "minLength": 1, "format": "path", "x-kind": "directory"});
text!(Glob, "Glob", {"type": "string", "minLength": 1, "x-kind": "glob"});
text!(TemplateName, "TemplateName", {"type": "string", "minLength": 1, "format": "template", "x-kind": "file or name"});
text!(RoleName, "RoleName", {"type": "string", "minLength": 1, "format": "role", "x-kind": "name"});
