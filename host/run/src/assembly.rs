//! From a recipe to everything a run needs, checked: files, roles, tokenizer,
//! labels, model, data. The order is that of the price of finding out: what can
//! be seen at a glance is reported first, all of it together.

use std::path::Path;
use std::sync::Arc;

use retune_data::{
    DataReport, DataSpec, Dataset, LentTokenizer, Prepared, Source, SplitName, Tokenization, prepare, prepare_source,
};
use retune_roles::{Metric, Tokenizer};
use retune_tensor::Device;
use retune_tensor::device::DeviceChoice;
use retune_train::Asking;
use retune_train::model::{LoadReport, Model, ModelConfig, Trained, check_files, may_replace};

use crate::Reporter;
use crate::adapter::Adapter;
use crate::answering;
use crate::machine;
use crate::roles::RunRoles;
use crate::{locate, settings};
use retune_recipe::diagnostic::{Diagnostic, Result, nearest_path};
use retune_recipe::sections::Chat;
use retune_recipe::{BaseRef, Recipe};
use retune_roles::file::no_file;

/// What a run is made of.
pub struct Assembly {
    /// Where it computes.
    pub device: Device,
    /// What plays which role.
    pub roles: RunRoles,
    /// Text to tokens.
    pub tokenizer: Arc<Tokenization>,
    /// What the data room is to do.
    pub data: DataSpec,
}

impl Assembly {
    /// Everything a run needs but the model and the rows.
    pub fn new(recipe: &Recipe) -> Result<Self> {
        let mut in_the_way = missing_files(recipe);
        in_the_way.extend(recipe.export.as_ref().and_then(|export| lost_by_export(recipe, &export.directory)));
        Self::from_parts(recipe, in_the_way, &recipe.model.tokenizer)
    }

    /// What it takes to use the trained model in `model`: neither its base nor the rows it learnt from.
    pub fn of_model(recipe: &Recipe, model: &Path) -> Result<Self> {
        let own = model.join("tokenizer.json").is_file();
        Self::from_parts(recipe, Vec::new(), if own { model } else { &recipe.model.tokenizer })
    }

    fn from_parts(recipe: &Recipe, files: Vec<Diagnostic>, tokenizer: &Path) -> Result<Self> {
        let cache = machine::cache_directory();
        let roles = RunRoles::resolve(recipe, cache.as_deref());
        let roles = match (Diagnostic::all(files), roles) {
            (None, roles) => roles?,
            (Some(files), Ok(_)) => return Err(files),
            (Some(files), Err(roles)) => {
                return Err(
                    Diagnostic::all(vec![files, roles]).unwrap_or_else(|| Diagnostic::new("the recipe cannot be used"))
                );
            }
        };
        let tokenizer = Tokenization::open(tokenizer).map_err(|e| locate::data(recipe, e))?;
        let device = device(recipe)?;
        let data = DataSpec { cache_limit: machine::cache_limit()?, ..settings::data(recipe, cache) };
        Ok(Self { device, roles, tokenizer: Arc::new(tokenizer), data })
    }

    /// Refuses a base that fits neither tokenizer nor lengths, or whose files are broken, before any row is read.
    pub fn check_base(&self, recipe: &Recipe) -> Result<()> {
        let base = recipe.model.start();
        let config = ModelConfig::read(base.path()).map_err(|e| locate::model(recipe, &e))?;
        self.check(recipe, &config)?;
        match base {
            BaseRef::Directory(path) => {
                let adapter = Adapter::of(recipe)?;
                check_files(path, recipe.model.task, adapter.as_ref().map(|adapter| &adapter.spec))
                    .map_err(|e| locate::model(recipe, &Adapter::misfit(adapter.as_ref(), e)))
            }
            BaseRef::Config(_) => Ok(()),
        }
    }

    /// The model a run starts from, for the labels that were found in its rows, and what its files had to say.
    pub fn base(&self, recipe: &Recipe, labels: &[String]) -> Result<(Model, LoadReport)> {
        let (base, adapter) = (settings::base(recipe), Adapter::of(recipe)?);
        let task = settings::task(recipe, labels.to_vec());
        let loaded = match &adapter {
            Some(adapter) => adapter.load(&base, &task, recipe.seed, &self.device),
            None => Model::load(&base, &task, recipe.seed, &self.device),
        };
        let (mut model, report) = loaded.map_err(|e| locate::model(recipe, &e))?;
        model.settle_padding(&recipe.model.tokenizer).map_err(|e| locate::model(recipe, &e))?;
        self.check(recipe, model.config())?;
        Ok((model, report))
    }

    /// The same of a model that has been trained.
    pub fn load_trained(&self, recipe: &Recipe, trained: &Trained, labels: Vec<String>) -> Result<(Model, LoadReport)> {
        let task = settings::task(recipe, labels);
        let (mut model, report) =
            trained.load(&task, recipe.seed, &self.device).map_err(|e| locate::model(recipe, &e))?;
        let own = trained.tokenizer().join("tokenizer.json").is_file();
        let tokenizer = if own { trained.tokenizer() } else { &recipe.model.tokenizer };
        model.settle_padding(tokenizer).map_err(|e| locate::model(recipe, &e))?;
        self.check(recipe, model.config())?;
        Ok((model, report))
    }

    fn check(&self, recipe: &Recipe, config: &ModelConfig) -> Result<()> {
        self.tokenizer.check_fits(config.shape.vocab_size).map_err(|e| locate::data(recipe, e))?;
        self.data.check_positions(config.shape.longest_row()).map_err(|e| locate::data(recipe, e))
    }

