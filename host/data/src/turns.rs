//! Which bytes of a rendered conversation are learnt.
//!
//! A template that has `{% generation %}` says it itself. Of any other, a turn is what stands between the conversation up
//! to it with the assistant's prompt, and the conversation up to and with it. Both must be a beginning of the whole text:
//! a template that writes a turn otherwise once others follow it (one that takes reasoning out, say) would have the
//! model learn what it is never asked for, and is refused. Price: two more renderings for each turn that is learnt.

use std::ops::Range;

use minijinja::Value;

use crate::chat_error::{ChatError, FOLLOWED, TO_COME};
use crate::chat_spec::Learn;
use crate::conversation::Message;
use crate::template::{Rendered, Template, Trouble};

/// A conversation that was rendered.
pub(crate) struct Turns<'a> {
    /// What rendered it.
    pub template: &'a Template,
    /// Its messages.
    pub messages: &'a [Message],
    /// The same, as the template sees them.
    pub values: &'a [Value],
    /// Its tools, as the template sees them.
    pub tools: &'a Value,
    /// The text ends with the prompt of the next turn.
    pub prompt: bool,
    /// The whole text.
    pub rendered: &'a Rendered,
    /// Names the row.
    pub place: &'a str,
}

/// A stretch that is learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Bytes of the text.
    pub bytes: Range<usize>,
    /// It was found between two beginnings of the text, the first of which is what the model is given when it is to speak.
    pub prompted: bool,
}

impl Turns<'_> {
    /// The turns that are learnt, in order.
    ///
    /// # Errors
    /// What is asked for cannot be honoured for this conversation or template.
    pub fn learnt(&self, learn: Learn) -> Result<Vec<Turn>, ChatError> {
        if learn == Learn::All {
            if let Some(at) = self.messages.iter().position(|message| !message.weight) {
                return Err(ChatError::WeightWithAll { place: self.place.to_owned(), message: at + 1 });
            }
            return Ok(vec![Turn { bytes: 0..self.rendered.text.len(), prompted: false }]);
        }
        let assistants: Vec<usize> = (0..self.messages.len()).filter(|&at| self.messages[at].is_assistant()).collect();
        let wanted: Vec<usize> = match (learn, self.messages.last()) {
            (Learn::Last, Some(last)) if !last.is_assistant() => {
                return Err(ChatError::LastNotAssistant { place: self.place.to_owned(), role: last.role.clone() });
            }
            (Learn::Last, _) => assistants.last().copied().into_iter().collect(),
            _ => assistants.clone(),
        };
        let wanted: Vec<usize> = wanted.into_iter().filter(|&at| self.messages[at].weight).collect();
        if self.template.marks() { self.marked(&assistants, &wanted) } else { self.between(&wanted) }
    }

    /// Those that the template marks.
    fn marked(&self, assistants: &[usize], wanted: &[usize]) -> Result<Vec<Turn>, ChatError> {
        let marks = &self.rendered.generated;
        let turn = |bytes: &Range<usize>| Turn { bytes: bytes.clone(), prompted: false };
        if wanted == assistants {
            return Ok(marks.iter().map(turn).collect());
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        if marks.len() != assistants.len() {
            let place = self.place.to_owned();
            return Err(ChatError::MarksDiffer { place, marks: marks.len(), turns: assistants.len() });
        }
        let each = assistants.iter().zip(marks);
        Ok(each.filter(|(at, _)| wanted.contains(at)).map(|(_, bytes)| turn(bytes)).collect())
    }

    /// Those between two beginnings of the text.
    fn between(&self, wanted: &[usize]) -> Result<Vec<Turn>, ChatError> {
        let mut turns = Vec::with_capacity(wanted.len());
        for &at in wanted {
            let start = self.beginning(at, at, true, TO_COME)?;
            let end = if at + 1 == self.messages.len() && !self.prompt {
                self.rendered.text.len()
            } else {
                self.beginning(at, at + 1, false, FOLLOWED)?
            };
            if end < start {
                return Err(self.not_nested(at, FOLLOWED));
            }
            turns.push(Turn { bytes: start..end, prompted: true });
        }
        Ok(turns)
    }

    /// The length of the first `count` messages, which must be rendered as the whole begins.
    fn beginning(&self, at: usize, count: usize, prompt: bool, when: &'static str) -> Result<usize, ChatError> {
        match self.template.render(&self.values[..count], self.tools, prompt) {
            Ok(part) if self.rendered.text.starts_with(&part.text) => Ok(part.text.len()),
            Err(Trouble::Undated) => Err(trouble(Trouble::Undated, self.place)),
            // A template may refuse a conversation that is cut there, or fail on none at all.
            _ => Err(self.not_nested(at, when)),
        }
    }

    fn not_nested(&self, at: usize, when: &'static str) -> ChatError {
        let role = self.messages[at].role.clone();
        ChatError::NotNested { place: self.place.to_owned(), message: at + 1, role, when }
    }
}

/// What went wrong with a template, said of a row.
pub(crate) fn trouble(trouble: Trouble, place: &str) -> ChatError {
    let place = place.to_owned();
    match trouble {
        Trouble::Raised(message) => ChatError::TemplateRefuses { place, message },
        Trouble::Undated => ChatError::Undated { today: crate::date::Date::today().to_string() },
        Trouble::Syntax { line, reason } | Trouble::Failed { line, reason } => {
            ChatError::TemplateFails { place, line, reason }
        }
        Trouble::Reserved(character) => ChatError::Reserved { place, character },
    }
}
