//! One record to one tokenised row.
//!
//! Classification: the text, or the pair, with the tokenizer's special tokens, cut at `max_length`.
//! Causal language model: the text and, when it was not cut, the end token. A prompt and a
//! completion are tokenised as one text, so that the tokens are those of the whole; every token with a
//! character of the completion is learnt. A conversation is [`Chat`]'s. Masked language model: the text with its special tokens;
//! learnt are those that may be hidden. Token classification: words, see [`tags`]. In the layout `blocks` nothing is cut here.

use std::collections::HashSet;

use retune_roles::{TaskKind, Tokenizer as _, Value};
use tokenizers::EncodeInput;

use crate::chat::Chat;
use crate::chat_check;
use crate::conversation::{Conversation, Message};
use crate::record::Record;
use crate::room::{self, Room};
use crate::row::{Row, text_digest};
use crate::spec::DataSpec;
use crate::tokenizer_file::{encode, encode_fast};
use crate::{DataError, Result, Tokenization};
use crate::{several, tags};

/// The reason of a row that has no token for the loss.
pub const NOTHING_TO_LEARN: &str = "nothing-to-learn";

/// The reason of a conversation of which all that is learnt lies behind `max_length`.
pub const CUT_AWAY: &str = "answers-cut-away";

/// Reason of a row that a classifier cannot read: its text gives no token, not even a special one.
pub const NO_TOKENS: &str = "no-tokens";

/// Turns records into rows; shared by all threads.
pub struct Encoder<'a> {
    spec: &'a DataSpec,
    /// What is read besides the text.
    reads: Reads,
    tokenizer: tokenizers::Tokenizer,
    /// For rows that are conversations.
    chat: Option<Chat>,
    cuts_left: bool,
    /// Tokens that are never hidden.
    special: HashSet<u32>,
    /// Words are tokenised with the space before them.
    spaced: bool,
    bos: Option<u32>,
    eos: Option<u32>,
    /// Columns whose text is tokenised, and the room there is for it.
    texts: Vec<String>,
    room: Room,
}

/// What is read of a row besides its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// The label column, which every row must then fill.
    pub label: bool,
    /// The column by which rows are grouped for a split.
    pub group: bool,
}

impl<'a> Encoder<'a> {
    /// An encoder for `spec`.
    ///
    /// # Errors
    /// `max_length` leaves no room beside the special tokens, or conversations cannot be rendered.
    pub fn new(spec: &'a DataSpec, tokenization: &Tokenization, reads: Reads) -> Result<Self> {
        let cut = spec.layout.cuts_rows().then_some(spec.max_length);
        let tokenizer = tokenization.cutting(cut, spec.columns.text_pair.is_some())?;
        chat_check::check(spec)?;
        let chat = spec.chat.as_ref().map(|chat| Chat::new(chat, tokenization)).transpose()?;
        let (bos, eos, cuts_left) = (tokenization.bos(), tokenization.eos(), tokenization.cuts_left());
        let special = match spec.task {
            TaskKind::MaskedLm => tokenization.special_ids().collect(),
            _ => HashSet::new(),
        };
        let spaced = tokenization.words_bring_spaces();
        let (texts, room) = (room::texts(&spec.columns), Room::default());
        Ok(Self { spec, reads, tokenizer, chat, cuts_left, special, spaced, bos, eos, texts, room })
    }

    /// The columns that a row must have after preprocessing, each with the recipe's key for it.
    pub fn columns(&self) -> Vec<(String, String)> {
        let columns = &self.spec.columns;
        let mut needed = Vec::new();
        match (&columns.messages, &columns.completion) {
            _ if self.spec.task == TaskKind::TokenClassification => {
                needed.extend(columns.tokens.iter().map(|tokens| (tokens.clone(), "data.columns.tokens".to_owned())));
                let tags = columns.tags.iter().filter(|_| self.reads.label);
                needed.extend(tags.map(|tags| (tags.clone(), "data.columns.tags".to_owned())));
            }
            (Some(messages), _) => {
                needed.push((messages.clone(), "data.columns.messages".to_owned()));
                needed.extend(columns.tools.iter().map(|tools| (tools.clone(), "data.columns.tools".to_owned())));
            }
            (None, Some(completion)) => {
                if let Some(prompt) = &columns.prompt {
                    needed.push((prompt.clone(), "data.columns.prompt".to_owned()));
                }
                needed.push((completion.clone(), "data.columns.completion".to_owned()));
            }
            (None, None) => needed.push((columns.text.clone(), "data.columns.text".to_owned())),
        }
        if let Some(pair) = &columns.text_pair {
            needed.push((pair.clone(), "data.columns.text_pair".to_owned()));
        }
        if let Some(label) = self.label_column() {
            needed.push((label.to_owned(), "data.columns.label".to_owned()));
        }
        if self.reads_several() {
            needed.extend(several::columns(columns).into_iter().map(|(column, key)| (column, key.to_owned())));
        }
        if let Some(group) = self.group_column() {
            needed.push((group.to_owned(), "data.group_by".to_owned()));
        }
        needed.extend(self.spec.extra_columns.iter().map(|c| (c.clone(), "data.extra_columns".to_owned())));
        needed
    }

