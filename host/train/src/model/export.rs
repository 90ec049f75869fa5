//! A trained model as a Hugging Face directory that transformers loads.
//!
//! `config.json` is the base's, with the task's architecture and labels;
//! `model.safetensors` holds every parameter under its own name. No number changes
//! on the way out: a parameter goes back to the format it was stored in when that
//! loses nothing, so what did not train keeps its bytes, and is float32 otherwise.
//! [`ExportForm`] says of a model with an adapter whether that is merged, or written alone.
//! Price: one tensor at a time is in memory encoded; values that were stored in half precision are fetched twice,
//! once to see whether they still fit into it.
//!
//! The directory is written beside its place and renamed into it, so that nobody
//! ever sees half of one.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use retune_tensor::from_float32;

use super::adapter::merge::Exported;
use super::peft::{self, ADAPTER_CONFIG, ADAPTER_WEIGHTS, MODEL_CONFIG};
use super::{Model, ModelError, StoredDtype, Task};
use crate::files::tensor_file::{Source, WriteError, encode, rounded, write_tensors};

/// What makes up a tokenizer; those that are there are copied.
const TOKENIZER_FILES: [&str; 9] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    TEMPLATE,
];

/// How conversations are written.
const TEMPLATE: &str = "chat_template.jinja";

/// Further templates, by name: files that end in `.jinja`.
const MORE_TEMPLATES: &str = "additional_chat_templates";

/// How a language model is to generate; goes with it from its base.
const GENERATION_CONFIG: &str = "generation_config.json";

/// In which form a model is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExportForm<'a> {
    /// A model of its own, adapters merged; what half precision does not hold becomes float32.
    #[default]
    Whole,
    /// The same in the number formats of the base: what was merged or learnt is rounded.
    InFormatOfBase,
    /// The adapter alone, as `peft` reads it. A model without one is written whole.
    Adapter {
        /// How the base is found: a folder, or the name of a model.
        base: &'a str,
    },
}

impl Model {
    /// Writes `directory`, replacing one that is there: `config.json`,
    /// `model.safetensors`, the tokenizer's files from `tokenizer` and, for a language
    /// model, the `generation_config.json` of its base when there is one.
    ///
    /// A Llama classifier whose config names no padding token gets the tokenizer's, so that
    /// transformers can batch it. Its rows are then read where they were in training, provided that
    /// [`Model::settle_padding`] was called with the same tokenizer, or it came with the base.
    ///
    /// # Errors
    /// When something cannot be read or written, or `directory` is there and is
    /// not a model; it is then left as it was.
    pub fn export(&self, directory: &Path, tokenizer: Option<&Path>) -> Result<(), ModelError> {
        self.export_as(ExportForm::Whole, directory, tokenizer, None)
    }

    /// The same in another form, and with the chat template that the model learnt with, a file of its own, in place of those
    /// of the tokenizer. `directory` is replaced whole, whatever the form of what was there.
    ///
    /// # Errors
    /// As [`Model::export`].
    pub fn export_as(
        &self,
        form: ExportForm<'_>,
        directory: &Path,
        tokenizer: Option<&Path>,
        template: Option<&Path>,
    ) -> Result<(), ModelError> {
        may_replace(directory)?;
        let parent = match directory.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        std::fs::create_dir_all(&parent).map_err(ModelError::io(&parent, "cannot be created"))?;
        let staging = tempfile::Builder::new()
            .prefix(".retune-export-")
            .tempdir_in(&parent)
            .map_err(ModelError::io(&parent, "cannot be written to"))?;

        // Inside the private directory, so that the model's own has the usual permissions.
        let staged = staging.path().join("model");
        std::fs::create_dir(&staged).map_err(ModelError::io(&staged, "cannot be created"))?;

        let padding = self.exported_padding(tokenizer)?;
        match (form, self.adapter()) {
            (ExportForm::Adapter { base }, Some(adapted)) => {
                let weights = staged.join(ADAPTER_WEIGHTS);
                write(&weights, peft::tensors(self, adapted, &peft::joined(self, adapted)?))?;
                write_json(&staged.join(ADAPTER_CONFIG), peft::config(self, adapted, base))?;
                write_json(&staged.join(MODEL_CONFIG), self.exported_config(StoredDtype::Float32, padding, false))?;
                as_public(&weights, &staged.join(ADAPTER_CONFIG))?;
            }
            _ => {
                let weights = staged.join("model.safetensors");
                let widest = self.write_weights(&weights, form == ExportForm::InFormatOfBase)?;
                write_json(&staged.join("config.json"), self.exported_config(widest, padding, self.parts_head()))?;
                self.copy_generation_config(&staged)?;
                as_public(&weights, &staged.join("config.json"))?;
            }
        }
        if let Some(source) = tokenizer {
            copy_tokenizer(source, &staged)?;
            match template {
                Some(template) => copy(template, &staged.join(TEMPLATE))?,
                None => copy_templates(&source.join(MORE_TEMPLATES), &staged.join(MORE_TEMPLATES))?,
            }
        }
        put_in_place(&staged, &staging.path().join("replaced"), directory)
    }

