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
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::recorded;
use retune_recipe::diagnostic::{Diagnostic, Result, unreadable};

/// Where runs go that are given no place.
const RUNS: &str = "runs";

/// A run directory, there or about to be.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
    /// Of a new run that was given no place: its name and number.
    numbered: Option<(String, u64)>,
}

/// A run directory that no other process may train in. One that was made for a run which then did
/// not begin goes away with this.
#[derive(Debug)]
pub struct Held {
    _file: File,
    /// Where files cannot be locked: what to tell.
    pub weak: Option<String>,
    /// What was made for this run.
    made: Option<RunDir>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(run) = self.made.take().filter(|run| !run.manifest().exists()) {
            // Only what is empty goes; what somebody else put there stays, and that is no failure.
            let _ = std::fs::remove_file(run.lock()).and_then(|()| std::fs::remove_dir(run.checkpoints()));
            let gone = std::fs::remove_dir(&run.root);
            if let (Ok(()), Some(_), Some(runs)) = (gone, &run.numbered, run.root.parent()) {
                let _ = std::fs::remove_dir(runs);
            }
        }
    }
}

impl RunDir {
    /// Where a new run goes: `output`, else `runs/<name>-<n>` with the next free number.
    /// Nothing is made before [`claim`](Self::claim).
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
            return Ok(Self { root: output.to_owned(), numbered: None });
        }
        Ok(Self::next(Path::new(RUNS), name))
    }

    /// The next free number in `runs`.
    fn next(runs: &Path, name: &str) -> Self {
        let number = 1 + numbered(runs, name).last().map_or(0, |(number, _)| *number);
        Self { root: runs.join(format!("{name}-{number}")), numbered: Some((name.to_owned(), number)) }
    }

    /// A run that has begun.
    pub fn open(root: &Path) -> Result<Self> {
        let run = Self { root: root.to_owned(), numbered: None };
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
        // A directory that is claimed for a run which has not begun holds nothing to go on with.
        let begun = numbered(Path::new(RUNS), name).into_iter().rev().find_map(|(_, path)| Self::open(&path).ok());
        match begun {
            Some(run) => Ok(run),
            None => Err(Diagnostic::new(format!("there is no run of `{name}` to resume in `runs/`"))
                .help("say where it is with --output DIR")),
        }
    }

    /// Makes the directory of a new run, and holds it. When another process took the number
    /// meanwhile, this run gets the next one.
    ///
    /// # Errors
    /// When it cannot be made, or another run has begun in a directory that was asked for by name.
    pub fn claim(&mut self) -> Result<Held> {
        let cannot = |path: &Path, e: std::io::Error| {
            Diagnostic::new(format!("cannot make `{}`", path.display()))
                .because(e)
                .help("choose another place with --output DIR")
        };
        let parent = self.root.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.map_or(Ok(()), std::fs::create_dir_all).map_err(|e| cannot(&self.root, e))?;
        loop {
            match (std::fs::create_dir(&self.root), &mut self.numbered) {
                (Ok(()), _) => break,
                (Err(e), Some((name, number))) if e.kind() == ErrorKind::AlreadyExists => {
                    *number += 1;
                    self.root.set_file_name(format!("{name}-{number}"));
                }
                (Err(e), None) if e.kind() == ErrorKind::AlreadyExists && self.root.is_dir() => break,
                (Err(e), _) => return Err(cannot(&self.root, e)),
            }
        }
        let mut held = self.hold()?;
        // Data was prepared since the place was found free.
        if self.manifest().exists() {
            return Err(Diagnostic::new(format!("another run has begun in `{}` meanwhile", self.root.display()))
                .help("give each run a place of its own with --output DIR, or leave --output out"));
        }
        let checkpoints = self.checkpoints();
        std::fs::create_dir_all(&checkpoints).map_err(|e| cannot(&checkpoints, e))?;
        held.made = Some(self.clone());
        Ok(held)
    }

    /// Keeps other processes from training in this directory for as long as the result lives.
    pub fn hold(&self) -> Result<Held> {
        let path = self.lock();
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|e| {
            Diagnostic::new(format!("cannot write `{}`", path.display()))
                .because(e)
                .help("the run writes its checkpoints and its report there too")
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Held { _file: file, weak: None, made: None }),
            Err(TryLockError::WouldBlock) => {
                Err(Diagnostic::new(format!("another process is training in `{}`", self.root.display()))
                    .help("wait until it ends, or give this run a place of its own with --output DIR"))
            }
            Err(TryLockError::Error(e)) => Ok(Held {
                _file: file,
                weak: Some(format!(
                    "the file system does not lock files ({e}): take care that nobody resumes `{}` while this runs",
                    self.root.display()
                )),
                made: None,
            }),
        }
    }

    /// Writes the recipe a run uses.
    pub fn write_recipe(&self, text: &str) -> Result<()> {
        let path = self.recipe();
        std::fs::write(&path, text)
            .map_err(|e| Diagnostic::new(format!("cannot write `{}`", path.display())).because(e))
    }

    /// Refuses to go on with another recipe than the run began with; `text` is the resolved one.
    pub fn same_recipe(&self, text: &str) -> Result<()> {
        let path = self.recipe();
        let then = std::fs::read_to_string(&path).map_err(|e| unreadable(&path, &e))?;
        let Some((was, is)) = recorded::difference(&then, text) else { return Ok(()) };
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

    /// `.lock`.
    fn lock(&self) -> PathBuf {
        self.root.join(".lock")
    }
}

/// The runs of this name in `runs`, oldest first.
fn numbered(runs: &Path, name: &str) -> Vec<(u64, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(runs) else { return Vec::new() };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_find_the_same_number_free_get_one_each() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        let found: Vec<RunDir> = (0..8).map(|_| RunDir::next(&runs, "bert-2")).collect();
        assert!(found.iter().all(|run| run.root() == runs.join("bert-2-1")));
        let held: Vec<(Held, PathBuf)> = std::thread::scope(|scope| {
            let claims: Vec<_> = found
                .into_iter()
                .map(|mut run| scope.spawn(move || (run.claim().unwrap(), run.root().to_owned())))
                .collect();
            claims.into_iter().map(|claim| claim.join().unwrap()).collect()
        });
        let mut roots: Vec<PathBuf> = held.iter().map(|(_, root)| root.clone()).collect();
        roots.sort();
        assert_eq!(roots, (1..=8).map(|n| runs.join(format!("bert-2-{n}"))).collect::<Vec<_>>());
        assert!(roots.iter().all(|root| root.join("checkpoints").is_dir()));
    }

    #[test]
    fn a_run_that_does_not_begin_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        let mut run = RunDir::next(&runs, "a");
        drop(run.claim().unwrap());
        assert!(!runs.exists());
        let held = run.claim().unwrap();
        std::fs::write(run.manifest(), "{}").unwrap();
        drop(held);
        assert!(run.manifest().is_file(), "one that has begun stays");
    }

    #[test]
    fn a_place_that_was_asked_for_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("out");
        let mut one = RunDir::fresh("a", Some(&place)).unwrap();
        let mut other = RunDir::fresh("a", Some(&place)).unwrap();
        let _held = one.claim().unwrap();
        let error = other.claim().unwrap_err().to_string();
        assert!(error.contains("another process is training in"), "{error}");
    }
}