    /// Whether any number of labels, or numbers, are read of a row.
    fn reads_several(&self) -> bool {
        let task = self.spec.task;
        self.reads.label && matches!(task, TaskKind::MultiLabelClassification | TaskKind::Regression)
    }

    fn label_column(&self) -> Option<&str> {
        let of_row = self.reads.label && !self.reads_several() && self.spec.task != TaskKind::TokenClassification;
        self.spec.columns.label.as_deref().filter(|_| of_row)
    }

    fn group_column(&self) -> Option<&str> {
        self.spec.group_by.as_deref().filter(|_| self.reads.group)
    }

    /// Tokenises one record.
    ///
    /// # Errors
    /// A column is missing or of the wrong kind, or there is too much text.
    pub fn row(&self, record: &Record) -> Result<Row> {
        let _room = self.room.take(record, &self.texts)?;
        let mut row = match self.spec.task {
            TaskKind::SequenceClassification | TaskKind::MultiLabelClassification | TaskKind::Regression => {
                self.texts(record)?
            }
            TaskKind::TokenClassification => self.words(record)?,
            TaskKind::MaskedLm => self.maskable(record)?,
            TaskKind::CausalLm => match &self.chat {
                Some(chat) => self.conversation(record, chat)?,
                None => self.document(record)?,
            },
        };
        if let Some(column) = self.label_column() {
            row.label = Some(record.label(column)?);
        }
        if self.reads_several() {
            row.several = Some(several::read(record, &self.spec.columns, self.spec.task)?);
        }
        if let Some(column) = self.group_column() {
            row.group = Some(text_digest(&record.text(column, "data.group_by")?, None));
        }
        for column in &self.spec.extra_columns {
            row.extra.push(record.number(column, "data.extra_columns")?);
        }
        row.doubled_bos = self.bos.is_some_and(|bos| row.input_ids.starts_with(&[bos, bos]));
        Ok(row)
    }

