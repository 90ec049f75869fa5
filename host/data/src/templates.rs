//! The chat templates that come with a tokenizer.
//!
//! As `transformers` reads them: `chat_template.jinja` and `additional_chat_templates/*.jinja` where there is one, else
//! `chat_template` in `tokenizer_config.json`, a text or a list of named ones. The one without a name is `default`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;

use crate::error::plain_io;
use crate::tokenizer_file;
use crate::{DataError, Result};

/// Templates by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Templates(BTreeMap<String, String>);

impl Templates {
    /// The name of the one that is meant when none is named.
    pub const DEFAULT: &str = "default";
    /// The one that `transformers` takes for a conversation with tools.
    pub const TOOL_USE: &str = "tool_use";

    /// Reads those of `directory`, whose `tokenizer_config.json` is `config`.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(directory: &Path, config: &Json) -> Result<Self> {
        let mut all = BTreeMap::new();
        if let Some(text) = text(&directory.join("chat_template.jinja"))? {
            all.insert(Self::DEFAULT.to_owned(), text);
        }
        let more = std::fs::read_dir(directory.join("additional_chat_templates"));
        for path in more.into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            if let (Some(name), true) = (name, path.extension().is_some_and(|end| end == "jinja")) {
                all.extend(text(&path)?.map(|text| (name, text)));
            }
        }
        if all.is_empty() {
            match config.get("chat_template") {
                Some(Json::String(text)) => {
                    all.insert(Self::DEFAULT.to_owned(), text.clone());
                }
                Some(Json::Array(named)) => all.extend(named.iter().filter_map(|one| {
                    let part = |key| one.get(key).and_then(Json::as_str).map(str::to_owned);
                    Some((part("name")?, part("template")?))
                })),
                _ => {}
            }
        }
        Ok(Self(all))
    }

    /// The text of one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All names.
    pub fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// Names and texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

/// More than any template has.
const LARGEST: u64 = 4 << 20;

/// The text of a template's file.
pub(crate) fn read(path: &Path) -> std::io::Result<String> {
    let text = String::from_utf8(tokenizer_file::read(path, LARGEST)?);
    text.map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "stream did not contain valid UTF-8"))
}

fn text(path: &Path) -> Result<Option<String>> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(DataError::FileUnreadable { path: path.to_owned(), reason: plain_io(&e) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Directory;

    #[test]
    fn a_file_goes_before_the_config_and_names_are_kept() {
        let directory = Directory::new();
        let named = serde_json::json!({"chat_template": [
            {"name": "default", "template": "A"}, {"name": "tool_use", "template": "B"},
        ]});
        let of = |config: &Json| Templates::read(directory.path(), config).unwrap();
        assert_eq!(of(&Json::Null), Templates::default());
        assert_eq!(of(&serde_json::json!({"chat_template": "A"})).get("default"), Some("A"));
        assert_eq!(of(&named).iter().collect::<Vec<_>>(), [("default", "A"), ("tool_use", "B")]);

        directory.write("chat_template.jinja", "C");
        assert_eq!(of(&named).iter().collect::<Vec<_>>(), [("default", "C")]);
        std::fs::create_dir(directory.path().join("additional_chat_templates")).unwrap();
        directory.write("additional_chat_templates/rag.jinja", "D");
        assert_eq!(of(&named).iter().collect::<Vec<_>>(), [("default", "C"), ("rag", "D")]);
    }
}
