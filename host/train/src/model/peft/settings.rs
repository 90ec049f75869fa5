//! `adapter_config.json`, read: what an adapter is, and what it asks for that would give other numbers here.
//!
//! Keys that say how an adapter began, is kept in memory or is spread over machines change no number and are left alone. One
//! that this file does not know is taken for an extension when it is switched on (`true`, or a table with something in it),
//! and refused.

use std::path::{Path, PathBuf};

use retune_roles::TaskKind;
use serde_json::{Map, Value};

use crate::files::whole::{self, LARGEST_CONFIG};
use crate::model::adapter::{AdapterMethod, AdapterSpec, InitLoraWeights};
use crate::model::{Keys, ModelError};

/// Keys that change no number of an adapter that is already trained, or that are read by other means: the layout of matrices is
/// the family's, ranks and modules are those of the weights.
const HARMLESS: [&str; 26] = [
    "auto_mapping",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_alpha",
    "lora_dropout",
    "lora_ga_config",
    "megatron_config",
    "megatron_core",
    "modules_to_save",
    "peft_version",
    "qalora_group_size",
    "r",
    "rank_pattern",
    "revision",
    "target_modules",
    "use_dora",
    "use_rslora",
    "velora_config",
];

/// Read and checked on their own.
const READ: [&str; 5] = ["alpha_pattern", "base_model_name_or_path", "bias", "peft_type", "task_type"];

/// Starts of A and B that change the base as well, so that the adapter alone is not the model.
const CHANGES_BASE: [&str; 5] = ["pissa", "olora", "corda", "loftq", "lora_ga"];

/// `adapter_config.json`.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The base, as it was written down.
    pub(super) base: Option<String>,
    /// The task, when the file names one.
    pub(super) task: Option<TaskKind>,
    /// All but where adapters sit, which the weights say, and with which rank.
    pub(super) spec: AdapterSpec,
    /// Where adapters sit, when it is a list of names that needs no other key.
    pub(super) target_modules: Option<Vec<String>>,
    /// Other values of `lora_alpha`: a regular expression each; of several that match the first counts.
    pub(super) alpha_pattern: Vec<(String, f64)>,
}

impl Settings {
    pub(super) fn read(path: &Path) -> Result<Self, ModelError> {
        let text = whole::read(path, LARGEST_CONFIG).map_err(ModelError::io(path, "cannot be read"))?;
        let map: Map<String, Value> = serde_json::from_slice(&text)
            .map_err(|error| ModelError::file(path, format!("it is not a JSON object: {error}")))?;
        File { path, map }.settings()
    }
}

/// The file's keys, and where they stand.
struct File<'a> {
    path: &'a Path,
    map: Map<String, Value>,
}

