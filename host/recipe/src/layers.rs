//! The texts of a recipe laid over one another: files it includes, its own, what the command line sets.
//!
//! `include` names files whose keys are read first; what stands in the including file wins. A
//! path is relative to the file that says it. Each `--set KEY=VALUE` is a text of its own, so
//! that an error in it says `--set` in place of a line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;
use toml::de::DeTable;

use crate::diagnostic::{Diagnostic, Text, unreadable};
use crate::place::{Place, SET, Source, child, keys, pointer};
use crate::problems::Problems;
use crate::written::Written;

/// Of a file that is no TOML at all, such as a CSV, every line is an error, and the first few say it.
const SYNTAX_ERRORS_SHOWN: usize = 3;

/// Texts read so far.
#[derive(Default)]
pub struct Layers {
    /// What they say, merged.
    pub written: Written,
    /// The texts.
    pub sources: Vec<Source>,
    /// What is wrong with them.
    pub problems: Problems,
}

impl Layers {
    /// Lays a file and what it includes on top. `chain` are the files that led to it.
    pub fn file(&mut self, text: Text, folder: &Path, chain: &[PathBuf]) {
        let number = self.sources.len();
        let contents = text.text.clone();
        self.sources.push(Source { text, folder: folder.to_owned() });
        let (table, errors) = DeTable::parse_recoverable(&contents);
        if !errors.is_empty() {
            // A recovered table is full of holes: what else is wrong with it would be noise.
            for error in errors.iter().take(SYNTAX_ERRORS_SHOWN) {
                let span = error.span().unwrap_or(0..0);
                self.problems.push(number, span, error.message(), Diagnostic::new("this is not TOML"));
            }
            return;
        }
        let mut own = Written::of(table.get_ref(), number);
        for (path, place) in included(&own, folder) {
            self.include(&path, &place, chain);
        }
        // Read; if it is malformed it stays, for the schema to refuse.
        if own.values.get("include").is_some_and(is_list_of_texts) {
            own.remove("/include");
        }
        self.written.overlay(own);
    }

    fn include(&mut self, path: &Path, place: &Place, chain: &[PathBuf]) {
        let read = || Some((path.canonicalize().ok()?, std::fs::read_to_string(path).ok()?));
        let Some((real, contents)) = read() else {
            let error = std::fs::read_to_string(path).err().unwrap_or_else(|| std::io::ErrorKind::NotFound.into());
            let diagnostic = unreadable(path, &error).help("`include` is relative to the file it stands in");
            return self.problems.push(place.source, place.value.clone(), "included here", diagnostic);
        };
        if chain.contains(&real) {
            let message = format!("`{}` includes itself", path.display());
            let help = "remove one `include` of the circle".to_owned();
            return self.problems.add(place, message, "this closes the circle", Some(help));
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let chain: Vec<PathBuf> = chain.iter().cloned().chain([real]).collect();
        self.file(Text { name: path.display().to_string(), text: Arc::from(contents) }, &folder, &chain);
    }

    /// Lays `KEY=VALUE` on top, as `--set` gives it; paths are relative to `folder`.
    pub fn set(&mut self, argument: &str, folder: &Path) {
        let number = self.sources.len();
        let text = Text { name: SET.to_owned(), text: Arc::from(argument) };
        self.sources.push(Source { text, folder: folder.to_owned() });
        let Some((key, value)) = argument.split_once('=').filter(|(key, _)| !key.trim().is_empty()) else {
            let diagnostic = Diagnostic::new(format!("`--set {argument}` is not KEY=VALUE"))
                .help("write the key as an error names it: --set training.epochs=1");
            return self.problems.push(number, 0..argument.len(), "no key or no value", diagnostic);
        };
        let place = Place { source: number, key: 0..key.trim_end().len(), value: key.len() + 1..argument.len() };
        let path = keys(&pointer(key.trim()));
        let over = Written::one(&path, value, &place);
        if let Err(missing) = self.written.set(&path, over) {
            let message = format!("`{missing}` is not there to be set");
            let span = place.key.clone();
            let diagnostic =
                Diagnostic::new(message).help("an item of a list can be changed, not added: set the whole list");
            self.problems.push(number, span, "no such item", diagnostic);
        }
    }
}

/// The files that a text includes.
fn included(own: &Written, folder: &Path) -> Vec<(PathBuf, Place)> {
    let at = |pointer: &str| own.places.get(pointer).cloned();
    match own.values.get("include") {
        Some(Json::String(file)) => at("/include").map(|place| (folder.join(file), place)).into_iter().collect(),
        Some(Json::Array(files)) => files
            .iter()
            .enumerate()
            .filter_map(|(i, file)| Some((folder.join(file.as_str()?), at(&child("/include", &i.to_string()))?)))
            .collect(),
        _ => Vec::new(),
    }
}

fn is_list_of_texts(value: &Json) -> bool {
    value.is_string() || value.as_array().is_some_and(|files| files.iter().all(Json::is_string))
}
