//! Why a model could not be read, run or written.

use std::path::{Path, PathBuf};

use retune_tensor::TensorError;

use super::pattern::PatternError;

/// What went wrong, where, and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file or directory could not be opened, read or written.
    #[error("{}: {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done: `cannot be read`.
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is there, but not what it should be.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// One sentence, without a full stop.
        reason: String,
    },
    /// `config.json` asks for something that would give other numbers here.
    #[error("{}: `{key}`: {reason}", path.display())]
    Config {
        /// The `config.json`.
        path: PathBuf,
        /// The key, with dots for nesting.
        key: String,
        /// What it holds and what is supported.
        reason: String,
    },
    /// A checkpoint lacks a tensor that the architecture needs.
    #[error(
        "{}: tensor `{tensor}` is missing (expected shape {expected:?}){}",
        path.display(),
        nearest.as_ref().map_or_else(String::new, |n| format!("; the nearest name is `{n}`"))
    )]
    MissingTensor {
        /// The checkpoint.
        path: PathBuf,
        /// The name, as the task model spells it.
        tensor: String,
        /// The shape it should have.
        expected: Vec<usize>,
        /// The most similar name in the checkpoint.
        nearest: Option<String>,
    },
    /// A tensor has another shape than `config.json` implies.
    #[error("{}: tensor `{tensor}` has shape {found:?}, but config.json implies {expected:?}", path.display())]
    TensorShape {
        /// The checkpoint file.
        path: PathBuf,
        /// The name in the file.
        tensor: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A row cannot be given to this model.
    #[error("sample {key}: {reason}")]
    Input {
        /// Key of the row.
        key: String,
        /// What is wrong and what the limit is.
        reason: String,
    },
    /// A task, parameter or layer was asked for that the model does not have.
    #[error("{0}")]
    Request(String),
    /// A glob that is malformed or matches nothing.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// An adapter that this model cannot have.
    #[error("adapter.{key}: {problem}")]
    Adapter {
        /// The key of the specification.
        key: String,
        /// One sentence, without a full stop.
        problem: String,
        /// The next step.
        help: Option<String>,
    },
    /// A tensor operation was refused.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl ModelError {
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), action, source }
    }

    pub(crate) fn file(path: &Path, reason: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), reason: reason.into() }
    }

    pub(super) fn adapter(key: &str, problem: impl Into<String>, help: &str) -> Self {
        Self::Adapter { key: key.to_owned(), problem: problem.into(), help: Some(help.to_owned()) }
    }

    pub(super) fn request(reason: impl Into<String>) -> Self {
        Self::Request(reason.into())
    }
}
