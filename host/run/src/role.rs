//! One role of a run, filled: a plugin with its limits, or a built-in.

use std::sync::Arc;

use retune_roles::builtin;
use retune_roles::digest::hex;
use retune_roles::{Failure, Reads, Refusal, RoleKind, Stage, Tokenizer};
use retune_sandbox::{Limits, Meter, Plugin, Setup};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::manifest::{FileFacts, RoleFacts};
use retune_recipe::diagnostic::Diagnostic;

/// One role, filled.
#[derive(Clone)]
pub struct Role {
    /// Its place in the recipe: `loss`, `data.preprocess[0]`.
    pub path: String,
    /// Its role.
    pub kind: RoleKind,
    /// With defaults filled in.
    pub config: Json,
    /// What plays it.
    pub origin: Origin,
    /// What it has taken so far, when it is a plugin.
    pub meter: Meter,
}

/// Plugin or built-in.
#[derive(Clone)]
pub enum Origin {
    /// A component and its sandbox's limits.
    Plugin {
        /// The component.
        plugin: Plugin,
        /// What it may use.
        limits: Limits,
    },
    /// The name of one of ours.
    Builtin(String),
}

impl Role {
    /// Short name: the plugin's file stem, the built-in's name.
    pub fn name(&self) -> &str {
        match &self.origin {
            Origin::Plugin { plugin, .. } => plugin.name(),
            Origin::Builtin(name) => name,
        }
    }

    /// What it is fed when it is a metric.
    pub fn reads(&self) -> Reads {
        match &self.origin {
            Origin::Plugin { plugin, .. } => plugin.reads(),
            Origin::Builtin(name) => match builtin::find(self.kind, name) {
                Ok(found) if found.reads_texts() => Reads::TEXTS,
                _ => Reads::TENSORS,
            },
        }
    }

    pub(crate) fn setup(&self, seed: u64, tokenizer: Option<Arc<dyn Tokenizer>>) -> Setup {
        let limits = match &self.origin {
            Origin::Plugin { limits, .. } => limits.clone(),
            Origin::Builtin(_) => Limits::default(),
        };
        Setup { config: self.config.clone(), seed, limits, tokenizer, meter: self.meter.clone() }
    }

    pub(crate) fn stage(&self, seed: u64, tokenizer: &Arc<dyn Tokenizer>) -> Stage {
        let setup = self.setup(seed, Some(tokenizer.clone()));
        let role = self.clone();
        match &self.origin {
            Origin::Plugin { plugin, .. } => {
                let plugin = plugin.clone();
                Stage {
                    name: plugin.name().to_owned(),
                    fingerprint: plugin.fingerprint(&setup),
                    make: Box::new(move || plugin.preprocessor(&setup)),
                }
            }
            Origin::Builtin(name) => {
                let mut hash = Sha256::new();
                hash.update(format!("{name} {} {}", env!("CARGO_PKG_VERSION"), self.config));
                let name = name.clone();
                Stage {
                    name: name.clone(),
                    fingerprint: hex(&hash.finalize()),
                    make: Box::new(move || {
                        builtin::preprocessor(&name, &role.config)
                            .map_err(|r| Failure::new(name.clone(), RoleKind::Preprocessor, "init", r.to_string()))
                    }),
                }
            }
        }
    }

    pub(crate) fn facts(&self) -> RoleFacts {
        let (plugin, limits, used) = match &self.origin {
            Origin::Plugin { plugin, limits } => {
                let file = FileFacts {
                    path: plugin.path().to_owned(),
                    sha256: plugin.digest().to_owned(),
                    bytes: plugin.size(),
                };
                (Some(file), serde_json::to_value(limits).unwrap_or(Json::Null), Some(self.meter.used()))
            }
            Origin::Builtin(_) => (None, Json::Null, None),
        };
        RoleFacts {
            path: self.path.clone(),
            role: self.kind.to_string(),
            name: self.name().to_owned(),
            plugin,
            config: self.config.clone(),
            limits,
            used,
        }
    }
}

/// What a built-in has against its settings.
pub(crate) fn refused(role: &Role, refusal: &Refusal) -> Diagnostic {
    Diagnostic::new(format!("`{}`: {refusal}", role.path))
}
