//! A recipe: the TOML file that describes a run, typed and checked.
//!
//! The [sections] are plain structs; a field's doc comment, type, bounds and default are
//! the only description of a key, and everything else is made from them: the [JSON
//! Schema](schema), the [table of keys](reference), parsing, and the [resolved] form.
//!
//! Strict: an unknown key, a wrong type, an impossible value each become a diagnostic
//! with file, line and what is allowed, all of them together. Reading goes
//! through these steps: texts become values with places (`layers`, `written`), values are
//! checked against the schema (`check`), paths become absolute (`normal`), defaults that
//! depend on other keys are filled in (`derived`), and rules between keys are checked
//! (`rules`). So [`resolved`] shows every value a run used, and running that
//! file gives the same run.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod check;
mod derived;
pub mod diagnostic;
pub mod embedded;
mod foreign;
mod layers;
mod normal;
pub mod place;
mod problems;
pub mod reference;
pub mod resolved;
mod rules;
pub mod schema;
pub mod sections;
#[cfg(test)]
mod tests;
mod written;

use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

pub use retune_data::{Format, Layout};
pub use sections::{
    BaseRef, Best, Checkpoint, Columns, Data, EarlyStopping, Evaluation, Every, Export, Globs, LrScheduler, Method,
    Mode, Model, Optimizer, OptimizerName, Reinitialize, RoleRef, RoleSource, SchedulerName, Scheme, Strategy,
    Training, Validation,
};

use crate::diagnostic::{Diagnostic, Result, Text, unreadable};
use crate::layers::Layers;
use crate::place::{Place, Places, Source, child, deepest, pointer};

/// Describes a run: what it starts from, what it learns from, how.
#[derive(Clone, Debug, SmartDefault, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Recipes whose keys are read first; what stands in this file wins. Relative to this file.
    #[schemars(schema_with = "sections::files", extend("x-default" = "none"))]
    #[serde(skip_serializing)]
    include: Globs,
    /// Names the run directory.
    #[schemars(extend("x-default" = "the file's name"))]
    pub name: String,
    /// Seed for all randomness.
    #[default(42)]
    pub seed: u64,
    /// Where to train; auto takes the first GPU that works, else the CPU.
    #[default("auto")]
    #[schemars(extend(
        "pattern" = "^(auto|cpu|cuda(:[0-9]+)?)$",
        "x-kind" = "auto | cpu | cuda:N",
        "x-form" = "not a device",
        "x-write" = "`auto`, `cpu`, `cuda:0`, `cuda:1`, …"
    ))]
    pub device: String,
    /// What to start from.
    #[schemars(extend("x-required" = true, "x-write" = "add [model] with `base` (a Hugging Face directory) and `task`"))]
    pub model: Model,
    /// What to learn from.
    #[schemars(extend("x-required" = true, "x-write" = "add [data] with `train` (a csv, jsonl or txt file)"))]
    pub data: Data,
    /// Which parameters are trained.
    pub strategy: Strategy,
    /// What is minimised.
    #[schemars(extend("x-default" = "cross-entropy"))]
    pub loss: Option<RoleRef>,
    /// How long, how fast.
    pub training: Training,
    /// How good it is, and when to stop.
    pub evaluation: Evaluation,
    /// A second copy of the result.
    pub export: Option<Export>,
    #[serde(skip)]
    sources: Vec<Source>,
    #[serde(skip)]
    places: Places,
}

