//! What can be wrong with conversations and the template that writes them, as sentences for people, each with the way out.

use std::path::PathBuf;

use crate::naming::list;

/// What was wrong with a conversation, or with its template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// The tokenizer's folder has none.
    #[error("the tokenizer {tokenizer} has no chat template")]
    NoTemplate {
        /// Name of the tokenizer's folder.
        tokenizer: String,
    },
    /// It has several, and not the one that is asked for.
    #[error("the tokenizer {tokenizer} has no chat template `{name}`{}", nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
    TemplateUnknown {
        /// Name of the tokenizer's folder.
        tokenizer: String,
        /// The name asked for.
        name: String,
        /// The nearest there is.
        nearest: Option<String>,
        /// All there are.
        available: Vec<String>,
    },
    /// It cannot be compiled.
    #[error("{template} is not a template: line {line}: {reason}")]
    TemplateBroken {
        /// A file, or `the chat template of NAME`.
        template: String,
        /// Line of the template.
        line: usize,
        /// What the compiler says.
        reason: String,
    },
    /// It refuses a conversation.
    #[error("{place}: the chat template refuses this conversation: {message}")]
    TemplateRefuses {
        /// The row.
        place: String,
        /// What the template says.
        message: String,
    },
    /// It does something impossible.
    #[error("{place}: the chat template cannot write this conversation: line {line}: {reason}")]
    TemplateFails {
        /// The row.
        place: String,
        /// Line of the template.
        line: usize,
        /// What was impossible.
        reason: String,
    },
    /// It writes the date of today.
    #[error("the chat template writes the date of the day, and rows must be the same on another one")]
    Undated {
        /// Today.
        today: String,
    },
    /// A character that marks generations.
    #[error("{place} holds U+{:04X}, which is no character, and which marks what an assistant says", *character as u32)]
    Reserved {
        /// The row.
        place: String,
        /// Which.
        character: char,
    },
    /// What a turn looks like depends on what comes after it.
    #[error(
        "{place}: the chat template writes message {message} ({role}) otherwise when {when}, so what is learnt of it cannot be told"
    )]
    NotNested {
        /// The row.
        place: String,
        /// From 1.
        message: usize,
        /// Who says it.
        role: String,
        /// `other messages follow it`, `it is still to come`.
        when: &'static str,
    },
    /// As many `{% generation %}` as assistants are needed to say which is whose.
    #[error("{place}: the chat template marks {marks} generation{}, and {turns} message{} from the assistant", if *marks == 1 { "" } else { "s" }, if *turns == 1 { " is" } else { "s are" })]
    MarksDiffer {
        /// The row.
        place: String,
        /// Marked stretches.
        marks: usize,
        /// Messages from the assistant.
        turns: usize,
    },
    /// `learn = "last"` where the last message is somebody else's.
    #[error("{place} ends with a message from `{role}`, and data.chat.learn = \"last\" learns the assistant's last")]
    LastNotAssistant {
        /// The row.
        place: String,
        /// Who says it.
        role: String,
    },
    /// A weight that is neither 0 nor 1.
    #[error("{place}, message {message}: `{field}` is {value}; expected 0 or 1")]
    WeightKind {
        /// The row.
        place: String,
        /// From 1.
        message: usize,
        /// `data.chat.weight`.
        field: String,
        /// What it is.
        value: String,
    },
    /// A weight of 0 where everything is learnt.
    #[error("{place}, message {message} has the weight 0, and data.chat.learn = \"all\" learns every token")]
    WeightWithAll {
        /// The row.
        place: String,
        /// From 1.
        message: usize,
    },
    /// Not a list of messages.
    #[error(
        "{place} holds {found} in column `{column}`; expected a list of messages like {{\"role\": \"user\", \"content\": \"…\"}}"
    )]
    NotMessages {
        /// The row.
        place: String,
        /// The column.
        column: String,
        /// What it holds.
        found: String,
    },
    /// A message without role and content.
    #[error("{place}, message {message} has {}; expected `role` and `content`, or `from` and `value`", if keys.is_empty() { "no keys".to_owned() } else { format!("the key{} {}", if keys.len() == 1 { "" } else { "s" }, list(keys)) })]
    MessageShape {
        /// The row.
        place: String,
        /// From 1.
        message: usize,
        /// Its keys.
        keys: Vec<String>,
    },
    /// A role that is probably misspelt, or that nobody knows.
    #[error("{place}, message {message} is from `{role}`{}", nearest.as_ref().map_or(", which is nobody in a conversation".to_owned(), |name| format!("; did you mean `{name}`?")))]
    RoleUnknown {
        /// The row.
        place: String,
        /// From 1.
        message: usize,
        /// The role.
        role: String,
        /// The nearest known one.
        nearest: Option<String>,
    },
    /// A content that is no text.
    #[error("{place}, message {message}: its content is {found}; expected text, or a list of parts")]
    ContentKind {
        /// The row.
        place: String,
        /// From 1.
        message: usize,
        /// What it is.
        found: &'static str,
    },
    /// A content that the template cannot write.
    #[error("{place}, message {message}: its content is {found}, which the chat template cannot write ({reason})")]
    ContentNotTaken {
        /// The row.
        place: String,
        /// From 1.
        message: usize,
        /// `a list of parts`, `missing, or null`.
        found: &'static str,
        /// What the template makes of it.
        reason: String,
    },
    /// Tools that are no list.
    #[error("{place} holds {found} in column `{column}` (data.columns.tools); expected a list of tools")]
    NotTools {
        /// The row.
        place: String,
        /// The column.
        column: String,
        /// What it holds.
        found: String,
    },
}

