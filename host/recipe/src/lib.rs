//! A recipe: the TOML file that describes a run, typed and checked.
//!
//! Strict: an unknown key, a wrong type, an impossible value each become a
//! diagnostic with file, line and what is allowed, all of them together. Paths are
//! relative to the recipe's folder and absolute afterwards. What a recipe leaves
//! out is filled in here and nowhere else, so [`resolved`] shows every value a
//! run used, and running that file gives the same run.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod at;
pub mod diagnostic;
pub mod embedded;
pub mod reader;
pub mod resolved;
pub mod roles;
pub mod schema;
pub mod sections;
#[cfg(test)]
mod tests;
pub mod value;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use retune_data::Format;

pub use at::At;
pub use roles::{RoleRef, RoleSource};
pub use value::Places;

use retune_roles::TaskKind;

use crate::diagnostic::{Diagnostic, Result, Text, unreadable};

/// A whole recipe.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The file, to point into.
    pub text: Text,
    /// Names the run.
    pub name: String,
    /// Seed for all randomness.
    pub seed: u64,
    /// `auto`, `cpu`, `cuda:0`.
    pub device: At<String>,
    /// What to start from.
    pub model: Model,
    /// What to learn from.
    pub data: Data,
    /// What learns.
    pub strategy: Strategy,
    /// The loss; none means the task's own.
    pub loss: Option<RoleRef>,
    /// How long, how fast.
    pub training: Training,
    /// How good.
    pub evaluation: Evaluation,
    /// Where a second copy of the result goes.
    pub export: Option<At<PathBuf>>,
}

/// The section `model`.
#[derive(Clone, Debug)]
pub struct Model {
    /// A directory with weights, or a config.json alone.
    pub base: BaseRef,
    /// Where tokenizer.json is.
    pub tokenizer: At<PathBuf>,
    /// What it is to do.
    pub task: At<TaskKind>,
}

/// What the model starts from.
#[derive(Clone, Debug)]
pub enum BaseRef {
    /// A Hugging Face directory.
    Directory(At<PathBuf>),
    /// A config.json; weights from the seed.
    Config(At<PathBuf>),
}

impl BaseRef {
    /// The path with its place.
    pub fn path(&self) -> &At<PathBuf> {
        match self {
            Self::Directory(path) | Self::Config(path) => path,
        }
    }
}

/// The section `data`.
#[derive(Clone, Debug)]
pub struct Data {
    /// The training file.
    pub train: At<PathBuf>,
    /// What chooses the model.
    pub validation: Validation,
    /// What judges the chosen one.
    pub test: Option<At<PathBuf>>,
    /// How the files are written; none means by extension.
    pub format: Option<Format>,
    /// Which column holds what.
    pub columns: Columns,
    /// Numeric columns for roles.
    pub extra_columns: Vec<At<String>>,
    /// The label set, when given.
    pub labels: Option<At<Vec<At<String>>>>,
    /// Tokens per row.
    pub max_length: At<u64>,
    /// Whether documents are joined and cut into blocks.
    pub blocks: bool,
    /// First so many rows of each label.
    pub limit_per_label: Option<u64>,
    /// Threads; none means all cores.
    pub workers: Option<u64>,
    /// Preprocessors, in order.
    pub preprocess: Vec<RoleRef>,
}

/// Which column holds what.
#[derive(Clone, Debug)]
pub struct Columns {
    /// The text.
    pub text: At<String>,
    /// The second text of a pair.
    pub text_pair: Option<At<String>>,
    /// The label; none for causal-lm, unless a limit counts by it.
    pub label: Option<At<String>>,
    /// Shown, not learnt.
    pub prompt: Option<At<String>>,
    /// Learnt, in place of the text.
    pub completion: Option<At<String>>,
}

/// Where the validation set comes from.
#[derive(Clone, Debug)]
pub enum Validation {
    /// There is none.
    None,
    /// This share of the training set.
    Split(f64),
    /// Its own file.
    File(At<PathBuf>),
}

