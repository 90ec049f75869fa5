//! A tokenised row, before rows become examples.
//!
//! This is what is written to the file of prepared rows: everything about a row that later steps need,
//! and nothing of its text but a digest.

use std::ops::Range;

use sha2::{Digest, Sha256};

/// One row after preprocessing and tokenising.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Key of the record.
    pub key: String,
    /// The line of the file it came from; rows of one line stay together in a split.
    pub line: Option<u64>,
    /// Token ids; special tokens are part of them.
    pub input_ids: Vec<u32>,
    /// Segment of each token, or empty for all zero.
    pub token_type_ids: Vec<u8>,
    /// Tokens that are learnt, as ascending ranges that do not touch: all of a text, what follows a prompt, turns.
    pub learnt: Vec<Range<u32>>,
    /// The label, for rows of which one is read.
    pub label: Option<String>,
    /// What the words of a row are labelled with, where words are.
    pub tags: Option<Tags>,
    /// What is learnt of the row besides one label.
    pub several: Option<Several>,
    /// The extra columns.
    pub extra: Vec<f32>,
    /// Digest of the text as it was tokenised: equal texts, equal digests.
    pub text: [u8; 16],
    /// Digest of what stands in the column that rows are grouped by.
    pub group: Option<[u8; 16]>,
    /// Tokens were cut off.
    pub truncated: bool,
    /// The start token stands twice.
    pub doubled_bos: bool,
    /// The text made no token of its own.
    pub empty: bool,
    /// The seam between prompt and completion falls inside a token.
    pub seam: bool,
    /// The end token of a turn is not learnt, although the turn was not cut.
    pub unended: bool,
    /// A message holds a control token.
    pub control: bool,
    /// A turn of the assistant that is learnt says nothing.
    pub silent: bool,
    /// The template writes a list of parts as a list.
    pub listed: bool,
}

/// In a tag: the token is not the first piece of its word.
pub const FURTHER: i32 = 1 << 30;

/// The tags of a row's tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// Names of the tags of this row, each once; without names, numbers are those of words.
    pub names: Vec<String>,
    /// For each token the number of its word's tag among `names`, with [`FURTHER`] set where it is not the word's first piece, or
    /// -100 for a token of no word.
    pub numbers: Vec<i32>,
    /// Words without a token: cut off, or made of nothing that the tokenizer keeps.
    pub lost: u32,
}

impl Tags {
    /// The place among `names` of the tag of a token.
    pub fn in_names(&self, tag: i32) -> Option<usize> {
        usize::try_from(tag & !FURTHER).ok().filter(|_| tag >= 0 && !self.names.is_empty())
    }
}

/// What a row teaches that is more than one label.
#[derive(Clone, Debug, PartialEq)]
pub enum Several {
    /// Any number of labels, each once.
    Labels(Vec<String>),
    /// Numbers.
    Values(Vec<f32>),
}

impl Row {
    /// How many tokens of this row, alone, are a target of a causal language model's loss. The first token
    /// is never one: nothing stands before it.
    pub fn trained_tokens(&self) -> usize {
        self.learnt.iter().map(|range| range.end.saturating_sub(range.start.max(1)) as usize).sum()
    }

    /// What is learnt, where that is all from the token `first` on.
    pub fn learn_from(&mut self, first: u32) {
        let end = self.input_ids.len() as u32;
        self.learnt = std::iter::once(first..end).filter(|range| !range.is_empty()).collect();
    }

    /// Cuts the row to `length` tokens, and what is learnt with it; `left` cuts its beginning.
    pub fn cut(&mut self, length: usize, left: bool) {
        let over = self.input_ids.len().saturating_sub(length);
        if over == 0 {
            return;
        }
        self.truncated = true;
        let gone = if left { over as u32 } else { 0 };
        if left {
            self.input_ids.drain(..over);
        } else {
            self.input_ids.truncate(length);
        }
        let end = length as u32;
        let moved =
            |range: &Range<u32>| range.start.saturating_sub(gone).min(end)..range.end.saturating_sub(gone).min(end);
        self.learnt = self.learnt.iter().map(moved).filter(|range| !range.is_empty()).collect();
    }
}

/// The digest of a text and what stands beside it.
pub fn text_digest(text: &str, second: Option<&str>) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
    hash.update(second.unwrap_or_default());
    let full = hash.finalize();
    let mut digest = [0; 16];
    digest.copy_from_slice(&full[..16]);
    digest
}