impl ChatError {
    /// What to do next.
    pub fn help(&self) -> Option<String> {
        let own = "a template of your own: data.chat.template = \"file.jinja\"";
        Some(match self {
            Self::NoTemplate { .. } => {
                "take a chat model, or give a template: data.chat.template = \"file.jinja\"".to_owned()
            }
            Self::TemplateUnknown { available, .. } if available.is_empty() => {
                "it has none at all; a file is named by its ending: data.chat.template = \"file.jinja\"".to_owned()
            }
            Self::TemplateUnknown { available, .. } => {
                format!(
                    "its templates: {}; a file is named by its ending: data.chat.template = \"file.jinja\"",
                    list(available)
                )
            }
            Self::TemplateBroken { .. } | Self::TemplateFails { .. } => {
                format!("if transformers renders it, please report it; meanwhile, give {own}")
            }
            Self::TemplateRefuses { .. } => {
                format!("correct the conversation, or leave the row out; if the template asks too much, give {own}")
            }
            Self::Undated { today } => format!("say which date it shall write: data.chat.date = \"{today}\""),
            Self::Reserved { .. } => "take the character out".to_owned(),
            Self::NotNested { when: FOLLOWED, .. } => format!(
                "learn only the last turn, which nothing follows: data.chat.learn = \"last\"; or mark with {{% generation %}} what is learnt, in {own}"
            ),
            Self::NotNested { .. } => {
                format!("give the message a weight of 0, or mark with {{% generation %}} what is learnt, in {own}")
            }
            Self::MarksDiffer { .. } => format!(
                "take the weights out and write data.chat.learn = \"assistant\"; or mark every message of the assistant, and no other, in {own}"
            ),
            Self::LastNotAssistant { .. } => {
                "take the messages behind the assistant's last away, or write data.chat.learn = \"assistant\""
                    .to_owned()
            }
            Self::WeightKind { .. } => "a message is learnt (1) or only read (0)".to_owned(),
            Self::WeightWithAll { .. } => "write data.chat.learn = \"assistant\", or take the weights out".to_owned(),
            Self::NotMessages { .. } => "name the column that holds conversations in data.columns.messages".to_owned(),
            Self::MessageShape { .. } => "rename its keys".to_owned(),
            Self::RoleUnknown { .. } => format!("roles: {}", list(&crate::speakers::ROLES.map(str::to_owned))),
            Self::ContentKind { .. } => "write it as a string".to_owned(),
            Self::ContentNotTaken { found: "a list of parts", .. } => {
                format!("join the texts of the parts to one string: \"content\": \"…\"; or give {own}")
            }
            Self::ContentNotTaken { .. } => format!("write \"content\": \"\"; or give {own}"),
            Self::NotTools { .. } => {
                "a tool is its JSON schema: {\"type\": \"function\", \"function\": {\"name\": …}}".to_owned()
            }
        })
    }
}

/// A turn that looks otherwise once others follow it.
pub(crate) const FOLLOWED: &str = "other messages follow it";
/// A turn that does not begin as its prompt ends.
pub(crate) const TO_COME: &str = "it is still to come";

/// Where a template comes from, for messages.
pub(crate) fn origin(file: Option<&PathBuf>, tokenizer: &str) -> String {
    file.map_or_else(|| format!("the chat template of {tokenizer}"), |file| file.display().to_string())
}

#[cfg(test)]
#[path = "chat_error_tests.rs"]
mod tests;