impl Recipe {
    /// Reads and checks the recipe at `path`.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_with(path, &[])
    }

    /// As [`Recipe::load`], with the keys of `sets` (`training.epochs=1`) set on top.
    pub fn load_with(path: &Path, sets: &[String]) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let diagnostic = match error.kind() {
                std::io::ErrorKind::InvalidData => Diagnostic::new(format!("`{}` is not UTF-8 text", path.display())),
                _ => unreadable(path, &error),
            };
            let run = (path.join("recipe.toml").is_file() && path.join("manifest.json").is_file())
                .then(|| format!("it is a run; `retune run --resume {}` goes on with it", path.display()));
            diagnostic.help_some(run).help_some(embedded::hint(path))
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let folder = std::path::absolute(folder_or_here(folder)).map_err(|e| unreadable(folder, &e))?;
        let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        Self::parse_with(Text { name: path.display().to_string(), text: Arc::from(text) }, &folder, &stem, sets)
    }

    /// Checks a recipe's text; paths are relative to `folder`.
    pub fn parse(text: Text, folder: &Path, stem: &str) -> Result<Self> {
        Self::parse_with(text, folder, stem, &[])
    }

    /// As [`Recipe::parse`], with the keys of `sets` (`training.epochs=1`) set on top.
    pub fn parse_with(text: Text, folder: &Path, stem: &str, sets: &[String]) -> Result<Self> {
        let mut layers = Layers::default();
        let own: Vec<_> = Path::new(&text.name).canonicalize().into_iter().collect();
        layers.file(text, folder, &own);
        for argument in sets {
            layers.set(argument, folder);
        }
        Self::read(layers, stem)
    }

    /// Checks what the texts of a recipe say together.
    fn read(layers: Layers, stem: &str) -> Result<Self> {
        let Layers { mut written, sources, mut problems } = layers;
        if problems.is_empty() {
            check::check(&mut written, &mut problems);
            normal::normalise(&mut written, &sources, &mut problems);
            derived::derive(&mut written.values, stem);
            match serde_json::from_value::<Self>(written.values.into()) {
                Ok(mut recipe) => {
                    recipe.places = written.places;
                    recipe.name_roles();
                    rules::check(&recipe, &mut problems);
                    if problems.is_empty() {
                        recipe.sources = sources;
                        return Ok(recipe);
                    }
                }
                Err(error) if problems.is_empty() => {
                    return Err(Diagnostic::new("the recipe cannot be read").because(error));
                }
                Err(_) => {}
            }
        }
        let unknown = || Diagnostic::new(format!("`{stem}` cannot be read"));
        Err(problems.into_diagnostic(&sources).unwrap_or_else(unknown))
    }

    /// Tells each role by which key it is named.
    fn name_roles(&mut self) {
        if let Some(loss) = &mut self.loss {
            loss.path = "loss".to_owned();
        }
        let lists = [
            ("data.preprocess", &mut self.data.preprocess),
            ("strategy.policy", &mut self.strategy.policy),
            ("evaluation.metrics", &mut self.evaluation.metrics),
        ];
        for (key, roles) in lists {
            for (i, role) in roles.iter_mut().enumerate() {
                role.path = format!("{key}[{i}]");
            }
        }
    }

    /// Every role it names.
    pub fn roles(&self) -> impl Iterator<Item = &RoleRef> {
        let lists = [&self.data.preprocess, &self.strategy.policy, &self.evaluation.metrics];
        self.loss.iter().chain(lists.into_iter().flatten())
    }

    /// Where `key` (`data.preprocess[0].plugin`) stands, when it was written.
    pub fn place(&self, key: &str) -> Option<&Place> {
        self.places.get(&pointer(key))
    }

    /// The value of `key` as it was written; none for one that was left out.
    pub fn written(&self, key: &str) -> Option<&str> {
        let place = self.place(key)?;
        self.sources.get(place.source)?.text.text.get(place.value.clone())
    }

    /// Where `key` stands, or the deepest part of it that was written.
    pub fn nearest_place(&self, key: &str) -> Option<&Place> {
        deepest(&self.places, &pointer(key))
    }

    /// Where the part of a role's settings at `path` stands, or the deepest part of it that was
    /// written; `table` is `config` or `limits`.
    pub fn setting_place(&self, role: &RoleRef, table: &str, path: &[String]) -> Option<&Place> {
        let table = format!("{}/{table}", pointer(&role.path));
        deepest(&self.places, &path.iter().fold(table, |pointer, key| child(&pointer, key)))
    }

    /// Who set the value at a JSON pointer: `team.toml:12`, `--set`, or `default`.
    pub fn origin(&self, pointer: &str) -> String {
        let text = |place: &Place| self.sources.get(place.source).map(|source| &source.text);
        // A role may be written as a name alone: then the name, one level up, is what set its keys.
        let written = |pointer: &str| {
            let place = self.places.get(pointer)?;
            let table = text(place)?.text.get(place.value.clone())?.starts_with(['[', '{']);
            let under = format!("{pointer}/");
            let has_keys = self.places.range(under.clone()..).next().is_some_and(|(at, _)| at.starts_with(&under));
            (!table && !has_keys).then_some(place)
        };
        let above = || written(&pointer[..pointer.rfind('/')?]);
        let place = self.places.get(pointer).or_else(above);
        match place.and_then(|place| Some((text(place)?, place))) {
            None => "default".to_owned(),
            Some((text, _)) if text.name == layers::SET => text.name.clone(),
            Some((text, place)) => {
                let line = 1 + text.text.get(..place.key.start).unwrap_or_default().matches('\n').count();
                format!("{}:{line}", text.name)
            }
        }
    }

    /// A diagnostic that points at the value at `place`; `label` says what it is.
    pub fn diagnostic(
        &self,
        message: impl Into<String>,
        place: Option<&Place>,
        label: impl Into<String>,
    ) -> Diagnostic {
        let source = place.and_then(|place| Some((self.sources.get(place.source)?, place)));
        let diagnostic = Diagnostic::new(message);
        match source {
            Some((source, place)) => diagnostic.at(&source.text, place.value.clone(), label),
            None => diagnostic,
        }
    }
}

fn folder_or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}
