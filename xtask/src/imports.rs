//! No two source files import each other in a circle: a file can then be read, moved and tested with what is below it.
//!
//! For every crate of `host/` the modules are found from its files, and what a file imports from the paths in it that begin
//! with `crate`, `super`, `self` or one of its own modules. A name that a module only hands on (`pub use`) stands for
//! the file it comes from. Tests do not count. It reads tokens, not meaning: names that macros make are not seen.

mod circle;
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command::Failed;
use crate::workspace::Workspace;
use circle::circles;
use source::Source;

/// Imports that may close a circle, each for a reason that ARCHITECTURE.md gives.
const ALLOWED: &[(&str, &str)] = &[];

/// Fails with every circle there is.
pub fn check(workspace: &Workspace) -> Result<(), Failed> {
    let mut found = Vec::new();
    for room in folders(&workspace.path("host"))? {
        if room.join("src").is_dir() {
            let sources = sources(workspace, &room.join("src"))?;
            found.extend(circles(&allowed(imports(&sources))));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let count = found.len();
    let circles: Vec<String> = found.iter().map(|circle| format!("circle\n  {}", circle.join("\n  "))).collect();
    Err(Failed::new(format!(
        "{count} circles of files that import each other; move what both need into a file below them\n{}",
        circles.join("\n")
    )))
}

/// Imports of each file: the file they come from, and a name by which it is seen.
type Imports = BTreeMap<String, BTreeMap<String, String>>;

fn allowed(mut imports: Imports) -> Imports {
    for (from, to) in ALLOWED {
        if let Some(targets) = imports.get_mut(*from) {
            targets.remove(*to);
        }
    }
    imports
}

/// Which file of a crate imports which.
fn imports(sources: &BTreeMap<Vec<String>, Source>) -> Imports {
    let mut all = Imports::new();
    for (module, source) in sources {
        let targets = all.entry(source.file.clone()).or_default();
        for path in &source.imports {
            let Some((file, name)) = resolve(sources, module, path, 0) else { continue };
            if file != source.file {
                targets.entry(file).or_insert(name);
            }
        }
    }
    all
}

/// The file that a path, written in `module`, leads to, and the name it has there.
fn resolve(
    sources: &BTreeMap<Vec<String>, Source>,
    module: &[String],
    path: &[String],
    depth: usize,
) -> Option<(String, String)> {
    let mut at: Vec<String> = module.to_vec();
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => drop(at.pop()),
            name => {
                let mut below = at.clone();
                below.push(name.to_owned());
                if !sources.contains_key(&below) {
                    break;
                }
                at = below;
            }
        }
        rest = after;
    }
    let source = sources.get(&at)?;
    let name = rest.first().cloned().unwrap_or_else(|| "*".to_owned());
    // Handed on from another file; a chain of more than a few is none.
    if let Some(origin) = source.handed_on.get(&name).filter(|_| depth < 8)
        && let Some(found) = resolve(sources, &at, origin, depth + 1)
    {
        return Some(found);
    }
    Some((source.file.clone(), name))
}

/// The modules of a crate, by path; without tests.
fn sources(workspace: &Workspace, root: &Path) -> Result<BTreeMap<Vec<String>, Source>, Failed> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for path in entries(&folder)? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name == "tests" || name == "testing.rs" || name.ends_with("tests.rs") {
                continue;
            }
            if path.is_dir() {
                waiting.push(path);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).map_err(|error| Failed::file("read", &path, &error))?;
                let file = workspace.below(&path);
                all.insert(module(root, &path), Source::read(file, &text));
            }
        }
    }
    Ok(all)
}

/// `src/a/b.rs` is `a::b`, `src/a/mod.rs` is `a`, `src/lib.rs` the crate.
fn module(root: &Path, path: &Path) -> Vec<String> {
    let below = path.strip_prefix(root).unwrap_or(path).with_extension("");
    let mut parts: Vec<String> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let is_face =
        parts.last().is_some_and(|last| last == "mod" || parts.len() == 1 && matches!(&**last, "lib" | "main"));
    if is_face {
        parts.pop();
    }
    parts
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, Failed> {
    Ok(entries(folder)?.into_iter().filter(|path| path.is_dir()).collect())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failed> {
    let entries = fs::read_dir(folder).map_err(|error| Failed::file("list", folder, &error))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let root = Path::new("src");
        let sources = files
            .iter()
            .map(|(file, text)| (module(root, &root.join(file)), Source::read((*file).to_owned(), text)))
            .collect();
        circles(&imports(&sources))
    }

    #[test]
    fn two_files_that_use_each_other_are_a_circle_and_others_are_none() {
        let a = ("a.rs", "use crate::b::B;\npub struct A;");
        assert_eq!(
            found(&[("lib.rs", "mod a; mod b; mod c;"), a, ("b.rs", "use super::a::A;"), ("c.rs", "use crate::a::A;")]),
            [["a.rs -> b.rs (B)", "b.rs -> a.rs (A)"]]
        );
        assert!(found(&[("lib.rs", "mod a; mod b;"), a, ("b.rs", "pub struct B;")]).is_empty());
    }

    #[test]
    fn a_name_that_the_crate_hands_on_stands_for_its_file() {
        let lib = ("lib.rs", "mod a; mod b;\npub use a::{A, inner::{C as D}};\npub use b::B;");
        let b = ("b.rs", "use crate::A;\npub struct B;");
        assert!(found(&[lib, ("a.rs", "pub struct A;"), b]).is_empty());
        assert_eq!(
            found(&[lib, ("a.rs", "fn f() -> crate::B { crate::B }"), b]),
            [["a.rs -> b.rs (B)", "b.rs -> a.rs (A)"]]
        );
    }

    #[test]
    fn a_parent_that_calls_its_child_and_is_called_back_is_a_circle() {
        let child = ("m/child.rs", "use super::Shared;");
        assert_eq!(
            found(&[
                ("lib.rs", "mod m;"),
                ("m/mod.rs", "mod child;\npub struct Shared;\nfn f() { child::run() }"),
                child
            ]),
            [["m/child.rs -> m/mod.rs (Shared)", "m/mod.rs -> m/child.rs (run)"]]
        );
        assert!(found(&[("lib.rs", "mod m;"), ("m/mod.rs", "mod child;\npub struct Shared;"), child]).is_empty());
    }

    #[test]
    fn tests_comments_and_strings_import_nothing() {
        let b = "//! See [`crate::a`].\npub struct B;\nconst S: &str = \"crate::a::A\";\n/* crate::a */\n\
                 #[cfg(test)]\nmod tests {\n    use crate::a::A;\n    fn f() { let c = '{'; }\n}\n\
                 #[cfg(test)]\nuse crate::a::A as Other;\n";
        assert!(
            found(&[("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::B; pub struct A;"), ("b.rs", b)]).is_empty()
        );
    }
}
