//! Cleans text: markup remnants, Unicode forms, control characters, white space,
//! and length bounds with a reason for each row that falls outside.
//!
//! In this order: tags go and character references become characters ([`markup`]), the text
//! is brought to a normal form, control characters go, white space is folded,
//! and the characters that are left are counted. What a page shows is kept: `&lt;b&gt;` becomes `<b>`. So markup
//! goes once; everything after it changes nothing in a text that is clean.
//! Rows are independent of each other, so the host may cut batches as it likes and
//! keep the results.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod markup;

use std::borrow::Cow;

use retune_sdk::{BatchResult, Error, Preprocessor, PreprocessorContract, Result, Sample};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfkc_quick};

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

/// Cleans text, and drops rows whose length is out of bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The columns to clean: by default those the model reads.
    #[schemars(extend("x-from-recipe" = "input-columns"), length(min = 1))]
    pub fields: Vec<String>,
    /// The normal form of the result.
    pub unicode: Form,
    /// Fold runs of white space into one space, and trim.
    pub whitespace: bool,
    /// With `whitespace`, keep line breaks: runs that hold one become `\n`.
    pub keep_newlines: bool,
    /// Remove control, zero-width and direction characters.
    pub control: bool,
    /// Remove HTML tags and comments, and resolve character references.
    pub markup: bool,
    /// Reject rows of fewer characters, in all columns together, as `too-short`.
    pub min_chars: usize,
    /// Reject rows of more characters, in all columns together, as `too-long`.
    #[schemars(range(min = 1))]
    pub max_chars: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            fields: vec!["text".into()],
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
    /// The text, cleaned. The steps after the first can make work for one another (a letter and its accent meet when the
    /// control character between them goes), so they run until nothing changes.
    fn clean(&self, text: &str) -> String {
        let mut text = if self.config.markup { markup::strip(text).into_owned() } else { text.to_owned() };
        loop {
            let next = self.pass(&text);
            if next == text {
                return next;
            }
            text = next;
        }
    }

    /// Every step after markup, once.
    fn pass(&self, text: &str) -> String {
        let config = &self.config;
        let text: Cow<'_, str> = match config.unicode {
            Form::Nfc if is_nfc_quick(text.chars()) != IsNormalized::Yes => text.nfc().collect(),
            Form::Nfkc if is_nfkc_quick(text.chars()) != IsNormalized::Yes => text.nfkc().collect(),
            _ => Cow::Borrowed(text),
        };
        let text = if config.control { Cow::Owned(text.chars().filter(|c| !is_noise(*c)).collect()) } else { text };
        if config.whitespace { fold(&text, config.keep_newlines) } else { text.into_owned() }
    }

    /// Why a row of `count` characters, once cleaned, is dropped.
    fn fault(&self, count: usize) -> Option<&'static str> {
        match (count, self.config.max_chars) {
            (0, _) => Some("empty"),
            _ if count < self.config.min_chars => Some("too-short"),
            (count, Some(max)) if count > max => Some("too-long"),
            _ => None,
        }
    }
}

/// Characters nobody sees: controls other than white space; zero-width ones, marks of direction and other formats
/// (UAX #44, `Cf`), but for the joiners, the tags of flags and the signs that scripts show; and the replacement
/// character that a broken decoder leaves.
fn is_noise(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(
            c,
            '\u{AD}'
                | '\u{61C}'
                | '\u{180E}'
                | '\u{200B}'
                | '\u{200E}'
                | '\u{200F}'
                | '\u{202A}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{FFFD}'
                | '\u{E0001}'
        )
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
        if config.fields.is_empty() {
            return Err(Error::config("fields names no column: there is nothing to clean"));
        }
        if config.keep_newlines && !config.whitespace {
            return Err(Error::config("keep_newlines says how to fold white space, but whitespace is false"));
        }
        Ok(Self { config })
    }

    fn describe(&self) -> PreprocessorContract {
        let fields = self.config.fields.clone();
        PreprocessorContract { reads: fields.clone(), writes: fields, stateful: false, cacheable: true }
    }

    fn process(&mut self, batch: Vec<Sample>) -> Result<BatchResult> {
        let mut result = BatchResult::default();
        for (source, mut sample) in batch.into_iter().enumerate() {
            let mut count = 0;
            for field in &self.config.fields {
                let text = self.clean(sample.text(field)?);
                count += text.chars().count();
                sample.set(field, text);
            }
            match self.fault(count) {
                Some(reason) => result.reject(source, reason),
                None => result.keep(source, sample.fields),
            }
        }
        Ok(result)
    }
}

