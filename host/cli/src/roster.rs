//! The roles of a run: from references in a recipe to instances.
//!
//! [`Roster::cast`] loads every plugin, checks that it plays the role it is given,
//! fills its configuration from its schema, and reports all that is wrong at the
//! place in the recipe. After that, instances are made on demand: several of a
//! preprocessor, a fresh loss and fresh metrics for each measurement.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use retune_roles::builtin::{self, Task};
use retune_roles::{Failure, Loss, Metric, Policy, Preprocessor, Refusal, RoleKind, Stage, Tokenizer};
use retune_sandbox::{Limits, Plugin, Sandbox, Setup};
use retune_tensor::Device;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::complaint::{Complaint, Result, nearest_path};
use crate::manifest::{FileFacts, RoleFacts};
use crate::nearest::{listed, nearest};
use crate::recipe::{Recipe, RoleRef, RoleSource, TaskName};

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
    task: Task,
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
    who: Who,
}

#[derive(Clone)]
enum Who {
    Plugin { plugin: Plugin, limits: Limits },
    Builtin(String),
}

impl Roster {
    /// Fills every role of `recipe`, or says everything that stands in the way.
    pub fn cast(recipe: &Recipe, cache: Option<&Path>) -> Result<Self> {
        let mut caster = Caster { recipe, cache, sandbox: None, plugins: HashMap::new(), complaints: Vec::new() };
        let preprocess = caster.all(&recipe.data.preprocess, RoleKind::Preprocessor);
        let own = RoleRef::builtin("loss".to_owned(), crate::recipe::At::default_of("cross-entropy".to_owned()));
        let loss = caster.one(recipe.loss.as_ref().unwrap_or(&own), RoleKind::Loss);
        let policies = caster.all(&recipe.strategy.policy, RoleKind::Policy);
        let metrics = caster.all(&recipe.evaluation.metrics, RoleKind::Metric);
        match (Complaint::all(caster.complaints), loss) {
            (Some(complaint), _) => Err(complaint),
            (None, Some(loss)) => {
                Ok(Self { preprocess, loss, policies, metrics, task: task(recipe), seed: recipe.seed })
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
                    fingerprint: hash.finalize().iter().map(|b| format!("{b:02x}")).collect(),
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

/// The built-ins' word for the task.
pub fn task(recipe: &Recipe) -> Task {
    match *recipe.model.task {
        TaskName::SequenceClassification => Task::Sequences,
        TaskName::CausalLm => Task::Tokens,
    }
}

fn refused(seat: &Seat, refusal: &Refusal) -> Complaint {
    Complaint::new(format!("`{}`: {refusal}", seat.path))
}

struct Caster<'a> {
    recipe: &'a Recipe,
    cache: Option<&'a Path>,
    /// Started with the first plugin; a run of built-ins needs none.
    sandbox: Option<Sandbox>,
    /// `None`: it cannot be loaded, and that has been said.
    plugins: HashMap<PathBuf, Option<Plugin>>,
    complaints: Vec<Complaint>,
}

impl Caster<'_> {
    fn all(&mut self, roles: &[RoleRef], kind: RoleKind) -> Vec<Seat> {
        roles.iter().filter_map(|role| self.one(role, kind)).collect()
    }

    fn one(&mut self, role: &RoleRef, kind: RoleKind) -> Option<Seat> {
        match &role.source {
            RoleSource::Plugin(path) => self.plugin(role, path, kind),
            RoleSource::Builtin(name) => self.builtin(role, name, kind),
        }
    }

    fn complain(&mut self, complaint: Complaint) {
        self.complaints.push(complaint);
    }

    fn load(&mut self, role: &RoleRef, path: &Path) -> Option<Plugin> {
        if let Some(known) = self.plugins.get(path) {
            return known.clone();
        }
        let loaded = self.try_load(role, path).map_err(|complaint| self.complain(complaint)).ok();
        self.plugins.insert(path.to_owned(), loaded.clone());
        loaded
    }

    fn try_load(&mut self, role: &RoleRef, path: &Path) -> Result<Plugin> {
        if !path.is_file() {
            let what = if path.is_dir() { "is a folder, not a file" } else { "does not exist" };
            let help = nearest_path(path)
                .unwrap_or_else(|| "paths are relative to the recipe; build the plugin first".to_owned());
            return Err(self
                .recipe
                .complaint(format!("the plugin `{}` {what}", path.display()), role.span(), "given here")
                .help(help));
        }
        if self.sandbox.is_none() {
            let started = Sandbox::new(self.cache).map_err(|e| Complaint::new(e.to_string()).help_some(e.help()))?;
            self.sandbox = Some(started);
        }
        let sandbox = self.sandbox.as_ref().ok_or_else(|| Complaint::new("the sandbox did not start"))?;
        sandbox
            .load(path)
            .map_err(|e| self.recipe.complaint(e.to_string(), role.span(), "given here").help_some(e.help()))
    }

    fn plugin(&mut self, role: &RoleRef, path: &Path, kind: RoleKind) -> Option<Seat> {
        let plugin = self.load(role, path)?;
        if !plugin.roles().contains(&kind) {
            let plays: Vec<String> = plugin.roles().iter().map(ToString::to_string).collect();
            let other = plugin.roles().first().map(|r| format!("use it under {}", section(*r)));
            self.complain(
                self.recipe
                    .complaint(
                        format!("`{}` is no {kind}", plugin.name()),
                        role.span(),
                        format!("its roles: {}", plays.join(", ")),
                    )
                    .help_some(other),
            );
            return None;
        }
        let config = match plugin.resolve_config(&role.config) {
            Ok(config) => config,
            Err(error) => {
                let span = place(&role.places, &error.path).or_else(|| role.span());
                self.complain(
                    self.recipe
                        .complaint(format!("`{}.config` of {}: {error}", role.path, plugin.name()), span, "here")
                        .help_some(error.help.clone())
                        .help(format!("`retune plugin inspect {}` lists its settings", path.display())),
                );
                return None;
            }
        };
        let limits = self.limits(role)?;
        Some(Seat { path: role.path.clone(), kind, config, who: Who::Plugin { plugin, limits } })
    }

    fn limits(&mut self, role: &RoleRef) -> Option<Limits> {
        match serde_json::from_value(role.limits.clone()) {
            Ok(limits) => Some(limits),
            Err(error) => {
                let names = limit_names();
                let wrong = role.limits.as_object().and_then(|o| o.keys().find(|k| !names.contains(k)));
                let span = wrong
                    .and_then(|key| role.limit_places.get(&format!("/{key}")))
                    .or_else(|| role.limit_places.get(""))
                    .cloned();
                let (message, label) = match wrong {
                    Some(key) => {
                        let near = nearest(key, names.iter().map(String::as_str))
                            .map_or("not a limit".to_owned(), |n| format!("did you mean `{n}`?"));
                        (format!("unknown limit `{key}` in `{}.limits`", role.path), near)
                    }
                    None => (format!("`{}.limits`: {error}", role.path), "here".to_owned()),
                };
                let known = listed(names.iter().map(String::as_str));
                self.complain(
                    self.recipe.complaint(message, span, label).help(format!("the limits are whole numbers: {known}")),
                );
                None
            }
        }
    }

    fn builtin(&mut self, role: &RoleRef, name: &str, kind: RoleKind) -> Option<Seat> {
        let names = builtin::names(kind);
        if !names.contains(&name) {
            let label = nearest(name, names.iter().copied())
                .map_or("there is none".to_owned(), |near| format!("did you mean `{near}`?"));
            self.complain(
                self.recipe
                    .complaint(format!("there is no built-in {kind} `{name}`"), role.span(), label)
                    .help(format!("built in: {}", listed(names.iter().copied())))
                    .help("a plugin is named by its file: plugin = \"file.wasm\""),
            );
            return None;
        }
        let task = task(self.recipe);
        let made = match kind {
            RoleKind::Preprocessor => builtin::preprocessor(name, &role.config).map(drop),
            RoleKind::Loss => builtin::loss(name, &role.config, task).map(drop),
            RoleKind::Policy => builtin::policy(name, &role.config).map(drop),
            RoleKind::Metric => builtin::metric(name, &role.config, task).map(drop),
        };
        if let Err(refusal) = made {
            let named = role
                .places
                .iter()
                .find(|(pointer, _)| pointer.len() > 1 && refusal.message.contains(&format!("`{}`", &pointer[1..])));
            let span =
                named.map(|(_, span)| span.clone()).or_else(|| role.places.get("").cloned()).or_else(|| role.span());
            self.complain(self.recipe.complaint(format!("`{}`: {refusal}", role.path), span, "here"));
            return None;
        }
        Some(Seat { path: role.path.clone(), kind, config: role.config.clone(), who: Who::Builtin(name.to_owned()) })
    }
}

/// The deepest part of `path` that stands in the recipe.
fn place(places: &crate::recipe::Places, path: &[String]) -> Option<std::ops::Range<usize>> {
    (0..=path.len())
        .rev()
        .find_map(|depth| places.get(&path[..depth].iter().map(|part| format!("/{part}")).collect::<String>()))
        .cloned()
}

fn section(kind: RoleKind) -> &'static str {
    match kind {
        RoleKind::Preprocessor => "[[data.preprocess]]",
        RoleKind::Loss => "[loss]",
        RoleKind::Policy => "[[strategy.policy]]",
        RoleKind::Metric => "evaluation.metrics",
    }
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
