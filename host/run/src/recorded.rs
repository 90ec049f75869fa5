//! The recipe as a run directory keeps it, and what two of them differ in.
//!
//! Paths that the user wrote relative to the recipe are kept relative to the run directory, so that a project
//! can be moved as a whole; a path that was written in full stays as it is. Two recipes are the same run when
//! they say the same but for `device` and for where files lie: files are compared by their digests, in
//! [`crate::inputs`].

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use retune_recipe::sections::is_template_file;

use toml::Value;
use toml::de::{DeTable, DeValue};

/// Keys that hold a path, with the key of the table they are in.
const PATHS: [(&str, &str); 9] = [
    ("model", "base"),
    ("model", "config"),
    ("model", "tokenizer"),
    ("adapter", "from"),
    ("data", "train"),
    ("data", "validation"),
    ("data", "test"),
    ("chat", "template"),
    ("export", "directory"),
];

/// Keys whose values are a plugin's own, or a template's.
const OPAQUE: [&str; 3] = ["config", "limits", "variables"];

/// A setting of a recipe.
struct Leaf {
    /// `training.epochs`, `evaluation.metrics[0].plugin`.
    key: String,
    /// As TOML.
    value: String,
    /// Where it stands.
    span: Range<usize>,
    /// The path it is, if it is one.
    path: Option<PathBuf>,
}

/// `resolved`, a recipe with absolute paths, with those paths relative to `run_dir` that were not written in
/// full; `written` gives the value of a key as the user wrote it.
pub fn relative<'a>(resolved: &str, written: impl Fn(&str) -> Option<&'a str>, run_dir: &Path) -> String {
    let mut out = resolved.to_owned();
    let Ok(run_dir) = std::path::absolute(run_dir) else { return out };
    for leaf in leaves(resolved).into_iter().rev() {
        let in_full = |text: &str| Path::new(text.trim_matches(['"', '\''])).is_absolute();
        let Some(path) = leaf.path.filter(|_| !written(&leaf.key).is_some_and(in_full)) else { continue };
        if let Some(path) = from(&run_dir, &path).and_then(|path| path.to_str().map(str::to_owned)) {
            out.replace_range(leaf.span, &Value::String(path).to_string());
        }
    }
    out
}

/// The first setting that decides a run and differs: what it was, and what it is.
pub fn difference(then: &str, now: &str) -> Option<(String, String)> {
    let (then, now) = (deciding(then), deciding(now));
    let find = |all: &[Leaf], key: &str| all.iter().find(|leaf| leaf.key == key).map(|leaf| leaf.value.clone());
    let keys = then.iter().chain(&now).map(|leaf| leaf.key.as_str());
    keys.map(|key| (key, find(&then, key), find(&now, key))).find(|(_, was, is)| was != is).map(|(key, was, is)| {
        let told = |value: Option<String>| format!("{key} = {}", value.as_deref().unwrap_or("(not set)"));
        (told(was), told(is))
    })
}

/// Settings but for `device`; of a path, only that there is one.
fn deciding(text: &str) -> Vec<Leaf> {
    let mut leaves = leaves(text);
    leaves.retain(|leaf| leaf.key != "device");
    for leaf in leaves.iter_mut().filter(|leaf| leaf.path.is_some()) {
        "a file".clone_into(&mut leaf.value);
    }
    leaves
}

/// All settings, in the order of the text.
fn leaves(text: &str) -> Vec<Leaf> {
    let (table, _) = DeTable::parse_recoverable(text);
    let mut leaves = Vec::new();
    of_table(table.get_ref(), "", "", text, &mut leaves);
    leaves.sort_by_key(|leaf| leaf.span.start);
    leaves
}

fn of_table(table: &DeTable<'_>, name: &str, prefix: &str, text: &str, leaves: &mut Vec<Leaf>) {
    for (key, value) in table {
        let key: &str = key.get_ref();
        let full = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
        // A chat template is a file, or the name of one that the tokenizer has.
        let named = (name, key) == ("chat", "template") && !value.get_ref().as_str().is_some_and(is_template_file);
        let is_path = key == "plugin" || PATHS.contains(&(name, key)) && !named;
        of_value(value.get_ref(), value.span(), key, full, is_path, text, leaves);
    }
}

