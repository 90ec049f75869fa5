//! Conversations to tokens: rendered by the model's own template, with the tokens that are learnt.
//!
//! The text a template writes is all of the row: it brings its own start and end tokens, so the tokenizer adds none. A token
//! is learnt when a character of it is. Of a turn that the template does not mark itself, the end token is the last that
//! is learnt, because nothing is asked of the model behind it.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use minijinja::value::Serde;
use retune_roles::Tokenizer as _;
use tokenizers::Tokenizer;

use crate::chat_error::{ChatError, origin};
use crate::chat_spec::{ChatSpec, Learn, TemplateRef};
use crate::control::Controls;
use crate::conversation::{Conversation, PARTS};
use crate::date::Date;
use crate::python;
use crate::stack::deep;
use crate::template::{Rendered, Template, Trouble};
use crate::templates::{self, Templates};
use crate::tokenizer_file::{encode, encode_fast};
use crate::turns::{Turn, Turns, trouble};
use crate::{DataError, Result, Tokenization};

/// Turns conversations into tokens; shared by all threads.
pub(crate) struct Chat {
    spec: ChatSpec,
    template: Template,
    /// For conversations with tools, where the tokenizer has one and none was asked for.
    tool_use: Option<Template>,
    tokenizer: Tokenizer,
    /// Tokens that end a turn: all that are special.
    special: HashSet<u32>,
    controls: Controls,
}

/// A conversation as tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Encoded {
    /// The rendered text.
    pub text: String,
    /// Its tokens.
    pub ids: Vec<u32>,
    /// Bytes of the text, for each token.
    pub offsets: Vec<(usize, usize)>,
    /// Those that are learnt, ascending.
    pub learnt: Vec<Range<u32>>,
    /// The first token of a turn begins before the turn, or the prompt alone has other tokens.
    pub seam: bool,
    /// The end token of a turn is not learnt.
    pub unended: bool,
    /// A message holds a control token.
    pub control: bool,
    /// A turn of the assistant that is learnt says nothing.
    pub silent: bool,
    /// The template writes a list of parts as a list.
    pub listed: bool,
}

impl Chat {
    /// Compiles what `spec` asks for.
    ///
    /// # Errors
    /// There is no template, or it cannot be compiled.
    pub fn new(spec: &ChatSpec, tokenization: &Tokenization) -> Result<Self> {
        let (name, templates) = (tokenization.name().to_owned(), tokenization.templates());
        let date = spec.date.as_deref().and_then(Date::parse);
        let mut constants: BTreeMap<String, minijinja::Value> = tokenization
            .special_tokens()
            .iter()
            .map(|(role, token)| (role.clone(), minijinja::Value::from(token.as_str())))
            .collect();
        constants.extend(spec.variables.iter().map(|(name, json)| (name.clone(), minijinja::Value::from(Serde(json)))));
        let file = match &spec.template {
            Some(TemplateRef::File(file)) => Some(file),
            _ => None,
        };
        let compile = |text: &str| {
            Template::new(text, constants.clone(), date).map_err(|wrong| match wrong {
                Trouble::Syntax { line, reason } | Trouble::Failed { line, reason } => {
                    ChatError::TemplateBroken { template: origin(file, &name), line, reason }
                }
                other => trouble(other, &name),
            })
        };
        let named = |wanted: &str| {
            templates.get(wanted).ok_or_else(|| {
                let available = templates.names();
                if available.is_empty() && spec.template.is_none() {
                    return ChatError::NoTemplate { tokenizer: name.clone() };
                }
                let nearest = retune_roles::nearest::nearest(wanted, available.iter().map(String::as_str));
                let nearest = nearest.map(str::to_owned);
                ChatError::TemplateUnknown { tokenizer: name.clone(), name: wanted.to_owned(), nearest, available }
            })
        };
        let template = match &spec.template {
            None => compile(named(Templates::DEFAULT)?)?,
            Some(TemplateRef::Name(wanted)) => compile(named(wanted)?)?,
            Some(TemplateRef::File(file)) => compile(&templates::read(file).map_err(|e| DataError::io(file, &e))?)?,
        };
        let own = spec.template.is_none();
        let tool_use = templates.get(Templates::TOOL_USE).filter(|_| own).map(compile).transpose()?;
        let special = tokenization.special_ids().chain(tokenization.eos()).collect();
        let controls = Controls::new(tokenization.special_texts());
        let tokenizer = tokenization.cutting(None, false)?;
        Ok(Self { spec: spec.clone(), template, tool_use, tokenizer, special, controls })
    }

    /// The field of a message that says whether it is learnt.
    pub fn weight(&self) -> &str {
        &self.spec.weight
    }

    /// The tokens of a conversation; `place` names it in errors, `prompt` asks for the beginning of the next turn behind it.
    ///
    /// # Errors
    /// The template refuses it, or what is learnt of it cannot be told.
    pub fn encode(&self, conversation: &Conversation, place: &str, prompt: bool) -> Result<Encoded> {
        if conversation.messages.is_empty() {
            return Ok(Encoded::default());
        }
        // On one thread for all that is rendered of it; without one each says so.
        let encoded = deep(|| self.rendered(conversation, place, prompt));
        encoded.unwrap_or_else(|| self.rendered(conversation, place, prompt))
    }

