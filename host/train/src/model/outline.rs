//! A model without its values: what `config.json` and the headers of the weights say.
//!
//! It has the names, shapes and layers that the model will have, so what a recipe freezes and what training takes can be
//! told before a weight is read. Price: the headers are read, as in every check of a checkpoint.

use std::collections::BTreeSet;
use std::path::Path;

use retune_roles::{Layer, Task};

use super::adapter::{AdapterSpec, Module, Placed};
use super::check::{purpose, tied_head};
use super::family::FAMILIES;
use super::model::describe;
use super::pattern::{PatternError, Patterns};
use super::tensor_files::TensorFiles;
use super::{Base, ModelConfig, ModelError, StoredDtype};

/// A tensor to be.
#[derive(Clone, Debug, PartialEq)]
pub struct OutlineParameter {
    /// Its name, as in the checkpoint of the task model.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Index of its layer in [`Outline::layers`].
    pub layer: usize,
    /// How the checkpoint stores it; `None` when it is drawn from the seed.
    pub stored: Option<StoredDtype>,
    /// False of the base that an adapter leaves as it is.
    pub may_learn: bool,
}

impl OutlineParameter {
    /// Number of scalars.
    pub fn numel(&self) -> u64 {
        self.shape.iter().map(|n| *n as u64).product()
    }
}

/// A model to be.
#[derive(Clone, Debug)]
pub struct Outline {
    /// The checked `config.json`; the head is marked as untied where the checkpoint has one of its own.
    pub config: ModelConfig,
    /// In depth order.
    pub layers: Vec<Layer>,
    /// In the order of the architecture.
    pub parameters: Vec<OutlineParameter>,
    /// Tensors of the checkpoint that the model has no place for.
    pub unused: Vec<String>,
    /// What an adapter can sit beside, in order.
    pub modules: Vec<Module>,
    /// Where adapters sit.
    pub placed: Vec<Placed>,
}

impl Outline {
    /// What `base` is for `task`, with an adapter beside it where one is given. A head that the checkpoint has for other labels counts as new.
    ///
    /// # Errors
    /// Those of [`check_files`](super::check_files): whatever `config.json` and headers are enough to find.
    pub fn read(base: &Base, task: &Task, adapter: Option<&AdapterSpec>) -> Result<Self, ModelError> {
        let path: &Path = match base {
            Base::Directory(path) | Base::Config(path) => path,
        };
        let mut config = ModelConfig::read_among(FAMILIES, path)?;
        let files = match base {
            Base::Directory(directory) => Some(TensorFiles::open(directory)?),
            Base::Config(_) => None,
        };
        let (table, family) = (config.shape.embeddings.tokens, config.family);
        if let (Some(files), Some((name, tied))) = (&files, tied_head(&mut config, task)) {
            *tied &= !files.has_another_head(name, table, family);
        }
        let (_, inventory, whole) = describe(&config, purpose(&config, task)?, task, adapter, files.as_ref())?;
        let placed: BTreeSet<usize> =
            inventory.placed.iter().flat_map(|p| [p.a, p.b].into_iter().chain(p.magnitude)).collect();
        let learns = |index: &usize| adapter.is_none() || placed.contains(index) || whole.contains(index);
        let (mut stored, mut unused) = (vec![None; inventory.entries.len()], Vec::new());
        if let Some(files) = &files {
            let plan = files.plan(&inventory.entries, &config, task)?;
            files.refuse_lost(&plan.unused, &config)?;
            for (dtype, source) in stored.iter_mut().zip(&plan.sources) {
                *dtype = source.as_deref().map(|name| files.dtype(name)).transpose()?;
            }
            unused = plan.unused;
        }
        let each = inventory.entries.into_iter().zip(stored).enumerate();
        let parameters = each
            .map(|(index, (entry, stored))| OutlineParameter {
                may_learn: learns(&index),
                name: entry.name,
                shape: entry.shape,
                layer: entry.layer,
                stored,
            })
            .collect();
        let (layers, modules, placed) = (inventory.layers, inventory.modules, inventory.placed);
        Ok(Self { config, layers, parameters, unused, modules, placed })
    }

    /// Indices of the parameters that a glob takes, by their names or their layers', as [`Model::select`](super::Model::select).
    ///
    /// # Errors
    /// The pattern cannot be read, or takes nothing.
    pub fn select(&self, pattern: &str) -> Result<Vec<usize>, PatternError> {
        let patterns = Patterns::new(&[pattern.to_owned()])?;
        let names = || self.parameters.iter().map(|p| p.name.as_str());
        let layers = || self.layers.iter().map(|l| l.name.as_str());
        if let Ok(hits) = patterns.select(names()) {
            return Ok(hits);
        }
        if let Ok(hits) = patterns.select(layers()) {
            return Ok((0..self.parameters.len()).filter(|&i| hits.contains(&self.parameters[i].layer)).collect());
        }
        patterns.select(names().chain(layers()))
    }

    /// All scalars.
    pub fn numel(&self) -> u64 {
        self.parameters.iter().map(OutlineParameter::numel).sum()
    }
}