    fn copy_generation_config(&self, target: &Path) -> Result<(), ModelError> {
        let from = self.origin.as_ref().map(|base| base.join(GENERATION_CONFIG));
        match from.filter(|path| self.task == Task::CausalLm && path.is_file()) {
            Some(from) => copy(&from, &target.join(GENERATION_CONFIG)),
            None => Ok(()),
        }
    }

    /// Writes every parameter, adapters merged into theirs; gives the widest format among them.
    fn write_weights(&self, path: &Path, round: bool) -> Result<StoredDtype, ModelError> {
        let mut exported = self.exported()?;
        let mut formats = Vec::with_capacity(exported.len());
        for Exported { value, stored, .. } in &mut exported {
            if *stored == StoredDtype::Float32 {
                formats.push(StoredDtype::Float32);
                continue;
            }
            let mut values = value.to_float32()?;
            if round {
                values = rounded(values, *stored);
                *value = from_float32(values.clone(), &value.shape(), &value.device())?;
            }
            formats.push(encode(&values, *stored).0);
        }
        let each = || exported.iter().zip(&formats);
        let mut tensors: Vec<_> = each().map(|(p, format)| tensor(&p.name, p, *format)).collect();
        if let Some([unread, own]) = self.twice_stored()
            && let Some((p, format)) = each().find(|(p, _)| p.name == own)
        {
            tensors.push(tensor(unread, p, *format));
        }
        write(path, tensors)?;
        let first = formats.first().copied().unwrap_or(StoredDtype::Float32);
        let uniform = formats.iter().all(|format| *format == first);
        Ok(if uniform { first } else { StoredDtype::Float32 })
    }

    /// The bias of a masked head that is not the token table has a second name in transformers, which looks for both and reads
    /// one: the name that is not read, and the other.
    fn twice_stored(&self) -> Option<[&'static str; 2]> {
        let head = self.config.shape.masked_head.filter(|head| self.task == Task::MaskedLm && !head.tied)?;
        head.bias.filter(|[unread, own]| unread != own)
    }

    fn exported_config(&self, dtype: StoredDtype, padding: Option<u32>, parts_head: bool) -> Map<String, Value> {
        let mut config = self.config.raw.clone();
        // transformers 4 reads `torch_dtype`, 5 reads both.
        config.shift_remove("dtype");
        config.insert("architectures".into(), json!([self.config.family.class_for(self.task.kind())]));
        config.insert("torch_dtype".into(), json!(name(dtype)));
        if let Some(padding) = padding {
            config.insert("pad_token_id".into(), json!(padding));
        }
        match &self.task {
            Task::SequenceClassification { labels }
            | Task::TokenClassification { labels }
            | Task::MultiLabelClassification { labels }
            | Task::Regression { outputs: labels } => {
                let by_id: Map<String, Value> =
                    labels.iter().enumerate().map(|(i, l)| (i.to_string(), json!(l))).collect();
                let by_label: Map<String, Value> =
                    labels.iter().enumerate().map(|(i, l)| (l.clone(), json!(i))).collect();
                config.insert("id2label".into(), Value::Object(by_id));
                config.insert("label2id".into(), Value::Object(by_label));
                let problem = match self.task {
                    Task::SequenceClassification { .. } => Some("single_label_classification"),
                    Task::MultiLabelClassification { .. } => Some("multi_label_classification"),
                    Task::Regression { .. } => Some("regression"),
                    _ => None,
                };
                match problem {
                    Some(problem) => config.insert("problem_type".into(), json!(problem)),
                    None => config.shift_remove("problem_type"),
                };
                config.shift_remove("num_labels");
            }
            Task::MaskedLm => {
                // Tied unless the config says otherwise.
                if self.config.shape.masked_head.is_some_and(|head| !head.tied) {
                    config.insert("tie_word_embeddings".into(), json!(false));
                }
            }
            Task::CausalLm => {
                let says = self.config.family.filled(&config).get("tie_word_embeddings") == Some(&json!(true));
                let apart = self.config.shape.language_head.is_some_and(|head| !head.tied) || parts_head;
                if apart && says {
                    config.insert("tie_word_embeddings".into(), json!(false));
                }
            }
        }
        config
    }
}

/// A parameter under a name.
fn tensor<'a>(name: &str, exported: &'a Exported, format: StoredDtype) -> (String, Vec<usize>, Source<'a>) {
    (name.to_owned(), exported.value.shape(), Source::Tensor(&exported.value, format))
}

