//! What a run left behind, or what somebody else trained: a model, or an adapter and its base.

use std::path::Path;

use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_recipe::{BaseRef, Recipe};
use retune_train::model::Trained;
use retune_train::model::peft::PeftDirectory;

/// The model in `directory`. The base of an adapter is `base`, else that of the recipe it was trained by, which moves with its
/// project, else the one that the adapter names.
///
/// # Errors
/// When an adapter has no base, or a whole model is given one.
pub fn open_trained(directory: &Path, base: Option<&Path>, recipe: Option<&Recipe>) -> Result<Trained> {
    let of_recipe = recipe.and_then(|recipe| match recipe.model.start() {
        BaseRef::Directory(path) => Some(path).filter(|path| path.join("config.json").is_file()),
        BaseRef::Config(_) => None,
    });
    let base = base.or(of_recipe.filter(|_| PeftDirectory::is_one(directory)));
    Trained::open(directory, base).map_err(|error| Diagnostic::new(error.to_string()))
}