    fn texts(&self, record: &Record) -> Result<Row> {
        let text = record.text(&self.spec.columns.text, "data.columns.text")?;
        let second = match &self.spec.columns.text_pair {
            Some(column) => Some(record.text(column, "data.columns.text_pair")?),
            None => None,
        };
        let digest = text_digest(&text, second.as_deref());
        let input: EncodeInput<'_> = match second {
            Some(second) => (text, second).into(),
            None => text.into(),
        };
        let encoding = encode_fast(&self.tokenizer, input, true).map_err(|e| refused(record, e))?;
        Ok(row(record, digest, &encoding))
    }

    /// Words, with their tags where these are read.
    fn words(&self, record: &Record) -> Result<Row> {
        let columns = &self.spec.columns;
        let column = columns.tokens.as_deref().unwrap_or_default();
        let words = tags::words(record, column)?;
        let names = match columns.tags.as_deref().filter(|_| self.reads.label) {
            Some(tags) => Some(tags::tags(record, tags, (column, words.len()))?),
            None => None,
        };
        let (digest, count) = (text_digest(&words.join(" "), None), words.len());
        let words: Vec<String> = match self.spaced {
            // What a tokenizer of bytes does with `add_prefix_space`, which words by themselves need there.
            true => words.iter().map(|word| format!(" {word}")).collect(),
            false => words,
        };
        // The fast way does not say which word a token is of.
        let encoding = encode(&self.tokenizer, words, true).map_err(|e| refused(record, e))?;
        let mut row = row(record, digest, &encoding);
        row.tags = Some(tags::aligned(encoding.get_word_ids(), count, names));
        Ok(row)
    }

    /// A text with its special tokens, of which all others may be hidden.
    fn maskable(&self, record: &Record) -> Result<Row> {
        let text = record.text(&self.spec.columns.text, "data.columns.text")?;
        let digest = text_digest(&text, None);
        let encoding = encode_fast(&self.tokenizer, text, true).map_err(|e| refused(record, e))?;
        let mut row = row(record, digest, &encoding);
        let plain = |(at, id): (usize, &u32)| encoding.get_special_tokens_mask()[at] == 0 && !self.special.contains(id);
        let hidden: Vec<bool> = row.input_ids.iter().enumerate().map(plain).collect();
        let mut at = 0;
        for run in hidden.chunk_by(|one, other| one == other) {
            let end = at + run.len() as u32;
            if run[0] {
                row.learnt.push(at..end);
            }
            at = end;
        }
        Ok(row)
    }

    fn document(&self, record: &Record) -> Result<Row> {
        let columns = &self.spec.columns;
        let Some(completion) = &columns.completion else {
            let text = record.text(&columns.text, "data.columns.text")?;
            let digest = text_digest(&text, None);
            let encoding = encode_fast(&self.tokenizer, text, true).map_err(|e| refused(record, e))?;
            let mut row = row(record, digest, &encoding);
            self.end(&mut row);
            row.learn_from(0);
            return Ok(row);
        };
        let prompt = self.prompt(record)?;
        let completion = record.text(completion, "data.columns.completion")?;
        let digest = text_digest(&prompt, Some(&completion));
        let seam = prompt.len();
        let encoding = encode(&self.tokenizer, prompt + &completion, true).map_err(|e| refused(record, e))?;
        let mut row = row(record, digest, &encoding);
        // Offsets are bytes of the joined text; tokens that the tokenizer added itself have none.
        let special = encoding.get_special_tokens_mask();
        let own = |&(at, &(from, to)): &(usize, &(usize, usize))| special[at] == 0 && to > seam && to > from;
        match encoding.get_offsets().iter().enumerate().find(own) {
            Some((first, &(from, _))) => {
                row.seam = from < seam;
                self.end(&mut row);
                row.learn_from(if seam == 0 { 0 } else { first as u32 });
            }
            None => {
                row.empty = true;
                self.end(&mut row);
            }
        }
        Ok(row)
    }

    fn prompt(&self, record: &Record) -> Result<String> {
        match &self.spec.columns.prompt {
            Some(column) if record.get(column) == Some(&Value::Null) => Ok(String::new()),
            Some(column) => record.text(column, "data.columns.prompt"),
            None => Ok(String::new()),
        }
    }

    /// A conversation, or a prompt and a completion as one.
    fn conversation(&self, record: &Record, chat: &Chat) -> Result<Row> {
        let columns = &self.spec.columns;
        let conversation = match (&columns.messages, &columns.completion) {
            (Some(column), _) => Conversation::read(record, column, columns.tools.as_deref(), chat.weight())?,
            (None, completion) => {
                let completion = record.text(completion.as_deref().unwrap_or_default(), "data.columns.completion")?;
                let messages =
                    vec![Message::text("user", &self.prompt(record)?), Message::text("assistant", &completion)];
                Conversation { messages, tools: serde_json::Value::Null }
            }
        };
        let made = chat.encode(&conversation, &record.key, false)?;
        let mut row = Row {
            key: record.key.clone(),
            line: record.line,
            text: text_digest(&made.text, None),
            empty: made.ids.is_empty(),
            input_ids: made.ids,
            learnt: made.learnt,
            seam: made.seam,
            unended: made.unended,
            control: made.control,
            silent: made.silent,
            listed: made.listed,
            ..Row::default()
        };
        row.cut(self.spec.max_length, self.cuts_left);
        Ok(row)
    }

    /// Adds the end token to a text that was not cut; a text that leaves no room for it counts as cut.
    fn end(&self, row: &mut Row) {
        let Some(eos) = self.eos else { return };
        if row.truncated || row.input_ids.last() == Some(&eos) {
            return;
        }
        if self.spec.layout.cuts_rows() && row.input_ids.len() >= self.spec.max_length {
            row.truncated = true;
            return;
        }
        row.input_ids.push(eos);
        if !row.token_type_ids.is_empty() {
            row.token_type_ids.push(0);
        }
    }
}

fn row(record: &Record, text: [u8; 16], encoding: &tokenizers::Encoding) -> Row {
    let types = encoding.get_type_ids();
    let token_type_ids =
        if types.iter().any(|&t| t != 0) { types.iter().map(|&t| t as u8).collect() } else { Vec::new() };
    Row {
        key: record.key.clone(),
        line: record.line,
        input_ids: encoding.get_ids().to_vec(),
        token_type_ids,
        text,
        truncated: !encoding.get_overflowing().is_empty(),
        empty: encoding.get_special_tokens_mask().iter().all(|&mask| mask == 1),
        ..Row::default()
    }
}

fn refused(record: &Record, error: tokenizers::Error) -> DataError {
    DataError::Tokenize { place: record.key.clone(), reason: error.to_string() }
}

#[cfg(test)]
#[path = "tokenize_tests.rs"]
mod tests;
