//! An adapter that somebody trained: its two files, checked against each other and against a base.
//!
//! Where adapters sit and with which rank is taken from the weights, which cannot be wrong about it; the settings say what is
//! computed with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use retune_roles::TaskKind;

use super::settings::{Settings, base_directory};
use super::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, MODEL_CONFIG, PREFIX, patterns};
use crate::files::tensor_file::{Place, header, stored};
use crate::model::adapter::AdapterSpec;
use crate::model::{ModelConfig, ModelError, Task, stand_in};

/// A PEFT directory: settings, and the headers of the weights.
#[derive(Clone, Debug)]
pub struct PeftDirectory {
    pub(super) path: PathBuf,
    pub(super) settings: Settings,
    /// By the name that a model's parameter has.
    pub(super) tensors: BTreeMap<String, Place>,
    /// What `peft` calls `base_layer`: copies of the base, by the name of the base's parameter.
    pub(super) copies: BTreeMap<String, Place>,
}

impl PeftDirectory {
    /// Whether `directory` holds an adapter, and not a model of its own.
    pub fn is_one(directory: &Path) -> bool {
        directory.join(ADAPTER_CONFIG).is_file() && !directory.join("config.json").is_file()
    }

    /// Reads the settings and the header of the weights.
    ///
    /// # Errors
    /// When a file is missing or broken, or asks for something that gives other numbers here.
    pub fn open(directory: &Path) -> Result<Self, ModelError> {
        let file = directory.join(ADAPTER_CONFIG);
        if !file.is_file() {
            return Err(no_adapter(directory));
        }
        let settings = Settings::read(&file)?;
        let weights = directory.join(ADAPTER_WEIGHTS);
        if !weights.is_file() && directory.join("adapter_model.bin").is_file() {
            let reason = "retune does not read `adapter_model.bin`; load it with peft and save it again: save_pretrained \
                          writes safetensors";
            return Err(ModelError::file(directory, reason));
        }
        let (mut tensors, mut copies) = (BTreeMap::new(), BTreeMap::new());
        for (name, place) in header(&weights)? {
            stored(&place, &name)?;
            let bare = own_name(&name);
            match bare.strip_suffix(".base_layer.weight") {
                Some(module) => copies.insert(format!("{module}.weight"), place),
                None => tensors.insert(bare, place),
            };
        }
        Ok(Self { path: directory.to_owned(), settings, tensors, copies })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The base that it names, as it was written down.
    pub fn base_name(&self) -> Option<&str> {
        self.settings.base.as_deref()
    }

    /// The base that it names, when that is a folder that is there: seen from the adapter, or from where one is.
    pub fn base(&self) -> Option<PathBuf> {
        base_directory(self.base_name()?, &self.path)
    }

    /// The file that says task and labels, when retune wrote one.
    pub fn model_config(&self) -> Option<PathBuf> {
        Some(self.path.join(MODEL_CONFIG)).filter(|path| path.is_file())
    }

    /// The task that the settings name.
    pub fn task_kind(&self) -> Option<TaskKind> {
        self.settings.task
    }

    /// How many classes the head that it brings along has.
    pub fn classes(&self, base: &ModelConfig) -> Option<usize> {
        let name = base.shape.classifier.name;
        self.tensors.get(&format!("{name}.weight"))?.info.shape.first().copied()
    }

    /// What a model with this adapter is made from: [`Model::load_with_adapter`], then [`PeftDirectory::fill`].
    ///
    /// # Errors
    /// When weights and settings do not belong together, or the base ties what the adapter trains apart.
    pub fn spec(&self, base: &ModelConfig) -> Result<AdapterSpec, ModelError> {
        let mut ranks = BTreeMap::new();
        let mut whole = BTreeSet::new();
        for (name, place) in &self.tensors {
            let shape = &place.info.shape;
            if let Some(module) = name.strip_suffix(".lora_A.weight").or_else(|| name.strip_suffix(".lora_embedding_A"))
            {
                ranks.insert(module.to_owned(), shape.first().copied().unwrap_or(0));
            } else if !name.contains(".lora_") {
                whole.insert(name.rsplit_once('.').map_or(name.as_str(), |(module, _)| module).to_owned());
            }
        }
        self.untie(base, &mut whole)?;
        if ranks.is_empty() {
            let weights = self.path.join(ADAPTER_WEIGHTS);
            return Err(ModelError::file(
                &weights,
                "it holds no `lora_A` or `lora_embedding_A`, so there is no adapter in it",
            ));
        }
        let spec = &self.settings.spec;
        let modules: BTreeSet<String> = ranks.keys().cloned().collect();
        let mut alphas = BTreeMap::new();
        for name in &modules {
            let alpha = patterns::first(&self.settings.alpha_pattern, name).map_err(|reason| {
                let path = self.path.join(ADAPTER_CONFIG);
                ModelError::Config {
                    path,
                    key: "alpha_pattern".into(),
                    reason: format!("it is not a regular expression: {reason}"),
                }
            })?;
            alphas.insert(name.clone(), alpha.unwrap_or(spec.lora_alpha));
        }
        // Names of others are not known here, so that what deviates is named in full where it is not all of its kind.
        let none = BTreeSet::new();
        Ok(AdapterSpec {
            target_modules: patterns::targets(self.settings.target_modules.as_deref(), &modules),
            rank_pattern: patterns::values(&modules, &none, spec.r, |name| ranks[name]),
            alpha_pattern: patterns::values(&modules, &none, spec.lora_alpha, |name| alphas[name]),
            modules_to_save: self.saved(&whole),
            ..spec.clone()
        })
    }

    /// `modules_to_save` in the words of the settings, where they take a module that was saved, and others by name.
    fn saved(&self, whole: &BTreeSet<String>) -> Vec<String> {
        let within = |target: &str, module: &str| {
            let ends = module.match_indices('.').map(|(at, _)| at).chain([module.len()]);
            ends.into_iter().any(|end| patterns::takes(target, &module[..end]))
        };
        let said = &self.settings.spec.modules_to_save;
        let used = said.iter().filter(|target| whole.iter().any(|module| within(target, module)));
        let mut names: Vec<String> = used.cloned().collect();
        let more: Vec<String> =
            whole.iter().filter(|module| !said.iter().any(|target| within(target, module))).cloned().collect();
        names.extend(more);
        names
    }

    /// Of a base whose head is its token table: both are trained together or not at all.
    fn untie(&self, base: &ModelConfig, whole: &mut BTreeSet<String>) -> Result<(), ModelError> {
        let Some(head) = base.shape.language_head.filter(|head| head.tied) else { return Ok(()) };
        let table = format!("{}{}", base.family.prefix, base.shape.embeddings.tokens);
        let place = |module: &str| self.tensors.get(&format!("{module}.weight"));
        let (head, apart) = match (place(head.name), place(&table)) {
            (None, None) => return Ok(()),
            (Some(one), Some(other)) => (head.name, one.info.shape != other.info.shape || !one.same_bytes(other)?),
            _ => (head.name, true),
        };
        if apart {
            return Err(ModelError::file(
                &self.path.join(ADAPTER_WEIGHTS),
                format!(
                    "it trains `{head}` and `{table}` apart, which this base ties (tie_word_embeddings); merge it with peft \
                     (merge_and_unload, then save_pretrained) and take the result as a base, or train it anew with both tied \
                     (ensure_weight_tying in peft)"
                ),
            ));
        }
        whole.remove(head);
        Ok(())
    }

    /// `error` of loading a base for [`PeftDirectory::spec`]: where the settings of an adapter do not fit, it is its files that
    /// do not.
    pub fn misfit(&self, error: ModelError) -> ModelError {
        match error {
            ModelError::Adapter { problem, .. } => {
                ModelError::file(&self.path, format!("it does not fit this base: {problem}"))
            }
            other => other,
        }
    }

    /// The task that the adapter does on `base`. Labels that nobody wrote down are those of the base, or numbers.
    ///
    /// # Errors
    /// When neither the adapter nor its base say.
    pub fn task(&self, base: &Path) -> Result<Task, ModelError> {
        if let Some(path) = self.model_config() {
            return crate::model::task_of_checkpoint(&path);
        }
        let config = ModelConfig::read(base)?;
        let Some(kind) = self.task_kind() else { return crate::model::task_of_checkpoint(base) };
        let Some(classes) = self.classes(&config).filter(|_| kind.info().has_labels) else {
            return Ok(kind.with_labels(config.labels.filter(|_| kind.info().has_labels).unwrap_or_default()));
        };
        let known = config.labels.filter(|labels| labels.len() == classes);
        Ok(kind.with_labels(known.unwrap_or_else(|| (0..classes).map(|class| format!("LABEL_{class}")).collect())))
    }
}

/// The name that a model's parameter has; older versions and other programs keep more of the names in memory.
fn own_name(name: &str) -> String {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    let name = name.replace(".modules_to_save.default.", ".").replace(".default.", ".");
    let name = name.strip_suffix(".default").unwrap_or(&name);
    match name.strip_suffix(".weight") {
        Some(rest) if rest.ends_with("lora_magnitude_vector") => rest.to_owned(),
        _ => name.to_owned(),
    }
}

/// What lies in `directory` in place of an adapter.
fn no_adapter(directory: &Path) -> ModelError {
    if !directory.is_dir() {
        let what = if directory.exists() { "it is a file, not a folder" } else { "it does not exist" };
        return ModelError::file(directory, format!("{what}; an adapter is a folder with {ADAPTER_CONFIG}"));
    }
    if let Some(error) = stand_in::run_directory(directory) {
        return error;
    }
    let what = if directory.join("config.json").is_file() { "it is a whole model, not an adapter: " } else { "" };
    ModelError::file(directory, format!("{what}there is no {ADAPTER_CONFIG}"))
}
