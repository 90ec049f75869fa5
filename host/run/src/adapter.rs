//! The adapter of a run: a new one, or somebody's to go on from.
//!
//! What an adapter is that was trained before is read from its files; how it learns on (`lora_dropout`, `loraplus_lr_ratio`) is
//! the recipe's. Price: a key that is written with its default value is taken for one that was left out, because a kept recipe
//! has all defaults written down.

use std::path::Path;

use retune_recipe::Recipe;
use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_roles::{Task, TaskKind};
use retune_tensor::Device;
use retune_train::model::adapter::AdapterSpec;
use retune_train::model::peft::PeftDirectory;
use retune_train::model::{Base, LoadReport, Model, ModelConfig, ModelError};
use serde_json::Value as Json;

use crate::{locate, settings};

/// Keys that say how an adapter learns, not what it is.
const LEARNING: [&str; 2] = ["lora_dropout", "loraplus_lr_ratio"];

/// What a recipe says of its adapter, and what it goes on from.
pub(crate) struct Adapter {
    /// What it is.
    pub spec: AdapterSpec,
    from: Option<PeftDirectory>,
}

impl Adapter {
    /// The adapter of `recipe`, where it has one.
    pub fn of(recipe: &Recipe) -> Result<Option<Self>> {
        let Some(said) = settings::adapter(recipe) else { return Ok(None) };
        let Some(path) = recipe.adapter.as_ref().and_then(|adapter| adapter.from.as_deref()) else {
            return Ok(Some(Self { spec: said, from: None }));
        };
        let refuse = |message: String| recipe.diagnostic(message, recipe.place("adapter.from"), "named here");
        let told = |error: ModelError| refuse(format!("adapter.from: {error}"));
        let from = PeftDirectory::open(path).map_err(told)?;
        // Several tasks share a class, and with it what peft calls them.
        let class = |task: TaskKind| task.info().class_suffix;
        if let Some(task) = from.task_kind().filter(|task| class(*task) != class(recipe.model.task)) {
            let (path, task, wanted) = (path.display(), task.as_str(), recipe.model.task.as_str());
            return Err(refuse(format!(
                "adapter.from: `{path}` was trained for {task}, and the recipe is for {wanted}"
            ))
            .help("go on with the task it was trained for, or begin a new adapter"));
        }
        let config = ModelConfig::read(recipe.model.start().path()).map_err(|error| locate::model(recipe, &error))?;
        let there = from.spec(&config).map_err(told)?;
        contradiction(recipe, &said, &there, path)?;
        let spec = AdapterSpec { lora_dropout: said.lora_dropout, loraplus_lr_ratio: said.loraplus_lr_ratio, ..there };
        Ok(Some(Self { spec, from: Some(from) }))
    }

    /// The model from `base` with this adapter.
    pub fn load(
        &self,
        base: &Base,
        task: &Task,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<(Model, LoadReport), ModelError> {
        let loaded = Model::load_with_adapter(base, task, &self.spec, seed, device);
        let (mut model, mut report) = loaded.map_err(|error| Self::misfit(Some(self), error))?;
        if let Some(from) = &self.from {
            from.fill(&mut model, &mut report)?;
        }
        Ok((model, report))
    }

    /// `error`, of the files of an adapter where it is these that do not fit the base, and not keys of the recipe.
    pub fn misfit(adapter: Option<&Self>, error: ModelError) -> ModelError {
        match adapter.and_then(|adapter| adapter.from.as_ref()) {
            Some(from) => from.misfit(error),
            None => error,
        }
    }
}

/// Refuses a key that says something else than the adapter that a run goes on from.
fn contradiction(recipe: &Recipe, said: &AdapterSpec, there: &AdapterSpec, from: &Path) -> Result<()> {
    let values = |spec: &AdapterSpec| serde_json::to_value(spec).unwrap_or(Json::Null);
    let [said, there, default] = [values(said), values(there), values(&AdapterSpec::default())];
    let keys = said.as_object().into_iter().flatten();
    let other = keys.filter(|(key, value)| {
        !LEARNING.contains(&key.as_str()) && **value != default[key.as_str()] && **value != there[key.as_str()]
    });
    match other.into_iter().next() {
        None => Ok(()),
        Some((key, value)) => {
            let (from, place) = (from.display(), recipe.nearest_place(&format!("adapter.{key}")));
            let message =
                format!("`adapter.{key}` is {value}, and the adapter in `{from}` has {}", there[key.as_str()]);
            let diagnostic: Diagnostic = recipe.diagnostic(message, place, "here");
            Err(diagnostic
                .help(format!("leave `{key}` out: what the adapter is, is read from its files"))
                .help("how it learns on can be said: lora_dropout, loraplus_lr_ratio, [training]"))
        }
    }
}
