//! Filling the roles of a recipe, with everything that stands in the way told at once.
//!
//! A plugin must be there, be a component, play the role it is given, and accept
//! its configuration and limits; a built-in must exist and accept its settings.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use retune_roles::{RoleKind, builtin};
use retune_sandbox::{Columns, ConfigError, Limits, Meter, Plugin, Sandbox};

use crate::role::{Origin, Role};
use retune_recipe::diagnostic::listed;
use retune_recipe::diagnostic::{Diagnostic, Result, nearest_path};
use retune_recipe::place::Place;
use retune_recipe::{Recipe, RoleRef, RoleSource};
use retune_roles::nearest::nearest;

/// Fills the roles of one recipe.
pub struct Resolver<'a> {
    recipe: &'a Recipe,
    cache: Option<&'a Path>,
    /// Started with the first plugin; a run of built-ins needs none.
    sandbox: Option<Sandbox>,
    /// `None`: it cannot be loaded, and that has been said.
    plugins: HashMap<PathBuf, Option<Plugin>>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Resolver<'a> {
    /// No role filled yet.
    pub fn new(recipe: &'a Recipe, cache: Option<&'a Path>) -> Self {
        Self { recipe, cache, sandbox: None, plugins: HashMap::new(), diagnostics: Vec::new() }
    }

    /// What stood in the way so far, as one.
    pub fn diagnostic(self) -> Option<Diagnostic> {
        Diagnostic::all(self.diagnostics)
    }

    /// Fills several roles; what cannot be filled is left out and reported.
    pub fn all(&mut self, roles: &[RoleRef], kind: RoleKind) -> Vec<Role> {
        roles.iter().filter_map(|role| self.one(role, kind)).collect()
    }

    /// Fills one role.
    pub fn one(&mut self, role: &RoleRef, kind: RoleKind) -> Option<Role> {
        match &role.source {
            RoleSource::Plugin(path) => self.plugin(role, path, kind),
            RoleSource::Builtin(name) => self.builtin(role, name, kind),
        }
    }

    /// Where the role is named.
    fn named(&self, role: &RoleRef) -> Option<&'a Place> {
        self.recipe.nearest_place(&role.key())
    }

    /// Adds what stands in the way.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn load(&mut self, role: &RoleRef, path: &Path) -> Option<Plugin> {
        if let Some(known) = self.plugins.get(path) {
            return known.clone();
        }
        let loaded = self.try_load(role, path).map_err(|diagnostic| self.report(diagnostic)).ok();
        self.plugins.insert(path.to_owned(), loaded.clone());
        loaded
    }

    fn try_load(&mut self, role: &RoleRef, path: &Path) -> Result<Plugin> {
        if !path.is_file() {
            let what = if path.is_dir() { "is a folder, not a file" } else { "does not exist" };
            let help = nearest_path(path).unwrap_or_else(|| {
                "a path in a recipe is relative to the recipe's folder; build the plugin first".to_owned()
            });
            return Err(self
                .recipe
                .diagnostic(format!("the plugin `{}` {what}", path.display()), self.named(role), "given here")
                .help(help));
        }
        if self.sandbox.is_none() {
            let started = Sandbox::new(self.cache).map_err(|e| Diagnostic::new(e.to_string()).help_some(e.help()))?;
            self.sandbox = Some(started);
        }
        let sandbox = self.sandbox.as_ref().ok_or_else(|| Diagnostic::new("the sandbox did not start"))?;
        // What is wrong with the limits is told where they are read.
        let instances = role
            .limits
            .get("instances")
            .and_then(serde_json::Value::as_u64)
            .and_then(|most| usize::try_from(most).ok());
        sandbox
            .load_within(path, instances.unwrap_or(Limits::default().instances))
            .map_err(|e| self.recipe.diagnostic(e.to_string(), self.named(role), "given here").help_some(e.help()))
    }

    fn plugin(&mut self, role: &RoleRef, path: &Path, kind: RoleKind) -> Option<Role> {
        let plugin = self.load(role, path)?;
        if !plugin.roles().contains(&kind) {
            let plays: Vec<String> = plugin.roles().iter().map(ToString::to_string).collect();
            let other = plugin.roles().first().map(|r| format!("use it under {}", r.section()));
            self.report(
                self.recipe
                    .diagnostic(
                        format!("`{}` is not a {kind}", plugin.name()),
                        self.named(role),
                        format!("its roles: {}", plays.join(", ")),
                    )
                    .help_some(other),
            );
            return None;
        }
        let config = match plugin.resolve_config_for(&role.config, &columns(self.recipe)) {
            Ok(config) => config,
            Err(errors) => {
                let help = format!("`retune plugin inspect {}` lists its settings", path.display());
                self.settings(role, "config", plugin.name(), errors, &help);
                return None;
            }
        };
        let limits = self.limits(role, plugin.name())?;
        Some(Role {
            path: role.path.clone(),
            kind,
            config,
            origin: Origin::Plugin { plugin, limits },
            meter: Meter::default(),
        })
    }

    /// Reports settings in `table` (`config`, `limits`) that do not fit the role called `name`, each where it stands.
    fn settings(&mut self, role: &RoleRef, table: &str, name: &str, errors: Vec<ConfigError>, help: &str) {
        for error in errors {
            let place = key_of(self.recipe.setting_place(role, table, &error.path));
            let message = format!("`{}.{table}` of {name}: {error}", role.path);
            self.report(self.recipe.diagnostic(message, place.as_ref(), "here").help_some(error.help()).help(help));
        }
    }

    fn limits(&mut self, role: &RoleRef, name: &str) -> Option<Limits> {
        match retune_schema::resolve(&Limits::schema(), &role.limits) {
            Ok(limits) => serde_json::from_value(limits)
                .map_err(|error| self.report(Diagnostic::new(format!("`{}.limits`: {error}", role.path))))
                .ok(),
            Err(errors) => {
                self.settings(
                    role,
                    "limits",
                    name,
                    errors,
                    "`retune plugin inspect` lists the limits with their defaults",
                );
                None
            }
        }
    }

    fn builtin(&mut self, role: &RoleRef, name: &str, kind: RoleKind) -> Option<Role> {
        let Ok(builtin) = builtin::find(kind, name) else {
            let names = builtin::names(kind);
            let label = nearest(name, names.iter().copied())
                .map_or("there is none".to_owned(), |near| format!("did you mean `{near}`?"));
            self.report(
                self.recipe
                    .diagnostic(format!("there is no built-in {kind} `{name}`"), self.named(role), label)
                    .help(format!("built in: {}", listed(names)))
                    .help("a plugin is named by its file: plugin = \"file.wasm\""),
            );
            return None;
        };
        let schema = (builtin.schema)();
        let config = match retune_schema::resolve(&schema, &columns(self.recipe).fill(&schema, &role.config)) {
            Ok(config) => config,
            Err(errors) => {
                let help = format!("`retune recipe keys {name}` lists its settings");
                self.settings(role, "config", name, errors, &help);
                return None;
            }
        };
        if let Err(refusal) = builtin.check(&config, self.recipe.model.task) {
            let keys = role.config.as_object().into_iter().flat_map(|config| config.keys());
            let named = keys.filter(|key| refusal.message.contains(&format!("`{key}`"))).take(1).cloned();
            let place = key_of(self.recipe.setting_place(role, "config", &named.collect::<Vec<_>>()));
            self.report(self.recipe.diagnostic(format!("`{}`: {refusal}", role.path), place.as_ref(), "here"));
            return None;
        }
        Some(Role {
            path: role.path.clone(),
            kind,
            config,
            origin: Origin::Builtin(name.to_owned()),
            meter: Meter::default(),
        })
    }
}

/// The place of a setting's key, which is what is misspelt as a rule, in place of its value.
fn key_of(place: Option<&Place>) -> Option<Place> {
    place.map(|place| Place { value: place.key.clone(), ..place.clone() })
}

/// The columns that the recipe's model reads, and its label.
fn columns(recipe: &Recipe) -> Columns {
    let columns = &recipe.data.columns;
    let inputs = match (&columns.messages, &columns.completion) {
        (Some(messages), _) => vec![messages.clone()],
        (None, Some(completion)) => columns.prompt.iter().chain([completion]).cloned().collect(),
        (None, None) => columns.text.iter().chain(&columns.text_pair).chain(&columns.tokens).cloned().collect(),
    };
    Columns { inputs, label: columns.label.clone().or(columns.tags.clone()) }
}