/// Writes a file of tensors that other programs read.
fn write(path: &Path, tensors: Vec<(String, Vec<usize>, Source<'_>)>) -> Result<(), ModelError> {
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    write_tensors(path, Some(metadata), tensors).map_err(|error| match error {
        WriteError::Tensor(error) => error.into(),
        WriteError::NotFinite(name) => ModelError::file(
            path,
            format!("`{name}` has values that are infinite or no numbers, so no model was written; train again from what is \
                     finite, or merge with a smaller lora_alpha"),
        ),
        WriteError::File(error) => ModelError::file(path, format!("it cannot be written: {error}")),
    })
}

fn write_json(path: &Path, map: Map<String, Value>) -> Result<(), ModelError> {
    let text = serde_json::to_string_pretty(&map)
        .map_err(|error| ModelError::file(path, format!("it cannot be written: {error}")))?;
    std::fs::write(path, text + "\n").map_err(ModelError::io(path, "cannot be written"))
}

/// The safetensors crate makes its file private; a model is as public as its directory, in which `usual` is.
fn as_public(weights: &Path, usual: &Path) -> Result<(), ModelError> {
    std::fs::metadata(usual)
        .and_then(|usual| std::fs::set_permissions(weights, usual.permissions()))
        .map_err(ModelError::io(weights, "cannot be written"))
}

fn name(dtype: StoredDtype) -> &'static str {
    match dtype {
        StoredDtype::Float32 => "float32",
        StoredDtype::Float16 => "float16",
        StoredDtype::Bfloat16 => "bfloat16",
    }
}

/// Whether a model may be written to `directory`: it is not there, or holds nothing but what an export
/// writes. A folder with more in it (a repository, somebody's notes, a checkpoint's other parts) is not
/// replaced, because that would be lost.
///
/// # Errors
/// Names the first thing that stands in the way.
pub fn may_replace(directory: &Path) -> Result<(), ModelError> {
    if !directory.exists() {
        return Ok(());
    }
    let entries = std::fs::read_dir(directory).map_err(ModelError::io(directory, "cannot be read"))?;
    let mut names: Vec<String> = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let is_model = ["config.json", ADAPTER_CONFIG].iter().any(|name| directory.join(name).is_file());
    let ours = |name: &str| {
        ["config.json", "model.safetensors", GENERATION_CONFIG].contains(&name)
            || [ADAPTER_CONFIG, ADAPTER_WEIGHTS, MODEL_CONFIG].contains(&name)
            || TOKENIZER_FILES.contains(&name) && is_model
            || name == MORE_TEMPLATES && holds_templates_only(&directory.join(name))
    };
    match names.iter().find(|name| !ours(name)) {
        Some(stranger) => Err(ModelError::file(
            directory,
            format!("it holds `{stranger}`, which an export would delete; choose a folder that does not exist yet"),
        )),
        None => Ok(()),
    }
}

fn copy_tokenizer(source: &Path, target: &Path) -> Result<(), ModelError> {
    let mut copied = 0;
    for name in TOKENIZER_FILES {
        let from = source.join(name);
        if from.is_file() {
            copy(&from, &target.join(name))?;
            copied += 1;
        }
    }
    if copied == 0 {
        return Err(ModelError::file(source, "there are no tokenizer files to export with the model"));
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), ModelError> {
    std::fs::copy(from, to).map(|_| ()).map_err(ModelError::io(from, "cannot be copied"))
}

fn is_template(path: &Path) -> bool {
    path.is_file() && path.extension().is_some_and(|end| end == "jinja")
}

fn holds_templates_only(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|entries| entries.flatten().all(|entry| is_template(&entry.path())))
}

/// Copies the templates in the folder `from`, if there are any, to a new folder `to`.
fn copy_templates(from: &Path, to: &Path) -> Result<(), ModelError> {
    let Ok(entries) = std::fs::read_dir(from) else { return Ok(()) };
    let templates: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| is_template(path)).collect();
    if !templates.is_empty() {
        std::fs::create_dir(to).map_err(ModelError::io(to, "cannot be created"))?;
    }
    templates.iter().try_for_each(|path| copy(path, &to.join(path.file_name().unwrap_or_default())))
}

/// Waits until the files of a folder, and of those in it, are on the disk.
fn sync(folder: &Path) -> Result<(), ModelError> {
    for entry in std::fs::read_dir(folder).map_err(ModelError::io(folder, "cannot be read"))? {
        let path = entry.map_err(ModelError::io(folder, "cannot be read"))?.path();
        if path.is_dir() {
            sync(&path)?;
        } else {
            let synced = std::fs::File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(ModelError::io(&path, "cannot be written"))?;
        }
    }
    Ok(())
}

/// Syncs what was written, and swaps it with what is there by way of `aside`.
fn put_in_place(staged: &Path, aside: &Path, directory: &Path) -> Result<(), ModelError> {
    sync(staged)?;
    let replaces = directory.exists();
    if replaces {
        std::fs::rename(directory, aside).map_err(ModelError::io(directory, "cannot be replaced"))?;
    }
    std::fs::rename(staged, directory).map_err(|error| {
        if replaces {
            // Put back what was there; the first error is the one to report.
            let _ = std::fs::rename(aside, directory);
        }
        ModelError::io(directory, "cannot be written")(error)
    })
}
