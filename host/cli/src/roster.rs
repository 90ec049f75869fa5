//! The roles of a run: from references in a recipe to instances.
//!
//! [`Roster::cast`] loads every plugin, checks that it plays the role it is given,
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

use crate::casting::Caster;
use crate::complaint::{Complaint, Result};
use crate::manifest::{FileFacts, RoleFacts};
use crate::recipe::{Recipe, RoleRef};

/// Who plays what.
pub struct Roster {
    /// In the order rows pass them.
    pub preprocess: Vec<Seat>,
    /// One.
    pub loss: Seat,
    /// In the order they are asked.
    pub policies: Vec<Seat>,
    /// In the order they are printed.
    pub metrics: Vec<Seat>,
    task: TaskKind,
    seed: u64,
}

/// One role, filled.
#[derive(Clone)]
pub struct Seat {
    /// Its place in the recipe: `loss`, `data.preprocess[0]`.
    pub path: String,
    /// Its role.
    pub kind: RoleKind,
    /// With defaults filled in.
    pub config: Json,
    /// Who plays it.
    pub who: Who,
}

/// Plugin or built-in.
#[derive(Clone)]
pub enum Who {
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

impl Roster {
    /// Fills every role of `recipe`, or says everything that stands in the way.
    pub fn cast(recipe: &Recipe, cache: Option<&Path>) -> Result<Self> {
        let mut caster = Caster::new(recipe, cache);
        let preprocess = caster.all(&recipe.data.preprocess, RoleKind::Preprocessor);
        let own = RoleRef::builtin("loss".to_owned(), crate::recipe::At::default_of("cross-entropy".to_owned()));
        let loss = caster.one(recipe.loss.as_ref().unwrap_or(&own), RoleKind::Loss);
        let policies = caster.all(&recipe.strategy.policy, RoleKind::Policy);
        let metrics = caster.all(&recipe.evaluation.metrics, RoleKind::Metric);
        match (caster.complaint(), loss) {
            (Some(complaint), _) => Err(complaint),
            (None, Some(loss)) => {
                Ok(Self { preprocess, loss, policies, metrics, task: *recipe.model.task, seed: recipe.seed })
            }
            (None, None) => Err(Complaint::new("the loss cannot be used")),
        }
    }

    /// The preprocessors as stages of the data path. `tokenizer` is what plugins that ask for one get.
    pub fn stages(&self, tokenizer: &Arc<dyn Tokenizer>) -> Vec<Stage> {
        self.preprocess.iter().map(|seat| seat.stage(self.seed, tokenizer)).collect()
    }

    /// A fresh loss.
    pub fn loss(&self, device: &Device) -> Result<Box<dyn Loss>> {
        match &self.loss.who {
            Who::Plugin { plugin, .. } => Ok(plugin.loss(&self.loss.setup(self.seed, None), device)?),
            Who::Builtin(name) => {
                builtin::loss(name, &self.loss.config, self.task).map_err(|r| refused(&self.loss, &r))
            }
        }
    }

    /// Fresh policies.
    pub fn policies(&self) -> Result<Vec<Box<dyn Policy>>> {
        self.policies
            .iter()
            .map(|seat| match &seat.who {
                Who::Plugin { plugin, .. } => Ok(plugin.policy(&seat.setup(self.seed, None))?),
                Who::Builtin(name) => builtin::policy(name, &seat.config).map_err(|r| refused(seat, &r)),
            })
            .collect()
    }

    /// Fresh metrics.
    pub fn metrics(&self, device: &Device) -> Result<Vec<Box<dyn Metric>>> {
        self.metrics
            .iter()
            .map(|seat| match &seat.who {
                Who::Plugin { plugin, .. } => Ok(plugin.metric(&seat.setup(self.seed, None), device)?),
                Who::Builtin(name) => builtin::metric(name, &seat.config, self.task).map_err(|r| refused(seat, &r)),
            })
            .collect()
    }

    /// Every seat, in the order of the data's way.
    pub fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.preprocess.iter().chain(std::iter::once(&self.loss)).chain(&self.policies).chain(&self.metrics)
    }

    /// For the manifest.
    pub fn facts(&self) -> Vec<RoleFacts> {
        self.seats().map(Seat::facts).collect()
    }
}

impl Seat {
    /// Short name: the plugin's file stem, the built-in's name.
    pub fn name(&self) -> &str {
        match &self.who {
            Who::Plugin { plugin, .. } => plugin.name(),
            Who::Builtin(name) => name,
        }
    }

    fn setup(&self, seed: u64, tokenizer: Option<Arc<dyn Tokenizer>>) -> Setup {
        let limits = match &self.who {
            Who::Plugin { limits, .. } => limits.clone(),
            Who::Builtin(_) => Limits::default(),
        };
        Setup { config: self.config.clone(), seed, limits, tokenizer }
    }

    fn stage(&self, seed: u64, tokenizer: &Arc<dyn Tokenizer>) -> Stage {
        let setup = self.setup(seed, Some(tokenizer.clone()));
        let seat = self.clone();
        match &self.who {
            Who::Plugin { plugin, .. } => {
                let plugin = plugin.clone();
                Stage {
                    name: plugin.name().to_owned(),
                    fingerprint: plugin.fingerprint(&setup),
                    make: Box::new(move || plugin.preprocessor(&setup)),
                }
            }
            Who::Builtin(name) => {
                let mut hash = Sha256::new();
                hash.update(format!("{name} {} {}", env!("CARGO_PKG_VERSION"), self.config));
                let name = name.clone();
                Stage {
                    name: name.clone(),
                    fingerprint: hex(&hash.finalize()),
                    make: Box::new(move || {
                        builtin::preprocessor(&name, &seat.config)
                            .map_err(|r| Failure::new(name.clone(), RoleKind::Preprocessor, "init", r.to_string()))
                    }),
                }
            }
        }
    }

    fn facts(&self) -> RoleFacts {
        let (plugin, limits) = match &self.who {
            Who::Plugin { plugin, limits } => {
                let file = FileFacts {
                    path: plugin.path().to_owned(),
                    sha256: plugin.digest().to_owned(),
                    bytes: plugin.size(),
                };
                (Some(file), serde_json::to_value(limits).unwrap_or(Json::Null))
            }
            Who::Builtin(_) => (None, Json::Null),
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

fn refused(seat: &Seat, refusal: &Refusal) -> Complaint {
    Complaint::new(format!("`{}`: {refusal}", seat.path))
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