/// The section `strategy`.
#[derive(Clone, Debug, Default)]
pub struct Strategy {
    /// Whether only some parameters are trainable.
    pub partial: bool,
    /// Globs that do not learn.
    pub freeze: Vec<At<String>>,
    /// Only the top so many blocks learn.
    pub train_top_layers: Option<At<u32>>,
    /// What starts anew.
    pub reinitialize: Vec<Reinitialize>,
    /// Freezing policies.
    pub policy: Vec<RoleRef>,
}

/// Parameters that start anew.
#[derive(Clone, Debug)]
pub struct Reinitialize {
    /// Globs.
    pub layers: Vec<At<String>>,
    /// How to draw them.
    pub scheme: Scheme,
}

/// How to draw new parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scheme {
    /// Normal with this standard deviation.
    Normal(f64),
    /// All zero.
    Zeros,
    /// Glorot and Bengio 2010.
    XavierUniform,
    /// He et al. 2015.
    KaimingUniform,
}

/// The section `training`.
#[derive(Clone, Debug)]
pub struct Training {
    /// Passes over the data.
    pub epochs: u32,
    /// Stops earlier.
    pub max_steps: Option<u64>,
    /// Rows per micro-batch.
    pub batch_size: u64,
    /// Micro-batches per step.
    pub gradient_accumulation_steps: u64,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// AdamW's first decay.
    pub beta1: f64,
    /// AdamW's second decay.
    pub beta2: f64,
    /// AdamW's epsilon.
    pub epsilon: f64,
    /// Shape of the schedule.
    pub scheduler: Scheduler,
    /// Length of the warm-up.
    pub warmup: Warmup,
    /// Zero means no clipping.
    pub max_grad_norm: f64,
    /// Whether dropout applies.
    pub dropout: bool,
    /// Steps between checkpoints; none means each epoch.
    pub checkpoint_every_steps: Option<u64>,
    /// How many stay.
    pub checkpoint_keep: u64,
    /// Steps between progress lines.
    pub logging_steps: u64,
}

/// Shape of the learning rate after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduler {
    /// Down to zero in a line.
    Linear,
    /// Half a cosine.
    Cosine,
    /// Stays.
    Constant,
}

/// Length of the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warmup {
    /// Optimiser steps.
    Steps(u64),
    /// A share of all steps.
    Ratio(f64),
}

/// The section `evaluation`.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// When.
    pub every: Every,
    /// Rows per batch.
    pub batch_size: u64,
    /// What to measure.
    pub metrics: Vec<RoleRef>,
    /// What chooses the model; none means the lowest loss.
    pub best: Option<Best>,
    /// When to stop.
    pub early_stopping: Option<EarlyStopping>,
}

/// When to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After each epoch.
    Epoch,
    /// After so many steps.
    Steps(u64),
    /// Only at the end.
    Never,
}

/// What chooses the model.
#[derive(Clone, Debug)]
pub struct Best {
    /// A metric's value, or `loss`.
    pub metric: At<String>,
    /// Whether higher is better; none leaves it to the metric.
    pub maximize: Option<bool>,
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct EarlyStopping {
    /// Evaluations without improvement.
    pub patience: u64,
    /// What counts as one.
    pub min_delta: f64,
}

impl Recipe {
    /// Reads and checks the recipe at `path`.
    pub fn load(path: &Path) -> Result<Self> {
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
        Self::parse(Text { name: path.display().to_string(), text: Arc::from(text) }, &folder, &stem)
    }

    /// Checks a recipe's text; paths are relative to `folder`.
    pub fn parse(text: Text, folder: &Path, stem: &str) -> Result<Self> {
        sections::recipe(text, folder, stem)
    }

    /// A diagnostic that points at `span` of this recipe.
    pub fn diagnostic(
        &self,
        message: impl Into<String>,
        span: Option<std::ops::Range<usize>>,
        label: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::new(message).at_some(&self.text, span, label)
    }
}

fn folder_or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}