fn of_value(
    value: &DeValue<'_>,
    span: Range<usize>,
    name: &str,
    key: String,
    is_path: bool,
    text: &str,
    leaves: &mut Vec<Leaf>,
) {
    match value {
        DeValue::Table(table) if !OPAQUE.contains(&name) => of_table(table, name, &key, text, leaves),
        DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
            for (index, item) in items.iter().enumerate() {
                of_value(item.get_ref(), item.span(), name, format!("{key}[{index}]"), false, text, leaves);
            }
        }
        value => {
            let path = value.as_str().filter(|_| is_path).map(PathBuf::from);
            let value = text.get(span.clone()).unwrap_or_default().to_owned();
            leaves.push(Leaf { key, value, span, path });
        }
    }
}

/// The way from the folder `from` to `path`, both absolute; none where no way leads, as between drives.
fn from(from: &Path, path: &Path) -> Option<PathBuf> {
    let (from, path): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (from.components().collect(), path.components().collect());
    let common = from.iter().zip(&path).take_while(|(a, b)| a == b).count();
    if common == 0 {
        return None;
    }
    let up = from[common..].iter().map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(path[common..].iter().copied()).collect();
    Some(if way.as_os_str().is_empty() { PathBuf::from(".") } else { way })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOLVED: &str = "name = \"x\"\ndevice = \"cpu\"\n\n[model]\nbase = \"/home/a/project/base\"\ntokenizer = \"/models/bert\"\n\n\
        [data]\ntrain = \"/home/a/project/data/train.csv\"\nvalidation = { split = 0.2 }\n\n[[data.preprocess]]\nplugin = \
        \"/home/a/project/p.wasm\"\nconfig = { plugin = \"/home/a/project/p.wasm\" }\n\n[training]\nepochs = 3\n";

    #[test]
    fn paths_are_kept_from_the_run_directory_on_but_those_that_were_written_in_full() {
        let written = |key: &str| match key {
            "model.base" => Some("\"base\""),
            "model.tokenizer" => Some("\"/models/bert\""),
            _ => None,
        };
        let kept = relative(RESOLVED, written, Path::new("/home/a/project/runs/x-1"));
        assert!(kept.contains("base = \"../../base\"\ntokenizer = \"/models/bert\""), "{kept}");
        assert!(kept.contains("train = \"../../data/train.csv\""), "{kept}");
        assert!(kept.contains("plugin = \"../../p.wasm\"\nconfig = { plugin = \"/home/a/project/p.wasm\" }"), "{kept}");
        assert_eq!(difference(RESOLVED, &kept), None);
    }

    #[test]
    fn neither_the_device_nor_a_folder_decides_a_run() {
        let moved = RESOLVED.replace("/home/a/project/data", "/elsewhere").replace("\"cpu\"", "\"cuda:0\"");
        assert_eq!(difference(RESOLVED, &moved), None);
    }

    #[test]
    fn what_decides_a_run_is_told_with_its_key() {
        let differs = |from: &str, to: &str| difference(RESOLVED, &RESOLVED.replace(from, to));
        let told = |was: &str, is: &str| Some((was.to_owned(), is.to_owned()));
        assert_eq!(differs("epochs = 3", "epochs = 4"), told("training.epochs = 3", "training.epochs = 4"));
        assert_eq!(
            differs("split = 0.2", "split = 0.1"),
            told("data.validation.split = 0.2", "data.validation.split = 0.1")
        );
        assert_eq!(
            differs("[training]", "test = \"t.csv\"\n[training]"),
            told("data.preprocess[0].test = (not set)", "data.preprocess[0].test = \"t.csv\"")
        );
        let chat = |template: &str| {
            RESOLVED.replace("[training]", &format!("[data.chat]\ntemplate = \"{template}\"\n\n[training]"))
        };
        assert_eq!(difference(&chat("/home/a/one.jinja"), &chat("/elsewhere/one.jinja")), None);
        assert_eq!(
            difference(&chat("default"), &chat("tool_use")),
            told("data.chat.template = \"default\"", "data.chat.template = \"tool_use\"")
        );
        assert!(
            differs("config = { plugin", "config = { other").is_some(),
            "a plugin's settings are compared as they are"
        );
    }
}