    fn rendered(&self, conversation: &Conversation, place: &str, prompt: bool) -> Result<Encoded> {
        let template = match &self.tool_use {
            Some(template) if !conversation.tools.is_null() => template,
            _ => &self.template,
        };
        let told = |wrong| trouble(wrong, place);
        let values: Vec<minijinja::Value> = conversation
            .messages
            .iter()
            .map(|m| template.value(&m.fields))
            .collect::<std::result::Result<_, _>>()
            .map_err(told)?;
        let tools = template.value(&conversation.tools).map_err(told)?;
        let rendered =
            template.render(&values, &tools, prompt).map_err(|wrong| unwritten(conversation, wrong, place))?;
        let listed = listed(conversation, &values, &rendered.text);
        let turns = Turns {
            template,
            messages: &conversation.messages,
            values: &values,
            tools: &tools,
            prompt,
            rendered: &rendered,
            place,
        };
        let turns = turns.learnt(self.spec.learn)?;
        let control = conversation.messages.iter().any(|message| self.controls.within(&message.fields));
        let mut learnt = conversation.messages.iter().rev().filter(|message| message.is_assistant());
        let silent = match self.spec.learn {
            Learn::Last => learnt.next().is_some_and(|message| message.weight && message.is_silent()),
            Learn::Assistant => learnt.any(|message| message.weight && message.is_silent()),
            Learn::All => false,
        };
        Ok(Encoded { control, silent, listed, ..self.tokens(rendered, &turns, place)? })
    }

    fn tokens(&self, rendered: Rendered, turns: &[Turn], place: &str) -> Result<Encoded> {
        let refused = |e: tokenizers::Error| DataError::Tokenize { place: place.to_owned(), reason: e.to_string() };
        let text = rendered.text;
        let encoding = encode(&self.tokenizer, text.as_str(), false).map_err(refused)?;
        let (ids, offsets) = (encoding.get_ids().to_vec(), encoding.get_offsets().to_vec());
        let mut made = Encoded { text, ids, offsets, ..Encoded::default() };
        for turn in turns {
            let Some(mut tokens) = within(&turn.bytes, &made.offsets) else { continue };
            let end = self.end(&made, &tokens, turn.bytes.end);
            if turn.prompted {
                tokens.end = end.unwrap_or(tokens.end);
                made.seam |= !self.begins(&made, tokens.start as usize, turn.bytes.start).map_err(refused)?;
            }
            made.unended |= self.spec.learn != Learn::All && end.is_none();
            match made.learnt.last_mut() {
                Some(last) if last.end >= tokens.start => last.end = last.end.max(tokens.end),
                _ => made.learnt.push(tokens),
            }
        }
        Ok(made)
    }

    /// The end of a turn behind its end token; none where something else than space follows that, or there is none.
    fn end(&self, made: &Encoded, tokens: &Range<u32>, end: usize) -> Option<u32> {
        let last = tokens.clone().rev().find(|&at| self.special.contains(&made.ids[at as usize]));
        let behind = |at: u32| made.text.get(made.offsets[at as usize].1..end).unwrap_or("x");
        last.filter(|&at| behind(at).trim().is_empty()).map(|at| at + 1)
    }

    /// Whether the text before the byte `start` alone has the tokens that stand before the token `first`. Special tokens
    /// part a text into pieces that do not influence each other, so only the last piece is tokenised again.
    fn begins(&self, made: &Encoded, first: usize, start: usize) -> std::result::Result<bool, tokenizers::Error> {
        let from = (0..first).rev().find(|&at| self.special.contains(&made.ids[at])).unwrap_or(0);
        let byte = made.offsets.get(from).map_or(0, |offset| offset.0);
        let Some(piece) = made.text.get(byte..start) else { return Ok(false) };
        let alone = encode_fast(&self.tokenizer, piece, false)?;
        Ok(alone.get_ids() == &made.ids[from..first])
    }
}

/// What went wrong with a template, and where a message has no text that it could write, that.
fn unwritten(conversation: &Conversation, wrong: Trouble, place: &str) -> ChatError {
    let mut odd =
        conversation.messages.iter().enumerate().filter_map(|(at, message)| Some((at + 1, message.odd_content()?)));
    match (wrong, odd.next()) {
        (Trouble::Failed { line, reason }, Some((message, found))) => {
            let reason = format!("line {line}: {reason}");
            ChatError::ContentNotTaken { place: place.to_owned(), message, found, reason }
        }
        (wrong, _) => trouble(wrong, place),
    }
}

/// Whether a list of parts stands in the text as Python prints a list, which nobody means.
fn listed(conversation: &Conversation, values: &[minijinja::Value], text: &str) -> bool {
    let printed = |value: &minijinja::Value| python::shown(&value.get_attr("content").ok()?).ok()?;
    let mut lists =
        conversation.messages.iter().zip(values).filter(|(message, _)| message.odd_content() == Some(PARTS));
    lists.any(|(_, value)| printed(value).is_some_and(|printed| text.contains(&printed)))
}

/// The tokens with a character in `bytes`, from the first to the last of them.
fn within(bytes: &Range<usize>, offsets: &[(usize, usize)]) -> Option<Range<u32>> {
    let inside = |&(from, to): &(usize, usize)| to > bytes.start && from < bytes.end && to > from;
    let first = offsets.iter().position(inside)?;
    let last = offsets.iter().rposition(inside)?;
    Some(first as u32..last as u32 + 1)
}

#[cfg(test)]
#[path = "chat_tests.rs"]
mod tests;
