//! One attack: its folder, and what the head of its source says: `Attack: does this. Answered by that.`, and for one that
//! has settings `Config: {..}`, for one that reads rows what is in them `Text: ..`,
//! for one that needs more than the others `Limits: {..}`, for one that only a run stops what that says `Run: ..`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::root;

/// A folder of `plugins/hostile`.
#[derive(Clone, Debug)]
pub struct Attack {
    /// The folder's name, and the component's.
    pub name: String,
    /// What it does.
    pub does: String,
    /// What stops it: `by the deadline`.
    pub answered: String,
    head: Vec<String>,
}

/// All of them, by name.
///
/// # Errors
/// A folder without a source, or a head that does not say what it should.
pub fn attacks() -> Result<Vec<Attack>, String> {
    let folder = root().join("plugins/hostile");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders.iter().map(|folder| Attack::read(folder)).collect()
}

impl Attack {
    fn read(folder: &Path) -> Result<Self, String> {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let sources = [(folder.join("plugin.wat"), ";; "), (folder.join("src/lib.rs"), "//! ")];
        let Some((source, mark)) = sources.into_iter().find(|(source, _)| source.is_file()) else {
            return Err(format!("{} has neither a plugin.wat nor a src/lib.rs", folder.display()));
        };
        let text = fs::read_to_string(&source).map_err(|error| format!("{}: {error}", source.display()))?;
        let head: Vec<String> = text.lines().map_while(|line| line.strip_prefix(mark)).map(str::to_owned).collect();
        let told = head.iter().take_while(|line| key(line).is_none_or(|key| KINDS.contains(&key)));
        let told = told.cloned().collect::<Vec<_>>().join(" ");
        let parts = told.split_once(": ").and_then(|(_, rest)| rest.split_once(". Answered "));
        let Some((does, answered)) = parts else {
            return Err(format!("{}: its head does not say `Attack: .. Answered ..`", source.display()));
        };
        let answered = answered.split_once(". ").map_or(answered, |(first, _)| first).trim_end_matches('.');
        Ok(Self { name, does: does.to_owned(), answered: answered.to_owned(), head })
    }

    /// What the head says under `key`.
    pub fn says(&self, key: &str) -> Option<&str> {
        self.head.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
    }

    /// Its component, as `cargo xtask plugins` builds it.
    pub fn component(&self) -> PathBuf {
        let path = root().join(format!("target/plugins/hostile/{}.wasm", self.name));
        assert!(path.is_file(), "{} is missing: run `cargo xtask plugins` first", path.display());
        path
    }
}

/// How the first line of a head begins.
const KINDS: [&str; 4] = ["Attack", "Mistake", "Accident", "Nuisance"];

/// The keyword that a line of a head begins with.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.split_once(": ")?;
    (key.starts_with(char::is_uppercase) && key.chars().all(char::is_alphabetic)).then_some(key)
}
