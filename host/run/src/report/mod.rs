//! `report.html`: one file that shows a run to a person.
//!
//! Made from the manifest, the event log and the recipe of a run directory and
//! nothing else, so it can be made again at any time. No resource from outside, no
//! script; light and dark by the reader's setting.

pub mod account;
mod answers;
pub mod confusion;
pub mod history;
pub mod page;
pub mod strip;
pub mod svg;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use history::History;

use crate::manifest::Manifest;
use retune_recipe::diagnostic::{Diagnostic, Result, unreadable};

/// Writes `report.html` into a run directory, from what is there.
pub fn write(run: &Path) -> Result<()> {
    let manifest = Manifest::read(&run.join("manifest.json"))?;
    let log = run.join("events.jsonl");
    let events = std::fs::read(&log).map_err(|e| unreadable(&log, &e))?;
    let history = History::read(&String::from_utf8_lossy(&events));
    let recipe = std::fs::read_to_string(run.join("recipe.toml")).unwrap_or_default();
    let path = run.join("report.html");
    std::fs::write(&path, page::page(&manifest, &history, &recipe))
        .map_err(|e| Diagnostic::new(format!("cannot write `{}`", path.display())).because(e))
}
