//! The roles of a run: from references in a recipe to instances.
//!
//! [`RunRoles::resolve`] loads every plugin, checks that it plays the role it is given,
//! fills its configuration from its schema, and reports all that is wrong at the
//! place in the recipe. After that, instances are made on demand: several of a
//! preprocessor, a fresh loss and fresh metrics for each measurement.

use std::path::Path;
use std::sync::Arc;

use retune_roles::builtin;
use retune_roles::digest::hex;
use retune_roles::{Failure, Loss, Metric, Policy, Preprocessor, Refusal, RoleKind, Stage, TaskKind, Tokenizer};
use retune_sandbox::{Limits, Plugin, Setup};
use retune_tensor::Device;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::manifest::{FileFacts, RoleFacts};
use crate::resolve::Resolver;
use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_recipe::{Recipe, RoleRef};

/// What plays which role in a run.
pub struct RunRoles {
    /// In the order rows pass them.
    pub preprocess: Vec<Role>,
    /// One.
    pub loss: Role,
    /// In the order they are asked.
    pub policies: Vec<Role>,
    /// In the order they are printed.
    pub metrics: Vec<Role>,
    task: TaskKind,
    seed: u64,
}

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

impl RunRoles {
    /// Fills every role of `recipe`, or says everything that stands in the way.
    pub fn resolve(recipe: &Recipe, cache: Option<&Path>) -> Result<Self> {
        let mut resolver = Resolver::new(recipe, cache);
        let preprocess = resolver.all(&recipe.data.preprocess, RoleKind::Preprocessor);
        let own = RoleRef::builtin("loss", recipe.model.task.info().default_loss);
        let loss = resolver.one(recipe.loss.as_ref().unwrap_or(&own), RoleKind::Loss);
        let policies = resolver.all(&recipe.strategy.policy, RoleKind::Policy);
        let metrics = resolver.all(&recipe.evaluation.metrics, RoleKind::Metric);
        match (resolver.diagnostic(), loss) {
            (Some(diagnostic), _) => Err(diagnostic),
            (None, Some(loss)) => {
                Ok(Self { preprocess, loss, policies, metrics, task: recipe.model.task, seed: recipe.seed })
            }
            (None, None) => Err(Diagnostic::new("the loss cannot be used")),
        }
    }

    /// The preprocessors as stages of the data path. `tokenizer` is what plugins that ask for one get.
    pub fn stages(&self, tokenizer: &Arc<dyn Tokenizer>) -> Vec<Stage> {
        self.preprocess.iter().map(|role| role.stage(self.seed, tokenizer)).collect()
    }

    /// A fresh loss.
    pub fn loss(&self, device: &Device) -> Result<Box<dyn Loss>> {
        match &self.loss.origin {
            Origin::Plugin { plugin, .. } => Ok(plugin.loss(&self.loss.setup(self.seed, None), device)?),
            Origin::Builtin(name) => {
                builtin::loss(name, &self.loss.config, self.task).map_err(|r| refused(&self.loss, &r))
            }
        }
    }

    /// Fresh policies.
    pub fn policies(&self) -> Result<Vec<Box<dyn Policy>>> {
        self.policies
            .iter()
            .map(|role| match &role.origin {
                Origin::Plugin { plugin, .. } => Ok(plugin.policy(&role.setup(self.seed, None))?),
                Origin::Builtin(name) => builtin::policy(name, &role.config).map_err(|r| refused(role, &r)),
            })
            .collect()
    }

    /// Fresh metrics.
    pub fn metrics(&self, device: &Device) -> Result<Vec<Box<dyn Metric>>> {
        self.metrics
            .iter()
            .map(|role| match &role.origin {
                Origin::Plugin { plugin, .. } => Ok(plugin.metric(&role.setup(self.seed, None), device)?),
                Origin::Builtin(name) => builtin::metric(name, &role.config, self.task).map_err(|r| refused(role, &r)),
            })
            .collect()
    }

    /// Every role, in the order of the data's way.
    pub fn each(&self) -> impl Iterator<Item = &Role> {
        self.preprocess.iter().chain(std::iter::once(&self.loss)).chain(&self.policies).chain(&self.metrics)
    }

    /// For the manifest.
    pub fn facts(&self) -> Vec<RoleFacts> {
        self.each().map(Role::facts).collect()
    }
}

impl Role {
    /// Short name: the plugin's file stem, the built-in's name.
    pub fn name(&self) -> &str {
        match &self.origin {
            Origin::Plugin { plugin, .. } => plugin.name(),
            Origin::Builtin(name) => name,
        }
    }

    fn setup(&self, seed: u64, tokenizer: Option<Arc<dyn Tokenizer>>) -> Setup {
        let limits = match &self.origin {
            Origin::Plugin { limits, .. } => limits.clone(),
            Origin::Builtin(_) => Limits::default(),
        };
        Setup { config: self.config.clone(), seed, limits, tokenizer }
    }

    fn stage(&self, seed: u64, tokenizer: &Arc<dyn Tokenizer>) -> Stage {
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

    fn facts(&self) -> RoleFacts {
        let (plugin, limits) = match &self.origin {
            Origin::Plugin { plugin, limits } => {
                let file = FileFacts {
                    path: plugin.path().to_owned(),
                    sha256: plugin.digest().to_owned(),
                    bytes: plugin.size(),
                };
                (Some(file), serde_json::to_value(limits).unwrap_or(Json::Null))
            }
            Origin::Builtin(_) => (None, Json::Null),
        };
        RoleFacts {
            path: self.path.clone(),
            role: self.kind.to_string(),
            name: self.name().to_owned(),
            plugin,
            config: self.config.clone(),
            limits,
        }
    }
}

fn refused(role: &Role, refusal: &Refusal) -> Diagnostic {
    Diagnostic::new(format!("`{}`: {refusal}", role.path))
}

/// The names of all limits, as a recipe spells them.
pub fn limit_names() -> Vec<String> {
    match serde_json::to_value(Limits::default()) {
        Ok(Json::Object(object)) => object.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// For what a caller needs of a preprocessor before it runs.
pub fn is_stateful(stage: &Stage) -> Result<bool> {
    let instance: Box<dyn Preprocessor> = (stage.make)()?;
    Ok(instance.describe().stateful)
}
