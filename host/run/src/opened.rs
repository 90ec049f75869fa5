//! A model to be asked: the result of a run, or a folder in Hugging Face layout. What `generate` and `chat` open.

use std::path::{Path, PathBuf};

use retune_data::Tokenization;
use retune_recipe::Recipe;
use retune_recipe::diagnostic::{Diagnostic, Result, unreadable};
use retune_tensor::Device;
use retune_train::generation::GenerationSpec;
use retune_train::model::{Model, ModelConfig, Task, Trained};

use crate::open_trained;
use crate::run_dir::RunDir;

/// A model that is not loaded yet.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its folder.
    pub directory: PathBuf,
    /// What lies there: a model, or an adapter with its base.
    pub trained: Trained,
    /// The run it came from, and that run's recipe.
    pub run: Option<(RunDir, Recipe)>,
}

impl Opened {
    /// A run directory, or the folder of a model or an adapter; `base` is that of an adapter, where its files do not say it.
    ///
    /// # Errors
    /// There is no such folder, or the run has no result yet.
    pub fn open(given: &Path, base: Option<&Path>) -> Result<Self> {
        if given.is_file() {
            return Err(Diagnostic::new(format!("`{}` is a file, not a folder", given.display()))
                .help("give a run directory, or a model in Hugging Face layout"));
        }
        if !given.is_dir() {
            return Err(unreadable(given, &std::io::Error::from(std::io::ErrorKind::NotFound))
                .help("give a run directory (runs go to `runs/`), or a model in Hugging Face layout"));
        }
        match RunDir::open(given) {
            Ok(run) => {
                let recipe = Recipe::load(&run.recipe())?;
                let directory = result(&run)?;
                let trained = open_trained(&directory, base, Some(&recipe))?;
                Ok(Self { directory, trained, run: Some((run, recipe)) })
            }
            Err(_) => {
                let trained = open_trained(given, base, None)?;
                Ok(Self { directory: given.to_owned(), trained, run: None })
            }
        }
    }

    /// The recipe of its run.
    pub fn recipe(&self) -> Option<&Recipe> {
        self.run.as_ref().map(|(_, recipe)| recipe)
    }

    /// What it was trained for; `needed` says what the caller needs.
    ///
    /// # Errors
    /// Its config cannot be read, or does not say.
    pub fn task(&self, needed: &str) -> Result<Task> {
        self.trained.task().map_err(|e| Diagnostic::new(e.to_string()).help(needed.to_owned()))
    }

    /// Its config.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn config(&self) -> Result<ModelConfig> {
        self.trained.config().map_err(|e| Diagnostic::new(e.to_string()))
    }

    /// Its tokenizer.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn tokenizer(&self) -> Result<Tokenization> {
        Tokenization::open(self.trained.tokenizer()).map_err(|e| Diagnostic::new(e.to_string()).help_some(e.help()))
    }

    /// How its files say that it is to be continued, and what they say that is not done here.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn generation(&self) -> Result<(GenerationSpec, Vec<String>)> {
        let own = self.directory.join("generation_config.json").is_file();
        let folder = self.trained.base().filter(|_| !own).unwrap_or(&self.directory);
        GenerationSpec::of_model(folder).map_err(|e| Diagnostic::new(e.to_string()))
    }

    /// Its weights, on `device`.
    ///
    /// # Errors
    /// They cannot be read, or do not do the task.
    pub fn load(&self, task: &Task, device: &Device) -> Result<Model> {
        let (model, report) = self.trained.load(task, 0, device).map_err(|e| Diagnostic::new(e.to_string()))?;
        if let Some(new) = report.new.first() {
            let directory = self.directory.display();
            return Err(Diagnostic::new(format!("`{directory}` lacks `{new}`: what is not trained says nothing"))
                .help("give the model that training made, not what it started from"));
        }
        Ok(model)
    }
}

/// The folder of a run's result.
fn result(run: &RunDir) -> Result<PathBuf> {
    let model = run.model();
    if model.is_dir() {
        return Ok(model);
    }
    Err(Diagnostic::new(format!("`{}` does not exist: the run has no result yet", model.display()))
        .help("`retune run --resume` goes on with it"))
}
