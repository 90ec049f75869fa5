//! The table `data.chat`.

use std::path::Path;

use retune_data::{Learn, TemplateRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use smart_default::SmartDefault;

use super::kinds::TemplateName;

/// How conversations become rows.
#[derive(Clone, Debug, SmartDefault, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Chat {
    /// What is learnt: assistant: all it says; last: only the last message; all: every token.
    pub learn: Learn,
    /// The field of a message that says by 0 or 1 whether it is learnt.
    #[default("weight")]
    #[schemars(length(min = 1))]
    pub weight: String,
    /// A file (.jinja), or the name of one of several that the tokenizer has.
    #[schemars(with = "Option<TemplateName>", extend("x-default" = "the tokenizer's own"))]
    pub template: Option<String>,
    /// Further names that the template sees: { enable_thinking = false }.
    #[schemars(extend("x-default" = "{}", "x-write" = "variables = { name = value }"))]
    pub variables: Map<String, Json>,
    /// The day that a template writes which asks for today's; such a template needs it.
    #[schemars(extend("x-write" = "date = \"2026-11-26\""))]
    pub date: Option<String>,
    /// Takes `prompt` and `completion` as a conversation of two messages.
    pub wrap: bool,
}

impl Chat {
    /// The file that the template is in, where it is one.
    pub fn template_file(&self) -> Option<&Path> {
        self.template.as_deref().filter(|template| is_template_file(template)).map(Path::new)
    }
}

/// Whether a chat template is named by its file, and not by one of the names that a tokenizer has for its own.
pub fn is_template_file(template: &str) -> bool {
    matches!(TemplateRef::new(template), TemplateRef::File(_))
}
