//! What can be said of conversations before a row is read, and what somebody should know before training.

use retune_roles::TaskKind;

use crate::chat_spec::{ChatSpec, Learn};
use crate::date::Date;
use crate::report::SplitReport;
use crate::spec::{DataSpec, Layout};
use crate::{DataError, Result};

/// Names that a template is given anyway.
pub const TAKEN: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];

/// Refuses what can never work.
///
/// # Errors
/// Names the key as a recipe spells it.
pub fn check(spec: &DataSpec) -> Result<()> {
    let refuse = |key: &str, value: &str, expected: &str| {
        Err(DataError::Spec { key: key.to_owned(), value: value.to_owned(), expected: expected.to_owned() })
    };
    let columns = &spec.columns;
    let Some(chat) = &spec.chat else {
        return match (&columns.messages, &columns.tools) {
            (Some(column), _) => refuse("data.columns.messages", column, "a `data.chat` beside it"),
            (None, Some(column)) => refuse("data.columns.tools", column, "a `messages` column beside it"),
            (None, None) => Ok(()),
        };
    };
    if spec.task != TaskKind::CausalLm {
        return refuse("data.chat", "given", &format!("nothing, for a {}", spec.task));
    }
    if spec.layout == Layout::Blocks {
        return refuse("data.layout", "blocks", "rows, for conversations");
    }
    match (&columns.messages, &columns.completion, &columns.prompt) {
        (Some(_), Some(completion), _) => {
            return refuse("data.columns.completion", completion, "nothing, beside `messages`");
        }
        (Some(messages), None, _) if chat.wrap => {
            return refuse("data.columns.messages", messages, "prompt and completion, for `data.chat.wrap`");
        }
        (None, None, _) | (None, Some(_), None) => {
            return refuse("data.chat", "given", "a `messages` column, or prompt and completion with wrap = true");
        }
        (None, Some(_), Some(_)) if !chat.wrap => {
            return refuse("data.chat.wrap", "false", "true, for prompt and completion");
        }
        _ => {}
    }
    values(chat)
}

fn values(chat: &ChatSpec) -> Result<()> {
    let refuse = |key: &str, value: &str, expected: &str| {
        Err(DataError::Spec { key: key.to_owned(), value: value.to_owned(), expected: expected.to_owned() })
    };
    if let Some(name) = chat.variables.keys().find(|name| TAKEN.contains(&name.as_str())) {
        return refuse(
            "data.chat.variables",
            &format!("{{ {name} = … }}"),
            "other names than those every template has",
        );
    }
    match chat.date.as_deref().filter(|date| Date::parse(date).is_none()) {
        Some(date) => refuse("data.chat.date", date, "a day like 2026-11-26"),
        None => Ok(()),
    }
}

/// What the numbers of a split of conversations give cause to say.
pub fn warnings(split: &SplitReport, chat: &ChatSpec) -> Vec<String> {
    let mut said = Vec::new();
    let rows = |count: u64| format!("{count} row{} of {}", if count == 1 { "" } else { "s" }, split.split);
    if split.unended > 0 {
        said.push(format!(
            "in {} the end token of a turn is not learnt: the model does not learn when to stop; put it inside \
             {{% generation %}}, or let the template write one",
            rows(split.unended)
        ));
    }
    if split.control > 0 {
        said.push(format!(
            "in {} a message holds the text of a control token, which is read as that token; take it out, unless it is meant",
            rows(split.control)
        ));
    }
    if split.silent > 0 {
        said.push(format!(
            "in {} a turn of the assistant that is learnt says nothing: the model learns to answer so; take the turn out, or give \
             it {} = 0",
            rows(split.silent),
            chat.weight
        ));
    }
    if split.listed > 0 {
        said.push(format!(
            "in {} a message's content is a list of parts, and the template writes it as a list, brackets and all; join the texts of \
             the parts to one string, or give a template that takes parts: data.chat.template",
            rows(split.listed)
        ));
    }
    if chat.learn != Learn::All && split.rows > 0 && split.all_learnt == split.rows {
        said.push(format!(
            "every token of every row of {} is learnt, also what users say; data.chat.learn = \"assistant\" learns the answers",
            split.split
        ));
    }
    said
}

#[cfg(test)]
#[path = "chat_check_tests.rs"]
mod tests;
