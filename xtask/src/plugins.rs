//! Builds every plugin to a WebAssembly component.
//!
//! A plugin is a folder of `plugins/` (an attack on the host: of `plugins/hostile/`) that holds a `Cargo.toml`. The
//! file that comes out is named after the folder, as are those of attacks that are written as text (`tests/assemble`). All are built by one call of cargo, so that what they share is
//! compiled once; the files are replaced only when they differ, so that caches keyed by time stay valid.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{self, Failed};
use crate::workspace::Workspace;

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "plugin";

/// One folder with a plugin's source.
struct Source {
    /// Folder name, and name of the component.
    name: String,
    package: String,
    /// Name of the library cargo builds, with underscores.
    library: String,
    hostile: bool,
}

/// Builds all plugins and puts them into `target/plugins/` and `target/plugins/hostile/`.
pub fn build(workspace: &Workspace) -> Result<(), Failed> {
    let mut sources = find(&workspace.path("plugins"), false)?;
    sources.extend(find(&workspace.path("plugins/hostile"), true)?);
    make(workspace, &sources)?;
    assemble(workspace)?;
    let plugins = sources.iter().filter(|source| !source.hostile).count();
    let hostile = components(&workspace.path("target/plugins/hostile"))?;
    eprintln!("{plugins} plugins, and {hostile} hostile ones for the tests, are in target/plugins");
    Ok(())
}

/// Makes components of the attacks that are written as text. What does it is no member of the workspace.
fn assemble(workspace: &Workspace) -> Result<(), Failed> {
    let manifest = workspace.path("tests/assemble/Cargo.toml");
    let mut cargo = workspace.cargo(["run", "--quiet", "--manifest-path"]);
    cargo.arg(manifest).arg("--target-dir").arg(workspace.target()).arg("--").arg(workspace.path(""));
    command::run(cargo.arg(workspace.path("target/plugins/hostile")))
}

/// How many components there are in `folder`.
fn components(folder: &Path) -> Result<usize, Failed> {
    let entries = fs::read_dir(folder).map_err(|error| Failed::file("list", folder, &error))?;
    Ok(entries.flatten().filter(|entry| entry.path().extension().is_some_and(|extension| extension == "wasm")).count())
}

/// Builds the plugins that a recipe of this checkout names.
pub fn build_for(workspace: &Workspace, recipe: &Path) -> Result<(), Failed> {
    let text = fs::read_to_string(recipe).map_err(|error| Failed::file("read", recipe, &error))?;
    let names = named(&text);
    let mut sources = find(&workspace.path("plugins"), false)?;
    if let Some(missing) = names.iter().find(|name| sources.iter().all(|source| source.name != **name)) {
        return Err(Failed::new(format!(
            "{} names the plugin `{missing}`, which is not in plugins/",
            recipe.display()
        )));
    }
    sources.retain(|source| names.contains(&&*source.name));
    make(workspace, &sources)
}

/// The plugins of `target/plugins/` in a recipe.
fn named(recipe: &str) -> Vec<&str> {
    let behind = recipe.split("target/plugins/").skip(1);
    behind.filter_map(|text| text.split_once(".wasm")).map(|(name, _)| name).collect()
}

fn make(workspace: &Workspace, sources: &[Source]) -> Result<(), Failed> {
    if sources.is_empty() {
        return Err(Failed::new("there is no plugin in plugins/"));
    }
    ensure_target(workspace)?;

    let mut cargo = workspace.cargo(["build", "--profile", PROFILE, "--target", TARGET]);
    for source in sources {
        cargo.args(["--package", &source.package]);
    }
    command::run(&mut cargo)?;

    let built = workspace.target().join(TARGET).join(PROFILE);
    let destination = workspace.path("target/plugins");
    for source in sources {
        let folder = if source.hostile { destination.join("hostile") } else { destination.clone() };
        let from = built.join(format!("{}.wasm", source.library));
        place(&from, &folder.join(format!("{}.wasm", source.name)))?;
    }
    Ok(())
}

/// Asks rustup for the target when the compiler does not have it.
fn ensure_target(workspace: &Workspace) -> Result<(), Failed> {
    let library = command::output(workspace.command("rustc").args(["--print", "target-libdir", "--target", TARGET]))?;
    if Path::new(&library).is_dir() {
        return Ok(());
    }
    command::run(workspace.command("rustup").args(["target", "add", TARGET]))
        .map_err(|failed| Failed::new(format!("{failed}\nplugins need the compiler's target {TARGET}")))
}

/// The plugins directly below `folder`, by name.
fn find(folder: &Path, hostile: bool) -> Result<Vec<Source>, Failed> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut manifests: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|error| Failed::file("list", folder, &error))?
        .filter_map(|entry| Some(entry.ok()?.path().join("Cargo.toml")))
        .filter(|manifest| manifest.is_file())
        .collect();
    manifests.sort();
    manifests.iter().map(|manifest| source(manifest, hostile)).collect()
}

fn source(manifest: &Path, hostile: bool) -> Result<Source, Failed> {
    let text = fs::read_to_string(manifest).map_err(|error| Failed::file("read", manifest, &error))?;
    let name = manifest.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let (Some(name), Some(package)) = (name, value(&text, "package", "name")) else {
        return Err(Failed::new(format!("{} names no package", manifest.display())));
    };
    let library = value(&text, "lib", "name").unwrap_or(package).replace('-', "_");
    Ok(Source { name, package: package.to_owned(), library, hostile })
}

/// The string that `key` has in `[section]`. Enough TOML for manifests of this workspace.
fn value<'a>(manifest: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let header = format!("[{section}]");
    let lines = manifest.lines().map(str::trim).skip_while(|line| *line != header).skip(1);
    lines.take_while(|line| !line.starts_with('[')).find_map(|line| {
        let (found, value) = line.split_once('=')?;
        (found.trim() == key).then(|| value.trim().trim_matches('"'))
    })
}

/// Copies `from` to `to` unless `to` already has the same bytes.
fn place(from: &Path, to: &Path) -> Result<(), Failed> {
    let bytes = fs::read(from).map_err(|error| Failed::file("read", from, &error))?;
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(|error| Failed::file("make", folder, &error))?;
    }
    fs::write(to, bytes).map_err(|error| Failed::file("write", to, &error))
}

#[cfg(test)]
mod tests {
    use super::{named, value};

    #[test]
    fn the_plugins_of_a_recipe_are_found_and_its_other_paths_are_not() {
        let recipe = "plugin = \"../../target/plugins/text-clean.wasm\"\ntrain = \"target/a.csv\"\n\
                      metrics = [\"accuracy\", { plugin = \"../../target/plugins/report.wasm\" }]\n";
        assert_eq!(named(recipe), ["text-clean", "report"]);
    }

    #[test]
    fn a_key_is_looked_up_in_its_own_section_only() {
        let manifest = "[package]\nname = \"a-b\"\nversion.workspace = true\n\n[lib]\ncrate-type = [\"cdylib\"]\n\n\
                        [dependencies]\nname = \"wrong\"\n";
        assert_eq!(value(manifest, "package", "name"), Some("a-b"));
        assert_eq!(value(manifest, "lib", "name"), None);
        assert_eq!(value(manifest, "bin", "name"), None);
    }
}
