//! What lies where weights should be: pointers of Git LFS, formats that are not read, the folder of a run.
//!
//! Each is named for what it is, with the command or the place that helps.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::ModelError;
use super::peft::ADAPTER_CONFIG;

/// How a pointer begins (Git LFS specification, version 1).
const POINTER: &[u8] = b"version https://git-lfs";

/// The error about a file that Git LFS left in place of a large one; `None` for any other file.
pub(crate) fn pointer(path: &Path) -> Option<ModelError> {
    let mut first = [0; POINTER.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut first)).ok()?;
    (first == POINTER).then(|| {
        let folder = path.parent().unwrap_or(Path::new(".")).display();
        ModelError::file(
            path,
            format!(
                "it is a Git LFS pointer, not the file itself; fetch what it points to: `git -C {folder} lfs pull` \
                 (after `git lfs install`), or download the file from the model's page"
            ),
        )
    })
}

/// The error about a directory without safetensors files, with what to do about the weights that are there.
pub(super) fn no_weights(directory: &Path) -> ModelError {
    let names = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let other = |name: &&String| {
        let weights = ["pytorch_model", "tf_model", "flax_model", "consolidated"];
        weights.iter().any(|start| name.starts_with(start)) || name.ends_with(".gguf")
    };
    let advice = match names.iter().find(other) {
        Some(found) if found.ends_with(".gguf") => {
            format!("; `{found}` is for llama.cpp: start from the original weights")
        }
        Some(found) => {
            let shown = directory.display();
            let class = architecture(directory).unwrap_or_else(|| "AutoModel".into());
            format!(
                "; there is `{found}`, which retune does not read: convert it with transformers (save_pretrained writes \
                 safetensors), once: python -c \"from transformers import {class} as M; \
                 M.from_pretrained('{shown}').save_pretrained('{shown}')\""
            )
        }
        None => String::new(),
    };
    ModelError::file(directory, format!("there is neither model.safetensors nor model.safetensors.index.json{advice}"))
}

/// The class that `config.json` names first, when it looks like one.
fn architecture(directory: &Path) -> Option<String> {
    let text = std::fs::read_to_string(directory.join("config.json")).ok()?;
    let config: serde_json::Value = serde_json::from_str(&text).ok()?;
    let class = config.pointer("/architectures/0")?.as_str()?;
    class.chars().all(|c| c.is_ascii_alphanumeric()).then(|| class.to_owned())
}

/// The error about a directory that has no `config.json` but a run's `model`; `None` for any other.
pub(super) fn run_directory(directory: &Path) -> Option<ModelError> {
    let model = directory.join("model");
    let holds = |folder: &Path| ["config.json", ADAPTER_CONFIG].iter().any(|name| folder.join(name).is_file());
    (!holds(directory) && holds(&model)).then(|| {
        ModelError::file(directory, format!("it is the folder of a run; the model is in `{}`", model.display()))
    })
}

/// The error about a directory that holds an adapter where a model is wanted; `None` for any other.
pub(super) fn adapter(directory: &Path) -> Option<ModelError> {
    (!directory.join("config.json").is_file() && directory.join(ADAPTER_CONFIG).is_file()).then(|| {
        ModelError::file(
            directory,
            "it is an adapter, not a model: a model is read from the base, and the adapter from `adapter.from` of a recipe; \
             `retune merge` makes one model of both",
        )
    })
}
