//! What can be wrong with a component before it plays any role.

use std::path::{Path, PathBuf};

use retune_roles::nearest::nearest;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A component that cannot be used, or an engine that cannot be had.
///
/// `Display` says what is wrong, in one sentence; [`LoadError::help`] what to do.
#[derive(Debug, Error, Serialize, Deserialize)]
pub enum LoadError {
    /// wasmtime does not start here.
    #[error("the WebAssembly engine does not start: {reason}")]
    Engine {
        /// As the engine says.
        reason: String,
    },
    /// The directory for compiled code cannot be used.
    #[error("the cache of compiled plugins in {} cannot be used: {reason}", directory.display())]
    Cache {
        /// The directory.
        directory: PathBuf,
        /// As the system says, or why it is not trusted.
        reason: String,
        /// What to do.
        help: String,
    },
    /// The file cannot be read.
    #[error("the plugin {} cannot be read: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// As the system says.
        reason: String,
    },
    /// The file is something else than a component.
    #[error("{} is not a WebAssembly component: {reason}", path.display())]
    NotAComponent {
        /// The file.
        path: PathBuf,
        /// What it is.
        reason: String,
        /// How to make it one.
        help: String,
    },
    /// The component comes to too many instances.
    #[error("{} is made of {instances} instances of modules and components, and the most is {most}", path.display())]
    Instances {
        /// The file.
        path: PathBuf,
        /// How many, at least.
        instances: u64,
        /// How many there may be.
        most: usize,
    },
    /// Loading the component takes too much of the machine.
    #[error("{} takes too much to load: {doing} took {amount}", path.display())]
    Costly {
        /// The file.
        path: PathBuf,
        /// What was being done: `compiling it`.
        doing: String,
        /// How much it had taken when it was ended.
        amount: String,
    },
    /// Loading the component ended the process that did it.
    #[error("{} cannot be loaded: the process that was {doing} ended ({how})", path.display())]
    Broke {
        /// The file.
        path: PathBuf,
        /// What was being done: `compiling it`.
        doing: String,
        /// How it ended, with its last words.
        how: String,
    },
    /// The process that loads components does not work.
    #[error("{} cannot be loaded in a process of its own: {reason}", path.display())]
    Loader {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The component wants the network.
    #[error("{} asks for {import}: plugins have no network", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// The first import that asks for it.
        import: String,
    },
    /// The component wants something else that the host does not have.
    #[error("{} asks for {import}: {reason}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// The import.
        import: String,
        /// Why not.
        reason: String,
        /// What to do.
        help: String,
    },
    /// The component plays no role.
    #[error("{} plays no role: {reason}", path.display())]
    NoRole {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// An interface has the right name and the wrong functions.
    #[error("{} does not fit the contract: {reason}", path.display())]
    Contract {
        /// The file.
        path: PathBuf,
        /// Where it differs.
        reason: String,
    },
}

impl LoadError {
    /// What to do next.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Engine { .. } => None,
            Self::Cache { help, .. } => Some(help.clone()),
            Self::Read { path, .. } => Some(match neighbour(path) {
                Some(near) => format!("did you mean {}?", near.display()),
                None => "give the path of a .wasm component".into(),
            }),
            Self::NotAComponent { help, .. } => Some(help.clone()),
            Self::Network { .. } => Some(
                "remove what uses the network from the plugin; where the toolchain adds it by itself, \
                 have it stubbed (`componentize-py componentize --stub-wasi`, `componentize-js -d http -d fetch-event`)"
                    .into(),
            ),
            Self::Instances { .. } => Some("raise `limits.instances`, if you know what the plugin is made of".into()),
            Self::Costly { .. } => Some(
                "code as toolchains make it takes a small part of that: do not use this file, or build it again from source".into(),
            ),
            Self::Broke { .. } => Some("do not use this file; if you have built it yourself, tell us how".into()),
            Self::Loader { .. } => Some("`retune doctor` looks at this machine".into()),
            Self::Import { help, .. } => Some(help.clone()),
            Self::NoRole { .. } => {
                Some("build it for one of the worlds in wit/worlds.wit, such as `loss-plugin`".into())
            }
            Self::Contract { .. } => Some("build it against the wit/ of this version of retune".into()),
        }
    }
}

/// The component beside a missing one whose name is nearest.
fn neighbour(missing: &Path) -> Option<PathBuf> {
    let folder = missing.parent()?;
    let beside = std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = beside.filter(|name| name.ends_with(".wasm")).collect();
    names.sort();
    let near = nearest(missing.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    Some(folder.join(near))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_plugin_is_answered_with_its_nearest_neighbour() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("focal.wasm"), "").unwrap();
        std::fs::write(folder.path().join("perplexity.wasm"), "").unwrap();
        assert_eq!(neighbour(&folder.path().join("focl.wasm")), Some(folder.path().join("focal.wasm")));
        assert_eq!(neighbour(&folder.path().join("zzz.wasm")), None);
        assert_eq!(neighbour(Path::new("/no/such/folder/focal.wasm")), None);
    }
}