retune_sdk::export!(preprocessor: TextClean);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use retune_sdk::testing::{run_rows, texts};

    fn clean(config: Config, text: &str) -> Result<String, String> {
        let mut plugin = TextClean::new(config, 0).unwrap();
        let fates = run_rows(&mut plugin, &texts("text", &[text]), 1).unwrap();
        fates[0].text("text").map(String::from).ok_or_else(|| fates[0].reason().unwrap().into())
    }

    fn default(text: &str) -> String {
        clean(Config::default(), text).unwrap()
    }

    #[test]
    fn scraped_text_becomes_text() {
        assert_eq!(default("  <p>My&nbsp;card <b>hasn&#39;t</b>\r\n\tarrived</p>\u{0} "), "My card hasn't arrived");
        assert_eq!(default("zero\u{200B}width\u{FEFF}"), "zerowidth");
        assert_eq!(default("don&#146;t if a <b and c> d &Ntilde;&nbsp1"), "don’t if a <b and c> d Ñ 1");
    }

    #[test]
    fn marks_of_direction_go_and_joiners_stay() {
        for mark in "\u{61C}\u{200E}\u{200F}\u{202A}\u{202E}\u{2066}\u{2067}\u{2068}\u{2069}\u{2063}\u{FFF9}".chars() {
            assert_eq!(default(&format!("a{mark}b")), "ab", "{mark:?}");
        }
        assert_eq!(default("👩\u{200D}🔬 می\u{200C}خواهم"), "👩\u{200D}🔬 می\u{200C}خواهم");
    }

    #[test]
    fn decomposed_letters_become_one_and_compatible_ones_only_when_asked() {
        assert_eq!(default("cafe\u{301} ﬁne"), "café ﬁne");
        let nfkc = Config { unicode: Form::Nfkc, ..Config::default() };
        assert_eq!(clean(nfkc, "cafe\u{301} ﬁne Ａ①").unwrap(), "café fine A1");
        let none = Config { unicode: Form::None, ..Config::default() };
        assert_eq!(clean(none, "cafe\u{301}").unwrap(), "cafe\u{301}");
    }

    #[test]
    fn each_step_can_be_left_out() {
        let only = |whitespace, control, markup| {
            let config = Config { unicode: Form::None, whitespace, control, markup, ..Config::default() };
            clean(config, " <b>a</b>\u{1}  b ").unwrap()
        };
        assert_eq!(only(false, false, false), " <b>a</b>\u{1}  b ");
        assert_eq!(only(true, false, false), "<b>a</b>\u{1} b");
        assert_eq!(only(false, true, false), " <b>a</b>  b ");
        assert_eq!(only(false, false, true), " a\u{1}  b ");
    }

    #[test]
    fn lines_stay_when_they_are_asked_to() {
        let config = Config { keep_newlines: true, ..Config::default() };
        assert_eq!(clean(config, "\n\na  b \r\n\r\n  c\td\n").unwrap(), "a b\nc d");
    }

    #[test]
    fn rows_outside_the_bounds_are_dropped_with_the_reason() {
        let config = Config { min_chars: 3, max_chars: Some(5), ..Config::default() };
        let mut plugin = TextClean::new(config, 0).unwrap();
        let rows = texts("text", &["<p> </p>", "ab", "äöü", "abcde", "abcdef"]);
        let fates = run_rows(&mut plugin, &rows, 2).unwrap();
        let reasons: Vec<_> = fates.iter().map(|fate| fate.reason()).collect();
        assert_eq!(reasons, [Some("empty"), Some("too-short"), None, None, Some("too-long")]);
    }

    #[test]
    fn what_was_escaped_is_text_and_cleaning_it_again_without_markup_changes_nothing() {
        assert_eq!(default("write &lt;b&gt; for bold, &amp;lt; for &lt;"), "write <b> for bold, &lt; for <");
        for text in [
            "&amp;lt;b&amp;gt; x",
            "e\u{200B}\u{301} \u{FB01} <i>b</i>",
            "x ＜b＞ y",
            "x <\u{0}b> y",
            "1 &lt; 2 &amp;&amp; 3",
        ] {
            for unicode in [Form::Nfc, Form::Nfkc, Form::None] {
                let config = Config { unicode, ..Config::default() };
                let once = clean(config.clone(), text).unwrap();
                assert_eq!(clean(Config { markup: false, ..config }, &once).unwrap(), once, "{text:?} as {unicode:?}");
            }
        }
    }

    #[test]
    fn batches_and_other_columns_do_not_matter() {
        let mut rows = texts("text", &["a  b", "", "c", "<b>d</b>"]);
        rows[0].set("label", "x");
        let mut plugin = TextClean::new(Config::default(), 0).unwrap();
        let whole = run_rows(&mut plugin, &rows, 64).unwrap();
        assert_eq!(run_rows(&mut plugin, &rows, 1).unwrap(), whole);
        assert_eq!(plugin.process(rows).unwrap().outputs[0].fields[1].0, "label");
    }

    #[test]
    fn bounds_that_no_text_fits_are_refused() {
        let config = Config { min_chars: 10, max_chars: Some(5), ..Config::default() };
        let error = TextClean::new(config, 0).map(|_| ()).unwrap_err();
        assert_eq!(error.message, "max_chars is 5 and min_chars 10: no text fits between them");
        assert!(TextClean::new(Config { max_chars: Some(0), ..Config::default() }, 0).is_err());
    }

    #[test]
    fn a_field_that_is_missing_or_no_text_is_refused_by_its_row() {
        let mut plugin = TextClean::new(Config { fields: vec!["body".into()], ..Config::default() }, 0).unwrap();
        let error = plugin.process(texts("text", &["a"])).unwrap_err();
        assert_eq!(error.message, "test:1 has no field `body`; it has `text`");
    }

    #[test]
    fn every_column_is_cleaned_and_lengths_are_those_of_all_together() {
        let config = Config { fields: vec!["text".into(), "pair".into()], min_chars: 4, ..Config::default() };
        let row = |text: &str, pair: &str| {
            let mut row = texts("text", &[text]).remove(0);
            row.set("pair", pair);
            row
        };
        let rows = [row(" a&amp;b", "<p>c</p>"), row("ab", "c"), row("", " "), row("", "abcd")];
        let mut plugin = TextClean::new(config, 0).unwrap();
        let fates = run_rows(&mut plugin, &rows, 4).unwrap();
        assert_eq!((fates[0].text("text"), fates[0].text("pair")), (Some("a&b"), Some("c")));
        let reasons: Vec<_> = fates.iter().map(|fate| fate.reason()).collect();
        assert_eq!(reasons, [None, Some("too-short"), Some("empty"), None]);
        let error = TextClean::new(Config { fields: vec![], ..Config::default() }, 0).map(|_| ()).unwrap_err();
        assert_eq!(error.message, "fields names no column: there is nothing to clean");
    }

    /// Text made of the pieces that the steps work on, in every order.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[<>&;/!#\"'=-]{1,3}",
            "[a-zA-Z0-9é]{1,3}",
            "[ \t\r\n\u{A0}\u{2028}]{1,2}",
            "[\u{0}\u{1}\u{200B}\u{200D}\u{301}\u{FEFF}\u{FB01}＜＞]",
            prop::sample::select(vec![
                "<b>",
                "</p>",
                "<!--",
                "-->",
                "<script>",
                "</script>",
                "&lt;",
                "&amp;",
                "&#x3C;",
                "<a x='"
            ])
            .prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_comes_cleaning_ends_and_cleaning_again_changes_nothing(
            text in prop_oneof![pieces(), any::<String>()],
            form in prop::sample::select(vec![Form::Nfc, Form::Nfkc, Form::None]),
        ) {
            let plugin = |markup| TextClean::new(Config { unicode: form, markup, ..Config::default() }, 0).unwrap();
            let once = plugin(true).clean(&text);
            prop_assert_eq!(plugin(false).clean(&once), once.clone());
            prop_assert!(!once.chars().any(is_noise));
            prop_assert!(!once.contains("  ") && once.trim() == once);
        }

        #[test]
        fn a_text_that_was_written_into_a_page_is_read_back(text in prop_oneof![pieces(), any::<String>()]) {
            let plugin = |markup| TextClean::new(Config { markup, ..Config::default() }, 0).unwrap();
            prop_assert_eq!(plugin(true).clean(&htmlize::escape_text(&text)), plugin(false).clean(&text));
        }
    }
}
