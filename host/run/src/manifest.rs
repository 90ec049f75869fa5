//! `manifest.json`: what a run was made of, so that it can be told apart and repeated.
//!
//! Digests of everything that decides the result (base model, data, every plugin
//! with its settings, the tokenizer), versions, seed and hardware. Nothing in it
//! names a person or a machine.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use retune_roles::digest::hex;
use retune_sandbox::Used;
use retune_train::model::peft::{ADAPTER_CONFIG, ADAPTER_WEIGHTS};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::Reporter;
use crate::run_dir::RunDir;
use retune_recipe::diagnostic::{Diagnostic, Result, unreadable};

/// What a run was made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the recipe.
    pub name: String,
    /// Version of retune.
    pub retune: String,
    /// When the run began, seconds since 1970.
    pub started: f64,
    /// Seed for all randomness.
    pub seed: u64,
    /// `sequence-classification`, `causal-lm`.
    pub task: String,
    /// The label set, in the model's order.
    pub labels: Vec<String>,
    /// What trained.
    pub hardware: Hardware,
    /// What the model is.
    pub model: ModelFacts,
    /// Files the model started from.
    pub base: Vec<FileFacts>,
    /// Files of the adapter that it went on from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adapter: Vec<FileFacts>,
    /// Digest of the tokenizer's files.
    pub tokenizer: String,
    /// Data files.
    pub data: Vec<FileFacts>,
    /// Every role, in the order it is asked.
    pub roles: Vec<RoleFacts>,
}

/// What trained.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hardware {
    /// As described by the device room: `cpu (…)`, `cuda:0 (…)`.
    pub device: String,
    /// Operating system and processor family.
    pub system: String,
    /// Processors this process may use.
    pub cores: usize,
    /// Bytes of memory, where the system says.
    pub memory: Option<u64>,
}

/// What the model is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelFacts {
    /// `bert`, `llama`.
    pub architecture: String,
    /// Scalars.
    pub parameters: u64,
    /// Trainable scalars at the start.
    pub trainable: u64,
    /// Parameters that the base does not have, drawn from the seed.
    pub new: Vec<String>,
    /// Tensors of the base that the model does not use.
    pub unused: Vec<String>,
}

/// A file and what is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileFacts {
    /// Where it was.
    #[serde(serialize_with = "crate::words::path")]
    pub path: PathBuf,
    /// SHA-256, in hex.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// A role and where it came from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoleFacts {
    /// Its place in the recipe: `loss`, `data.preprocess[0]`.
    pub path: String,
    /// `preprocessor`, `loss`, `policy`, `metric`.
    pub role: String,
    /// `focal`, `cross-entropy`.
    pub name: String,
    /// The component; absent for a built-in.
    pub plugin: Option<FileFacts>,
    /// As used, defaults filled in.
    pub config: Json,
    /// Sandbox limits; null for a built-in.
    pub limits: Json,
    /// What a plugin has taken, over all parts of the run; absent for a built-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Used>,
}

impl Manifest {
    /// Writes it to `path`, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let cannot = |e: String| Diagnostic::new(format!("cannot write `{}`", path.display())).because(e);
        let mut text = serde_json::to_string_pretty(self).map_err(|e| cannot(e.to_string()))?;
        text.push('\n');
        let unfinished = path.with_extension("json.new");
        std::fs::write(&unfinished, text)
            .and_then(|()| std::fs::rename(&unfinished, path))
            .map_err(|e| cannot(e.to_string()))
    }

    /// A sentence for each plugin that is another one now.
    pub fn changed_plugins(&self, roles: &[RoleFacts]) -> Vec<String> {
        let digest = |role: &RoleFacts| role.plugin.as_ref().map(|file| file.sha256.clone()).unwrap_or_default();
        let pairs = self.roles.iter().zip(roles).filter(|(then, now)| digest(then) != digest(now));
        pairs
            .map(|(then, now)| {
                format!(
                    "the plugin of `{}` is not the one the run began with: sha256 {} then, {} now",
                    now.path,
                    digest(then),
                    digest(now)
                )
            })
            .collect()
    }

    /// Reads the one at `path`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| unreadable(path, &e))?;
        serde_json::from_str(&text)
            .map_err(|e| Diagnostic::new(format!("`{}` is not a manifest", path.display())).because(e))
    }
}

/// Tells that a plugin of a finished run was changed since: what it gives now is not what the model learnt with.
pub fn warn_of_changed_plugins(run_dir: &RunDir, roles: &[RoleFacts], console: &dyn Reporter) -> Result<()> {
    for message in Manifest::read(&run_dir.manifest())?.changed_plugins(roles) {
        console.warning(&message);
    }
    Ok(())
}

/// Digest and length of a file, read in pieces.
pub fn facts(path: &Path) -> Result<FileFacts> {
    let mut file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer).map_err(|e| unreadable(path, &e))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
    let sha256 = hex(&hash.finalize());
    Ok(FileFacts { path: path.to_owned(), sha256, bytes })
}

/// Facts of the files a base consists of: config and weights, by name.
pub fn base_facts(base: &Path) -> Result<Vec<FileFacts>> {
    if base.is_file() {
        return Ok(vec![facts(base)?]);
    }
    let entries = std::fs::read_dir(base).map_err(|e| unreadable(base, &e))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| {
            p.file_name().is_some_and(|n| n == "config.json") || p.extension().is_some_and(|e| e == "safetensors")
        })
        .collect();
    files.sort();
    files.iter().map(|file| facts(file)).collect()
}

/// Facts of the two files an adapter consists of.
pub fn adapter_facts(adapter: &Path) -> Result<Vec<FileFacts>> {
    [ADAPTER_CONFIG, ADAPTER_WEIGHTS].iter().map(|name| facts(&adapter.join(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_digest_is_that_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let facts = facts(&path).unwrap();
        assert_eq!(facts.bytes, 3);
        assert_eq!(facts.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
