//! A trained model as it lies on disk: a Hugging Face directory, or a PEFT directory with the base that it adapts.

use std::path::{Path, PathBuf};

use retune_roles::Task;
use retune_tensor::Device;

use super::peft::PeftDirectory;
use super::{Base, LoadReport, Model, ModelConfig, ModelError, task_of_checkpoint};

/// Either; see [`Trained::open`].
#[derive(Clone, Debug)]
pub struct Trained {
    directory: PathBuf,
    /// The base and what adapts it.
    adapter: Option<(PathBuf, PeftDirectory)>,
}

impl Trained {
    /// Looks at what lies in `directory`. An adapter needs its base: `base`, else the one that it names, when that is a folder
    /// that is there.
    ///
    /// # Errors
    /// When a base is given for a whole model, or an adapter has none.
    pub fn open(directory: &Path, base: Option<&Path>) -> Result<Self, ModelError> {
        if !PeftDirectory::is_one(directory) {
            return match base {
                Some(_) if directory.join("config.json").is_file() => Err(ModelError::file(
                    directory,
                    "it is a whole model, not an adapter, so it has no base beside it; leave --base out",
                )),
                _ => Ok(Self { directory: directory.to_owned(), adapter: None }),
            };
        }
        let adapter = PeftDirectory::open(directory)?;
        let base = match base {
            Some(base) => base.to_owned(),
            None => adapter.base().ok_or_else(|| no_base(&adapter))?,
        };
        Ok(Self { directory: directory.to_owned(), adapter: Some((base, adapter)) })
    }

    /// Where it lies.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The base of an adapter.
    pub fn base(&self) -> Option<&Path> {
        self.adapter.as_ref().map(|(base, _)| base.as_path())
    }

    /// The folder with its tokenizer: its own, or else the base's.
    pub fn tokenizer(&self) -> &Path {
        let own = self.directory.join("tokenizer.json").is_file();
        self.base().filter(|_| !own).unwrap_or(&self.directory)
    }

    /// `config.json`, of the base where it is an adapter.
    ///
    /// # Errors
    /// Those of [`ModelConfig::read`].
    pub fn config(&self) -> Result<ModelConfig, ModelError> {
        ModelConfig::read(self.base().unwrap_or(&self.directory))
    }

    /// What it was trained for.
    ///
    /// # Errors
    /// Those of [`task_of_checkpoint`].
    pub fn task(&self) -> Result<Task, ModelError> {
        match &self.adapter {
            Some((base, adapter)) => adapter.task(base),
            None => task_of_checkpoint(&self.directory),
        }
    }

    /// Reads it for `task`.
    ///
    /// # Errors
    /// Those of [`Model::load`], and what of an adapter does not fit its base.
    pub fn load(&self, task: &Task, seed: u64, device: &Device) -> Result<(Model, LoadReport), ModelError> {
        let Some((base, adapter)) = &self.adapter else {
            return Model::load(&Base::Directory(self.directory.clone()), task, seed, device);
        };
        let spec = adapter.spec(&ModelConfig::read(base)?)?;
        let base = Base::Directory(base.clone());
        let (mut model, mut report) =
            Model::load_with_adapter(&base, task, &spec, seed, device).map_err(|error| adapter.misfit(error))?;
        model.settle_padding(self.tokenizer())?;
        adapter.fill(&mut model, &mut report)?;
        Ok((model, report))
    }
}

fn no_base(adapter: &PeftDirectory) -> ModelError {
    let reason = match adapter.base_name() {
        Some(base) => format!(
            "it is an adapter of `{base}`, which is not a folder here; retune downloads nothing: get the base's folder, and say \
             where it is with --base DIR"
        ),
        None => "it is an adapter and does not say of which base; say where that is with --base DIR".to_owned(),
    };
    ModelError::file(adapter.path(), reason)
}
