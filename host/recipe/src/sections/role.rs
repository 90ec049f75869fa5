//! References to roles: `{ plugin = "x.wasm", config = {…} }`, or a name alone.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::kinds::{File, RoleName};

/// A role, by plugin or by name.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Written", into = "Table")]
pub struct RoleRef {
    /// As errors name it: `loss`, `data.preprocess[0]`.
    pub path: String,
    /// Which.
    pub source: RoleSource,
    /// Its settings, as given.
    pub config: Json,
    /// Sandbox limits, as given.
    pub limits: Json,
}

/// Where a role comes from.
#[derive(Clone, Debug)]
pub enum RoleSource {
    /// A component.
    Plugin(PathBuf),
    /// One of ours.
    Builtin(String),
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-kind" = "role", "x-write" = "\"name\" or { plugin = \"file.wasm\" }"))]
enum Written {
    /// The name of a built-in, or a file that ends in `.wasm`.
    Name(#[schemars(with = "RoleName")] String),
    Table(Table),
}

/// A role: [loss], [[data.preprocess]], [[strategy.policy]], an entry of evaluation.metrics.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Role")]
struct Table {
    /// A WebAssembly component.
    #[schemars(with = "Option<File>", extend("x-default" = "or `builtin`"))]
    plugin: Option<PathBuf>,
    /// One of retune's own.
    #[schemars(extend("x-default" = "or `plugin`"))]
    builtin: Option<String>,
    /// Checked against the role's schema.
    #[schemars(extend("x-default" = "{}", "x-write" = "config = { name = value }"))]
    config: Map<String, Json>,
    /// Sandbox limits (plugins only).
    #[schemars(extend("x-default" = "see `retune plugin inspect`", "x-write" = "limits = { name = value }"))]
    limits: Map<String, Json>,
}

impl From<Written> for RoleRef {
    fn from(written: Written) -> Self {
        let table = match written {
            Written::Table(table) => table,
            // A file given as a bare string is the likeliest slip here, and clear enough to take.
            Written::Name(name) if name.ends_with(".wasm") => {
                Table { plugin: Some(PathBuf::from(name)), ..Table::default() }
            }
            Written::Name(name) => Table { builtin: Some(name), ..Table::default() },
        };
        let source = match table.plugin {
            Some(file) => RoleSource::Plugin(file),
            None => RoleSource::Builtin(table.builtin.unwrap_or_default()),
        };
        Self { path: String::new(), source, config: Json::Object(table.config), limits: Json::Object(table.limits) }
    }
}

impl From<RoleRef> for Table {
    fn from(role: RoleRef) -> Self {
        let (plugin, builtin) = match role.source {
            RoleSource::Plugin(file) => (Some(file), None),
            RoleSource::Builtin(name) => (None, Some(name)),
        };
        let object = |value| if let Json::Object(members) = value { members } else { Map::new() };
        Self { plugin, builtin, config: object(role.config), limits: object(role.limits) }
    }
}

impl RoleRef {
    /// One of ours, with nothing to configure.
    pub fn builtin(path: &str, name: &str) -> Self {
        let table = Written::Table(Table { builtin: Some(name.to_owned()), ..Table::default() });
        Self { path: path.to_owned(), ..Self::from(table) }
    }

    /// The key of the file or the name.
    pub fn key(&self) -> String {
        match &self.source {
            RoleSource::Plugin(_) => format!("{}.plugin", self.path),
            RoleSource::Builtin(_) => format!("{}.builtin", self.path),
        }
    }

    /// The component's file.
    pub fn plugin(&self) -> Option<&Path> {
        match &self.source {
            RoleSource::Plugin(file) => Some(file),
            RoleSource::Builtin(_) => None,
        }
    }
}
