//! `--set KEY=VALUE`, which every verb takes that reads a recipe.

use std::ffi::OsString;
use std::path::Path;

use retune_recipe::Recipe;
use retune_recipe::diagnostic::Result;

/// Keys of the recipe that the command line sets.
#[derive(Debug, Default, clap::Args)]
pub struct Set {
    /// Set a key of the recipe on top of its file: training.epochs=1; can be given several times, paths are relative to
    /// the recipe
    #[arg(long = "set", value_name = "KEY=VALUE")]
    keys: Vec<String>,
}

impl Set {
    /// The recipe at `path`, with these keys set.
    pub fn load(&self, path: &Path) -> Result<Recipe> {
        Recipe::load_with(path, &self.keys)
    }

    /// As they are given to another call.
    pub fn arguments(&self) -> impl Iterator<Item = OsString> + '_ {
        self.keys.iter().flat_map(|key| ["--set".into(), key.into()])
    }
}
