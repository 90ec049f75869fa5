//! Conversations as prompts: what a chat model is given when it is to speak.
//!
//! Nothing is learnt of them, so a template may write a turn otherwise once others follow it, and a date that was not asked for
//! is today's, as in `transformers`.

use retune_roles::Message;

use crate::chat::Chat;
use crate::chat_spec::{ChatSpec, Learn};
use crate::conversation::{self, Conversation};
use crate::date::Date;
use crate::record::Record;
use crate::{Result, Tokenization};

/// A chat template and the tokenizer it belongs to.
pub struct ChatPrompt {
    chat: Chat,
}

impl ChatPrompt {
    /// With the template, the variables and the date of `spec`.
    ///
    /// # Errors
    /// There is no such template, or it cannot be compiled.
    pub fn new(spec: &ChatSpec, tokenization: &Tokenization) -> Result<Self> {
        let date = spec.date.clone().or_else(|| Some(Date::today().to_string()));
        let spec = ChatSpec { learn: Learn::All, date, ..spec.clone() };
        Ok(Self { chat: Chat::new(&spec, tokenization)? })
    }

    /// The tokens of `messages` and of the beginning of the assistant's next turn; `place` names them in errors.
    ///
    /// # Errors
    /// The template refuses them.
    pub fn ids(&self, messages: &[Message], place: &str) -> Result<Vec<u32>> {
        let messages = messages.iter().map(|m| conversation::Message::text(&m.role, &m.content)).collect();
        let conversation = Conversation { messages, tools: serde_json::Value::Null };
        Ok(self.chat.encode(&conversation, place, true)?.ids)
    }

    /// The same for the conversation in `column` of a row, with the tools in another one. Of one that ends with an answer, that
    /// answer is left out: it is asked for.
    ///
    /// # Errors
    /// The column holds no conversation, nobody asks anything in it, or the template refuses it.
    pub fn ids_of_row(&self, record: &Record, column: &str, tools: Option<&str>) -> Result<Vec<u32>> {
        let mut conversation = Conversation::read(record, column, tools, self.chat.weight())?;
        while conversation.messages.last().is_some_and(conversation::Message::is_assistant) {
            conversation.messages.pop();
        }
        conversation.messages.iter_mut().for_each(|message| message.weight = true);
        Ok(self.chat.encode(&conversation, &record.key, true)?.ids)
    }
}

impl std::fmt::Debug for ChatPrompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatPrompt").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use retune_roles::Tokenizer as _;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::TemplateRef;
    use crate::record::fields_of_json;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/chat")
    }

    fn prompt(template: &str) -> (ChatPrompt, Tokenization) {
        let tokenization = Tokenization::open(&folder()).unwrap();
        let spec = ChatSpec { template: Some(TemplateRef::File(folder().join(template))), ..ChatSpec::default() };
        (ChatPrompt::new(&spec, &tokenization).unwrap(), tokenization)
    }

    fn said(role: &str, content: &str) -> Message {
        Message { role: role.to_owned(), content: content.to_owned() }
    }

    fn text(ids: Vec<u32>, tokenization: &Tokenization) -> String {
        tokenization.decode(&[ids], false).unwrap().remove(0)
    }

    /// Qwen 3's template takes the reasoning out of earlier turns, which cannot be learnt and can be asked with.
    #[test]
    fn a_prompt_ends_where_the_assistant_begins_whether_or_not_the_template_nests() {
        let (chat, tokenization) = prompt("qwen3.jinja");
        let history = [said("user", "Hi"), said("assistant", "<think>\nhm\n</think>\n\nHo"), said("user", "Bye")];
        let text = text(chat.ids(&history, "here").unwrap(), &tokenization);
        assert!(text.ends_with("assistant\n") && text.contains("Bye") && text.contains("Ho"), "{text}");
        assert!(!text.contains("hm"), "{text}");
    }

    #[test]
    fn the_answer_of_a_row_is_left_out() {
        let (chat, tokenization) = prompt("chatml.jinja");
        let row = |messages: Json| {
            let fields = fields_of_json(&json!({ "messages": messages }).to_string(), String::new).unwrap();
            Record::new("chats.jsonl", 1, fields)
        };
        let asked = json!([{"role": "user", "content": "Hi"}]);
        let answered = json!([{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho", "weight": 0}]);
        let [asked, answered] = [asked, answered].map(|json| chat.ids_of_row(&row(json), "messages", None).unwrap());
        assert_eq!(asked, answered);
        assert!(text(asked, &tokenization).ends_with("assistant\n"));
    }
}
