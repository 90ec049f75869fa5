//! The section `model`.

use std::path::{Path, PathBuf};

use retune_roles::TaskKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::kinds::{File, Folder};

/// What to start from.
#[derive(Clone, Debug, SmartDefault, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// A Hugging Face directory: config.json, model.safetensors, tokenizer.json.
    #[schemars(with = "Option<Folder>", extend("x-default" = "or `config`"))]
    pub base: Option<PathBuf>,
    /// A config.json alone: weights are drawn from the seed.
    #[schemars(with = "Option<File>", extend("x-default" = "or `base`"))]
    pub config: Option<PathBuf>,
    /// Where tokenizer.json is; required with `config`.
    #[schemars(with = "Folder", extend("x-default" = "the base's"))]
    pub tokenizer: PathBuf,
    /// What the model is to do.
    #[schemars(extend("x-required" = true, "x-write" = "task = \"sequence-classification\" or another of the tasks"))]
    pub task: TaskKind,
}

/// What the model starts from.
#[derive(Clone, Copy, Debug)]
pub enum BaseRef<'a> {
    /// A Hugging Face directory.
    Directory(&'a Path),
    /// A config.json; weights from the seed.
    Config(&'a Path),
}

impl<'a> BaseRef<'a> {
    /// The directory, or the file.
    pub fn path(self) -> &'a Path {
        match self {
            Self::Directory(path) | Self::Config(path) => path,
        }
    }

    /// The key that says it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Directory(_) => "model.base",
            Self::Config(_) => "model.config",
        }
    }
}

impl Model {
    /// What it starts from.
    pub fn start(&self) -> BaseRef<'_> {
        match (&self.base, &self.config) {
            (None, Some(config)) => BaseRef::Config(config),
            (base, _) => BaseRef::Directory(base.as_deref().unwrap_or(Path::new(""))),
        }
    }

    /// The folder with the files beside the weights it starts from.
    pub fn folder(&self) -> &Path {
        match self.start() {
            BaseRef::Directory(path) => path,
            BaseRef::Config(path) => path.parent().unwrap_or(path),
        }
    }
}