impl File<'_> {
    fn settings(&self) -> Result<Settings, ModelError> {
        let keys = Keys { map: &self.map, path: self.path, within: "" };
        match keys.string("peft_type")?.as_deref() {
            Some("LORA") => {}
            Some(other) => {
                return Err(self.wrong(
                    "peft_type",
                    format!(
                        "`{other}` is not supported; supported is `LORA`, with \
                     `use_rslora` and `use_dora`"
                    ),
                ));
            }
            None => return Err(self.wrong("peft_type", "it is missing; supported is `LORA`")),
        }
        self.refuse_what_changes_numbers()?;
        let spec = AdapterSpec {
            method: if self.is_on("use_dora") { AdapterMethod::Dora } else { AdapterMethod::Lora },
            use_rslora: self.is_on("use_rslora"),
            r: self.number("r", 8.0)? as usize,
            lora_alpha: self.number("lora_alpha", 8.0)?,
            lora_dropout: self.number("lora_dropout", 0.0)?,
            modules_to_save: keys.texts("modules_to_save")?.unwrap_or_default(),
            init_lora_weights: self.start()?,
            ..AdapterSpec::default()
        };
        spec.check().map_err(|error| self.misfit(error))?;
        let task = match keys.string("task_type")?.as_deref() {
            None | Some("FEATURE_EXTRACTION") => None,
            Some(name) => Some(task_of(name).ok_or_else(|| {
                let mut known: Vec<String> =
                    TaskKind::ALL.into_iter().filter_map(name_of).map(|name| format!("`{name}`")).collect();
                known.sort();
                known.dedup();
                self.wrong("task_type", format!("`{name}` is not supported; supported are {}", known.join(", ")))
            })?),
        };
        Ok(Settings {
            base: keys.string("base_model_name_or_path")?.filter(|base| !base.is_empty()),
            task,
            spec,
            target_modules: self.targets(),
            alpha_pattern: self.alphas()?,
        })
    }

    /// Everything that would make the adapter compute something else than it does here.
    fn refuse_what_changes_numbers(&self) -> Result<(), ModelError> {
        if let Some(Value::String(bias)) = self.map.get("bias")
            && bias != "none"
        {
            return Err(self.wrong("bias", format!("`{bias}` changes biases of the base; supported is `none`")));
        }
        for (key, value) in &self.map {
            let why = match key.as_str() {
                "layer_replication" => "repeats blocks of the base",
                "alora_invocation_tokens" => "switches the adapter on within a row (aLoRA)",
                "trainable_token_indices" => "changes single rows of the embeddings",
                "use_qalora" => "adapts groups of inputs together (QA-LoRA)",
                "lora_bias" => "gives B a bias",
                "target_parameters" => "adapts parameters that are no module's",
                "arrow_config" => "chooses between adapters token by token (Arrow)",
                key if HARMLESS.contains(&key) || READ.contains(&key) => continue,
                _ => "is an extension that retune does not know",
            };
            if is_set(value) {
                let shown: String = value.to_string().chars().take(60).collect();
                return Err(self.wrong(
                    key,
                    format!(
                        "`{shown}` {why}; supported are LoRA, rsLoRA and DoRA on linear layers \
                     and embeddings, with `modules_to_save`"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn start(&self) -> Result<InitLoraWeights, ModelError> {
        match self.map.get("init_lora_weights") {
            Some(Value::String(name)) if name.eq_ignore_ascii_case("gaussian") => Ok(InitLoraWeights::Gaussian),
            Some(Value::String(name)) => match CHANGES_BASE.into_iter().find(|start| name.to_lowercase().starts_with(start)) {
                Some(_) => Err(self.wrong(
                    "init_lora_weights",
                    format!(
                        "`{name}` changed the base as well, so that this adapter does not fit the base that is stored; save it \
                         again with peft: save_pretrained(..., path_initial_model_for_weight_conversion=...) turns it into a \
                         plain one"
                    ),
                )),
                None => Ok(InitLoraWeights::KaimingUniform),
            },
            _ => Ok(InitLoraWeights::KaimingUniform),
        }
    }

    /// `target_modules` as names, when they say all.
    fn targets(&self) -> Option<Vec<String>> {
        let given = |key: &&str| !matches!(self.map.get(*key), None | Some(Value::Null));
        let limited = ["exclude_modules", "layers_to_transform", "layers_pattern"].iter().any(given);
        let names = self.map.get("target_modules")?.as_array()?.iter();
        let names: Option<Vec<String>> = names.map(|name| name.as_str().map(str::to_owned)).collect();
        names.filter(|names| !limited && !names.is_empty())
    }

    fn alphas(&self) -> Result<Vec<(String, f64)>, ModelError> {
        let Some(Value::Object(map)) = self.map.get("alpha_pattern") else { return Ok(Vec::new()) };
        let each = map.iter().map(|(pattern, value)| match value.as_f64().filter(|alpha| *alpha > 0.0) {
            Some(alpha) => Ok((pattern.clone(), alpha)),
            None => Err(self.wrong(&format!("alpha_pattern.{pattern}"), format!("{value} is not a number above 0"))),
        });
        each.collect()
    }

    fn is_on(&self, key: &str) -> bool {
        self.map.get(key) == Some(&Value::Bool(true))
    }

    fn number(&self, key: &str, default: f64) -> Result<f64, ModelError> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => value
                .as_f64()
                .filter(|number| *number >= 0.0)
                .ok_or_else(|| self.wrong(key, format!("{value} is not a number"))),
        }
    }

    fn wrong(&self, key: &str, reason: impl Into<String>) -> ModelError {
        ModelError::Config { path: self.path.to_owned(), key: key.to_owned(), reason: reason.into() }
    }

    fn misfit(&self, error: ModelError) -> ModelError {
        match error {
            ModelError::Adapter { key, problem, .. } => self.wrong(&key, problem),
            other => other,
        }
    }
}

/// Whether a value switches something on.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        // A size or a name that belongs to a switch beside it.
        Value::Number(_) | Value::String(_) => false,
    }
}

/// What `peft` calls tasks, by the ending of the classes of `transformers`.
const TASKS: [(&str, &str); 3] =
    [("CAUSAL_LM", "ForCausalLM"), ("SEQ_CLS", "ForSequenceClassification"), ("TOKEN_CLS", "ForTokenClassification")];

/// What `peft` calls a task; it has no word for some.
pub(super) fn name_of(task: TaskKind) -> Option<&'static str> {
    TASKS.into_iter().find(|(_, class)| *class == task.info().class_suffix).map(|(name, _)| name)
}

fn task_of(name: &str) -> Option<TaskKind> {
    let (_, class) = TASKS.into_iter().find(|(known, _)| *known == name)?;
    TaskKind::of_class(class)
}

/// The base that `written` names, seen from the adapter in `directory`: a folder that is there.
pub(super) fn base_directory(written: &str, directory: &Path) -> Option<PathBuf> {
    let given = Path::new(written);
    [directory.join(given), given.to_owned()].into_iter().find(|path| path.join("config.json").is_file())
}
