//! The ready recipes that live inside the binary.

use std::path::Path;

/// A recipe inside the binary.
#[derive(Clone, Copy, Debug)]
pub struct Embedded {
    /// What `retune recipe show` calls it.
    pub name: &'static str,
    /// The file, comments included.
    pub text: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/recipes.rs"));

impl Embedded {
    /// Its first comment: what it is for.
    pub fn about(&self) -> String {
        self.text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .map(|line| line.trim_start_matches('#').trim())
            .find(|line| !line.is_empty())
            .unwrap_or_default()
            .to_owned()
    }
}

/// The recipe called `name`.
pub fn find(name: &str) -> Option<&'static Embedded> {
    RECIPES.iter().find(|r| r.name == name)
}

/// What to do when `path` is not a file but names a ready recipe.
pub fn hint(path: &Path) -> Option<String> {
    let name = path.to_string_lossy();
    let recipe = find(name.strip_suffix(".toml").unwrap_or(&name))?;
    Some(format!(
        "`{0}` is a ready recipe: write it to a file with `retune recipe show {0} > {0}.toml`, then run that file",
        recipe.name
    ))
}