    /// All splits.
    pub fn prepare(&self, recipe: &Recipe, console: &mut dyn Reporter) -> Result<Prepared> {
        let stages = self.roles.stages(&self.lent_tokenizer());
        let prepared = prepare(&self.data, &stages, &self.tokenizer, &mut |at| console.data(at));
        console.clear();
        // The threads that prepared rows are gone, and what they freed would stay.
        retune_train::memory::give_back();
        prepared.map_err(|e| locate::data(recipe, e))
    }

    /// One file, as rows with these labels, and the account of it.
    pub fn prepare_file(
        &self,
        recipe: &Recipe,
        source: &Source,
        labels: &[String],
        console: &mut dyn Reporter,
    ) -> Result<(Dataset, DataReport)> {
        let stages = self.roles.stages(&self.lent_tokenizer());
        let labels = (!labels.is_empty()).then_some(labels);
        let prepared =
            prepare_source(&self.data, SplitName::Test, source, labels, &stages, &self.tokenizer, &mut |at| {
                console.data(at)
            });
        console.clear();
        prepared.map_err(|e| locate::data(recipe, e))
    }

    /// Fresh metrics.
    pub fn metrics(&self) -> Result<Vec<Box<dyn Metric>>> {
        self.roles.metrics(&self.device, &self.lent_tokenizer())
    }

    /// How rows are asked by the model in `directory`, where a metric reads what it writes.
    pub fn asking(&self, recipe: &Recipe, directory: &Path) -> Result<Option<Asking>> {
        if !self.roles.read_texts() {
            return Ok(None);
        }
        answering::asking(recipe, directory, self.lent_tokenizer())
    }

    fn lent_tokenizer(&self) -> Arc<dyn Tokenizer> {
        Arc::new(LentTokenizer::new(Arc::clone(&self.tokenizer), self.data.chat.as_ref()))
    }
}

fn device(recipe: &Recipe) -> Result<Device> {
    // The reader has refused what is not a device.
    let choice: DeviceChoice = recipe.device.parse().unwrap_or(DeviceChoice::Auto);
    choice.resolve().map_err(|e| {
        let diagnostic = recipe.diagnostic(e.summary(), recipe.place("device"), "asked for here");
        let diagnostic = e.details().iter().fold(diagnostic, |diagnostic, detail| diagnostic.help(detail.clone()));
        diagnostic.help("`retune doctor` shows what this machine has; device = \"cpu\" always works")
    })
}

/// Every file and folder the recipe names that is not there.
fn missing_files(recipe: &Recipe) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut check = |key: &str, path: &Path, wants: Wants| {
        if let Some(problem) = wants.problem(path) {
            let shown = path.display();
            let diagnostic = recipe.diagnostic(format!("{key}: `{shown}` {problem}"), recipe.place(key), "named here");
            let help = if path.exists() { None } else { nearest_path(path) };
            let diagnostic = diagnostic.help_some(help).help("a path in a recipe is relative to the recipe's folder");
            // Written as elsewhere one writes the name of a model on a hub.
            let hub =
                (key == "model.base").then(|| "retune downloads nothing: get the model's folder first".to_owned());
            diagnostics.push(diagnostic.help_some(hub));
        } else if path.join("manifest.json").is_file()
            && path.join("model").is_dir()
            && !path.join("config.json").exists()
        {
            let message = format!("{key}: `{}` is a run directory, not a model", path.display());
            let diagnostic = recipe.diagnostic(message, recipe.place(key), "named here");
            diagnostics.push(diagnostic.help(format!("the run's model is `{}`", path.join("model").display())));
        }
    };
    match recipe.model.start() {
        BaseRef::Directory(path) => check("model.base", path, Wants::Folder),
        BaseRef::Config(path) => check("model.config", path, Wants::File),
    }
    let same = recipe.model.tokenizer == recipe.model.start().path();
    if !same {
        check("model.tokenizer", &recipe.model.tokenizer, Wants::Folder);
    }
    if let Some(path) = recipe.adapter.as_ref().and_then(|adapter| adapter.from.as_ref()) {
        check("adapter.from", path, Wants::Folder);
    }
    check("data.train", &recipe.data.train, Wants::File);
    if let Some(path) = recipe.data.validation_file() {
        check("data.validation", path, Wants::File);
    }
    if let Some(path) = &recipe.data.test {
        check("data.test", path, Wants::File);
    }
    if let Some(path) = recipe.data.chat.as_ref().and_then(Chat::template_file) {
        check("data.chat.template", path, Wants::File);
    }
    diagnostics
}

/// Why the result may not go to `directory`: something there would be lost.
fn lost_by_export(recipe: &Recipe, directory: &Path) -> Option<Diagnostic> {
    let same = |other: &Path| match (directory.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    };
    let starts_from = [recipe.model.start().path(), &recipe.model.tokenizer];
    let (message, help) = if starts_from.into_iter().any(same) {
        let message = format!("export.directory: `{}` is what the run starts from", directory.display());
        (message, "a run never changes its base: choose a folder that does not exist yet".to_owned())
    } else {
        let error = may_replace(directory).err()?;
        (format!("export.directory: {error}"), "the run directory has the model too, in `model`".to_owned())
    };
    Some(recipe.diagnostic(message, recipe.place("export.directory"), "given here").help(help))
}

#[derive(Clone, Copy)]
enum Wants {
    File,
    Folder,
}

impl Wants {
    fn problem(self, path: &Path) -> Option<String> {
        match (self, no_file(path)) {
            _ if !path.exists() => Some("does not exist".to_owned()),
            (Self::File, Some(what)) => Some(format!("is {what}, not a file")),
            (Self::Folder, None) => Some("is a file, not a folder".to_owned()),
            (Self::Folder, Some(what)) if !path.is_dir() => Some(format!("is {what}, not a folder")),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "assembly_tests.rs"]
mod tests;
