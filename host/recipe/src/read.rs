//! Reading a recipe: its texts, step by step, to a value that is known to be sound.

use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Result, Text, unreadable};
use crate::layers::Layers;
use crate::recipe::Recipe;
use crate::{check, derived, embedded, normal, rules};

impl Recipe {
    /// Reads and checks the recipe at `path`.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_with(path, &[])
    }

    /// As [`Recipe::load`], with the keys of `sets` (`training.epochs=1`) set on top.
    pub fn load_with(path: &Path, sets: &[String]) -> Result<Self> {
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
        Self::parse_with(Text { name: path.display().to_string(), text: Arc::from(text) }, &folder, &stem, sets)
    }

    /// Checks a recipe's text; paths are relative to `folder`.
    pub fn parse(text: Text, folder: &Path, stem: &str) -> Result<Self> {
        Self::parse_with(text, folder, stem, &[])
    }

    /// As [`Recipe::parse`], with the keys of `sets` (`training.epochs=1`) set on top.
    pub fn parse_with(text: Text, folder: &Path, stem: &str, sets: &[String]) -> Result<Self> {
        let mut layers = Layers::default();
        let own: Vec<_> = Path::new(&text.name).canonicalize().into_iter().collect();
        layers.file(text, folder, &own);
        for argument in sets {
            layers.set(argument, folder);
        }
        Self::read(layers, stem)
    }

    /// Checks what the texts of a recipe say together.
    fn read(layers: Layers, stem: &str) -> Result<Self> {
        let Layers { mut written, sources, mut problems } = layers;
        if problems.is_empty() {
            check::check(&mut written, &mut problems);
            normal::normalise(&mut written, &sources, &mut problems);
            derived::derive(&mut written.values, stem);
            match serde_json::from_value::<Self>(written.values.into()) {
                Ok(mut recipe) => {
                    recipe.places = written.places;
                    recipe.name_roles();
                    rules::check(&recipe, &mut problems);
                    if problems.is_empty() {
                        recipe.sources = sources;
                        return Ok(recipe);
                    }
                }
                Err(error) if problems.is_empty() => {
                    return Err(Diagnostic::new("the recipe cannot be read").because(error));
                }
                Err(_) => {}
            }
        }
        let unknown = || Diagnostic::new(format!("`{stem}` cannot be read"));
        Err(problems.into_diagnostic(&sources).unwrap_or_else(unknown))
    }
}

fn folder_or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}
