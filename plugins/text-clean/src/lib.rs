//! Cleans text: markup remnants, Unicode forms, control characters, white space,
//! and length bounds with a reason for each row that falls outside.
//!
//! In this order: tags go and entities become characters ([`markup`]), the text
//! is brought to a normal form, control characters go, white space is folded,
//! and the characters that are left are counted. Cleaning what is clean changes nothing.
//! Rows are independent of each other, so the host may cut batches as it likes and
//! keep the results.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod markup;

use std::borrow::Cow;

use retune_sdk::{BatchResult, Error, Preprocessor, PreprocessorContract, Result, Sample};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, is_nfc_quick, is_nfkc_quick, IsNormalized};

/// A Unicode normal form (UAX #15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Composed: `e` and a combining acute become `é`.
    Nfc,
    /// Composed, and compatible forms made one: `ﬁ` becomes `fi`, `Ａ` becomes `A`.
    Nfkc,
    /// As it came.
    None,
}

/// The settings of [`TextClean`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The field that holds the text.
    pub field: String,
    /// The normal form of the result.
    pub unicode: Form,
    /// Fold runs of white space into one space, and trim.
    pub whitespace: bool,
    /// With `whitespace`, keep line breaks: runs that hold one become `\n`.
    pub keep_newlines: bool,
    /// Remove control and zero-width characters.
    pub control: bool,
    /// Remove HTML tags and comments, and decode entities.
    pub markup: bool,
    /// Reject rows of fewer characters, as `too-short`.
    pub min_chars: usize,
    /// Reject rows of more characters, as `too-long`.
    #[schemars(range(min = 1))]
    pub max_chars: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            field: "text".into(),
            unicode: Form::Nfc,
            whitespace: true,
            keep_newlines: false,
            control: true,
            markup: true,
            min_chars: 1,
            max_chars: None,
        }
    }
}

/// Cleans text.
pub struct TextClean {
    config: Config,
}

impl TextClean {
    /// The text, cleaned.
    fn clean(&self, text: &str) -> String {
        let config = &self.config;
        let text = if config.markup { markup::strip(text) } else { Cow::Borrowed(text) };
        let text = match config.unicode {
            Form::Nfc if is_nfc_quick(text.chars()) != IsNormalized::Yes => text.nfc().collect(),
            Form::Nfkc if is_nfkc_quick(text.chars()) != IsNormalized::Yes => text.nfkc().collect(),
            _ => text,
        };
        let text = if config.control { Cow::Owned(text.chars().filter(|c| !is_noise(*c)).collect()) } else { text };
        if config.whitespace { fold(&text, config.keep_newlines) } else { text.into_owned() }
    }

    /// Why a cleaned text is dropped.
    fn fault(&self, text: &str) -> Option<&'static str> {
        let count = text.chars().count();
        match (count, self.config.max_chars) {
            (0, _) => Some("empty"),
            _ if count < self.config.min_chars => Some("too-short"),
            (count, Some(max)) if count > max => Some("too-long"),
            _ => None,
        }
    }
}

/// Characters nobody sees: controls other than white space, zero-width ones, the byte order mark,
/// and the replacement character that a broken decoder leaves.
fn is_noise(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(c, '\u{200B}' | '\u{2060}' | '\u{FEFF}' | '\u{00AD}' | '\u{FFFD}' | '\u{200E}' | '\u{200F}')
        || ('\u{202A}'..='\u{202E}').contains(&c)
}

/// One space for each run of white space, or one line break where the run holds one.
fn fold(text: &str, keep_newlines: bool) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut gap = None;
    for c in text.chars() {
        if c.is_whitespace() {
            let breaks = keep_newlines && matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}' | '\u{85}');
            gap = if breaks { Some('\n') } else { gap.or(Some(' ')) };
        } else {
            if let Some(space) = gap.take().filter(|_| !folded.is_empty()) {
                folded.push(space);
            }
            folded.push(c);
        }
    }
    folded
}

impl Preprocessor for TextClean {
    type Config = Config;

    fn new(config: Config, _seed: u64) -> Result<Self> {
        if let Some(max) = config.max_chars.filter(|max| *max < config.min_chars.max(1)) {
            let min = config.min_chars;
            return Err(Error::config(format!("max_chars is {max} and min_chars {min}: no text fits between them")));
        }
        if config.keep_newlines && !config.whitespace {
            return Err(Error::config("keep_newlines says how to fold white space, but whitespace is false"));
        }
        Ok(Self { config })
    }

    fn describe(&self) -> PreprocessorContract {
        let field = vec![self.config.field.clone()];
        PreprocessorContract { reads: field.clone(), writes: field, stateful: false, cacheable: true }
    }

    fn process(&mut self, batch: Vec<Sample>) -> Result<BatchResult> {
        let mut result = BatchResult::default();
        for (source, mut sample) in batch.into_iter().enumerate() {
            let text = self.clean(sample.text(&self.config.field)?);
            match self.fault(&text) {
                Some(reason) => result.reject(source, reason),
                None => {
                    sample.set(&self.config.field, text);
                    result.keep(source, sample.fields);
                }
            }
        }
        Ok(result)
    }
}

retune_sdk::export!(preprocessor: TextClean);
