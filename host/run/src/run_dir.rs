//! The run directory: everything one run leaves behind.
//!
//! ```text
//! recipe.toml     with every default filled in
//! manifest.json   what it was made of
//! events.jsonl    every number
//! checkpoints/    to go on from
//! report.html     for a person
//! model/          the result, in Hugging Face layout
//! .lock           held by the process that is training
//! ```
//!
//! Two processes in one run would mix their events and prune each other's checkpoints, so the
//! one that trains holds the directory; the operating system lets go of it even after a kill.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use retune_recipe::diagnostic::{Diagnostic, Result, unreadable};

/// A run directory, there or about to be.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
}

/// A run directory that no other process may train in.
#[derive(Debug)]
pub struct Held {
    _file: File,
    /// Where files cannot be locked: what to tell.
    pub weak: Option<String>,
}

impl RunDir {
    /// Where a new run goes: `output`, else `runs/<name>-<n>` with the next free number.
    /// Nothing is made yet.
    pub fn fresh(name: &str, output: Option<&Path>) -> Result<Self> {
        if let Some(output) = output {
            let used = std::fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_some());
            if used || output.is_file() {
                let help = match Self::open(output) {
                    Ok(_) => "add --resume to go on with the run in it, or choose another directory".to_owned(),
                    Err(_) => "choose a directory that does not exist yet".to_owned(),
                };
                return Err(Diagnostic::new(format!("`{}` is not empty", output.display())).help(help));
            }
            return Ok(Self { root: output.to_owned() });
        }
        let last = numbered(name).last().map_or(0, |(number, _)| *number);
        Ok(Self { root: Path::new("runs").join(format!("{name}-{}", last + 1)) })
    }

    /// A run that has begun.
    pub fn open(root: &Path) -> Result<Self> {
        let run = Self { root: root.to_owned() };
        if run.manifest().is_file() && run.recipe().is_file() {
            return Ok(run);
        }
        let missing = if root.is_dir() { "holds no run" } else { "does not exist" };
        Err(Diagnostic::new(format!("`{}` {missing}", root.display()))
            .help("a run directory has a recipe.toml and a manifest.json"))
    }

    /// The run to go on with: `output`, else the newest of this name.
    pub fn newest(name: &str, output: Option<&Path>) -> Result<Self> {
        if let Some(output) = output {
            return Self::open(output);
        }
        match numbered(name).pop() {
            Some((_, path)) => Self::open(&path),
            None => Err(Diagnostic::new(format!("there is no run of `{name}` to resume in `runs/`"))
                .help("say where it is with --output DIR")),
        }
    }

    /// Makes the directory of a new run, and holds it.
    pub fn create(&self) -> Result<Held> {
        let path = self.checkpoints();
        std::fs::create_dir_all(&path).map_err(|e| {
            Diagnostic::new(format!("cannot make `{}`", path.display()))
                .because(e)
                .help("choose another place with --output DIR")
        })?;
        let held = self.hold()?;
        // Data was prepared since the place was found free.
        if self.manifest().exists() {
            return Err(Diagnostic::new(format!("another run has begun in `{}` meanwhile", self.root.display()))
                .help("start this one again, or give each a place with --output DIR"));
        }
        Ok(held)
    }

    /// Keeps other processes from training in this directory for as long as the result lives.
    pub fn hold(&self) -> Result<Held> {
        let path = self.root.join(".lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|e| {
            Diagnostic::new(format!("cannot write `{}`", path.display()))
                .because(e)
                .help("the run writes its checkpoints and its report there too")
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Held { _file: file, weak: None }),
            Err(TryLockError::WouldBlock) => {
                Err(Diagnostic::new(format!("another process is training in `{}`", self.root.display()))
                    .help("wait until it ends, or start a new run without --resume"))
            }
            Err(TryLockError::Error(e)) => Ok(Held {
                _file: file,
                weak: Some(format!(
                    "the file system does not lock files ({e}): take care that nobody resumes `{}` while this runs",
                    self.root.display()
                )),
            }),
        }
    }

    /// Writes the recipe a run uses.
    pub fn write_recipe(&self, text: &str) -> Result<()> {
        let path = self.recipe();
        std::fs::write(&path, text)
            .map_err(|e| Diagnostic::new(format!("cannot write `{}`", path.display())).because(e))
    }

    /// Refuses to go on with another recipe than the run began with.
    pub fn same_recipe(&self, text: &str) -> Result<()> {
        let path = self.recipe();
        let then = std::fs::read_to_string(&path).map_err(|e| unreadable(&path, &e))?;
        let changed = then.lines().zip(text.lines()).find(|(a, b)| a != b);
        let (was, is) = match changed {
            Some((was, is)) => (was, is),
            None if then.lines().count() == text.lines().count() => return Ok(()),
            None => ("", "more or fewer lines"),
        };
        Err(Diagnostic::new(format!("the recipe is not the one the run in `{}` began with", self.root.display()))
            .help(format!("then: {was}\nnow:  {is}"))
            .help(format!(
                "go on as it was with `retune run --resume {}`, or start a new run without --resume",
                self.root.display()
            )))
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `recipe.toml`.
    pub fn recipe(&self) -> PathBuf {
        self.root.join("recipe.toml")
    }

    /// `manifest.json`.
    pub fn manifest(&self) -> PathBuf {
        self.root.join("manifest.json")
    }

    /// `events.jsonl`.
    pub fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    /// `checkpoints/`.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// `report.html`.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// `model/`.
    pub fn model(&self) -> PathBuf {
        self.root.join("model")
    }
}

/// The runs of this name in `runs/`, oldest first.
fn numbered(name: &str) -> Vec<(u64, PathBuf)> {
    let Ok(entries) = std::fs::read_dir("runs") else { return Vec::new() };
    let mut found: Vec<(u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let file = entry.file_name();
            let number = file.to_str()?.strip_prefix(name)?.strip_prefix('-')?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    found.sort();
    found
}
