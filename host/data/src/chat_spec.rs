//! How conversations are to become rows: a plain description, without behaviour.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// How conversations become rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChatSpec {
    /// What is learnt.
    pub learn: Learn,
    /// The field of a message that says by 0 or 1 whether it is learnt.
    pub weight: String,
    /// The template; `None`: the tokenizer's own.
    pub template: Option<TemplateRef>,
    /// Further names that the template sees.
    pub variables: Map<String, Json>,
    /// What `strftime_now` writes: `2026-11-26`.
    pub date: Option<String>,
    /// Prompt and completion are a conversation of two messages.
    pub wrap: bool,
}

impl Default for ChatSpec {
    fn default() -> Self {
        Self {
            learn: Learn::Assistant,
            weight: "weight".to_owned(),
            template: None,
            variables: Map::new(),
            date: None,
            wrap: false,
        }
    }
}

/// What is learnt of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Learn {
    /// Every message from the assistant.
    #[default]
    Assistant,
    /// The last message, which must be the assistant's.
    Last,
    /// Every token.
    All,
}

/// A template other than the tokenizer's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TemplateRef {
    /// One of several that the tokenizer has.
    Name(String),
    /// A file.
    File(PathBuf),
}

impl TemplateRef {
    /// A file where the text ends in `.jinja`, else a name.
    pub fn new(text: &str) -> Self {
        if text.ends_with(".jinja") { Self::File(text.into()) } else { Self::Name(text.to_owned()) }
    }
}
