//! Tokens to text as they come.
//!
//! What a token adds depends on the tokens before it, and a character may take several. So a few tokens that were given out already
//! are decoded again with each new one, and what ends in an unfinished character waits.

use retune_roles::{Refusal, Tokenizer};

/// The text of tokens, piece by piece.
pub struct TextStream<'a> {
    tokenizer: &'a dyn Tokenizer,
    skip_special: bool,
    /// Of the last pieces that were given out, and what waits.
    ids: Vec<u32>,
    /// How many of them were given out, and their text.
    given: usize,
    text: String,
}

impl<'a> TextStream<'a> {
    /// Nothing yet; with `skip_special`, without the text of tokens that are no text.
    pub fn new(tokenizer: &'a dyn Tokenizer, skip_special: bool) -> Self {
        Self { tokenizer, skip_special, ids: Vec::new(), given: 0, text: String::new() }
    }

    /// What `id` adds; nothing while a character is not complete. An id that the tokenizer does not know adds nothing.
    ///
    /// # Errors
    /// The tokenizer refuses it.
    pub fn push(&mut self, id: u32) -> Result<String, Refusal> {
        if self.tokenizer.token_text(id).is_none() {
            return Ok(String::new());
        }
        self.ids.push(id);
        let text = self.decoded(&self.ids)?;
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        self.give(&text)
    }

    /// What still waits: of a character that was never completed, its replacement.
    ///
    /// # Errors
    /// The tokenizer refuses it.
    pub fn end(&mut self) -> Result<String, Refusal> {
        let text = self.decoded(&self.ids)?;
        self.give(&text)
    }

    fn give(&mut self, text: &str) -> Result<String, Refusal> {
        let Some(added) = text.strip_prefix(self.text.as_str()) else {
            // A decoder that changes what stands before: what is new begins where the two part.
            let same = text.char_indices().zip(self.text.chars()).find(|((_, a), b)| a != b);
            let added = same.map_or("", |((at, _), _)| &text[at..]).to_owned();
            self.advance()?;
            return Ok(added);
        };
        let added = added.to_owned();
        if !added.is_empty() {
            self.advance()?;
        }
        Ok(added)
    }

    /// What was given out last stays as the beginning of what comes.
    fn advance(&mut self) -> Result<(), Refusal> {
        self.ids.drain(..self.given);
        self.given = self.ids.len();
        self.text = self.decoded(&self.ids)?;
        Ok(())
    }

    fn decoded(&self, ids: &[u32]) -> Result<String, Refusal> {
        let texts = self.tokenizer.decode(&[ids.to_vec()], self.skip_special)?;
        Ok(texts.into_iter().next().unwrap_or_default())
    }
}

/// Whether a text that grows holds one of several texts that end it.
pub(super) struct StopStrings<'a> {
    stops: &'a [String],
    stream: TextStream<'a>,
    /// The end of the text, as much as a stop string may begin in.
    tail: String,
}

impl<'a> StopStrings<'a> {
    /// Behind the tokens of `prompt`, in which a stop string may begin.
    pub fn new(stops: &'a [String], tokenizer: &'a dyn Tokenizer, prompt: &[u32]) -> Result<Self, Refusal> {
        let longest = stops.iter().map(String::len).max().unwrap_or(0);
        let mut all = Self { stops, stream: TextStream::new(tokenizer, false), tail: String::new() };
        // A token is at least a byte of text, but for special ones.
        for id in &prompt[prompt.len().saturating_sub(longest)..] {
            all.tail.push_str(&all.stream.push(*id)?);
        }
        all.shorten();
        Ok(all)
    }

    /// The stop string that the token completes.
    pub fn push(&mut self, id: u32) -> Result<Option<String>, Refusal> {
        let before = self.tail.len();
        self.tail.push_str(&self.stream.push(id)?);
        let complete = |stop: &&String| {
            let from = (before + 1).saturating_sub(stop.len());
            let from = (0..=from).rev().find(|at| self.tail.is_char_boundary(*at)).unwrap_or(0);
            self.tail[from..].match_indices(stop.as_str()).any(|(at, _)| from + at + stop.len() > before)
        };
        let found = self.stops.iter().find(complete).cloned();
        self.shorten();
        Ok(found)
    }

    fn shorten(&mut self) {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let from = self.tail.len().saturating_sub(longest);
        let from = (0..=from).rev().find(|at| self.tail.is_char_boundary(*at)).unwrap_or(0);
        self.tail.drain(..from);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use retune_roles::{Encoding, Message};

    use super::*;

    /// Tokens are bytes; 256 is special, and 257 is not known.
    struct Bytes;

    impl Tokenizer for Bytes {
        fn name(&self) -> &str {
            "bytes"
        }
        fn vocab_size(&self) -> u32 {
            257
        }
        fn token_id(&self, _: &str) -> Option<u32> {
            None
        }
        fn token_text(&self, id: u32) -> Option<String> {
            (id < 257).then(|| "token".to_owned())
        }
        fn bos(&self) -> Option<u32> {
            None
        }
        fn eos(&self) -> Option<u32> {
            None
        }
        fn pad(&self) -> Option<u32> {
            None
        }
        fn encode(&self, _: &[String], _: bool) -> Result<Vec<Encoding>, Refusal> {
            Ok(Vec::new())
        }
        fn decode(&self, ids: &[Vec<u32>], skip_special: bool) -> Result<Vec<String>, Refusal> {
            let bytes = |id: &u32| match id {
                256 if skip_special => Vec::new(),
                256 => b"<end>".to_vec(),
                id => vec![*id as u8],
            };
            let text =
                |ids: &Vec<u32>| String::from_utf8_lossy(&ids.iter().flat_map(bytes).collect::<Vec<u8>>()).into_owned();
            Ok(ids.iter().map(text).collect())
        }
        fn apply_chat_template(&self, _: &[Message], _: bool) -> Result<(Encoding, Vec<bool>), Refusal> {
            Ok((Encoding { ids: Vec::new(), offsets: Vec::new(), special: Vec::new() }, Vec::new()))
        }
    }

    fn tokens(text: &str) -> impl Iterator<Item = u32> {
        text.bytes().map(u32::from)
    }

    #[test]
    fn a_character_comes_when_it_is_complete() {
        let mut stream = TextStream::new(&Bytes, true);
        let pieces: Vec<String> = tokens("a🌍é").chain([257, 256]).map(|id| stream.push(id).unwrap()).collect();
        assert_eq!(pieces, ["a", "", "", "", "🌍", "", "é", "", ""]);
        assert_eq!(stream.end().unwrap(), "");
        // What is never completed comes at the end, and a byte that begins nothing as soon as another follows.
        let pieces: Vec<String> = [0xc3, 0x28, 0xe2].iter().map(|id| stream.push(*id).unwrap()).collect();
        assert_eq!((pieces.concat(), stream.end().unwrap()), ("\u{fffd}(".to_owned(), "\u{fffd}".to_owned()));
        assert_eq!(stream.end().unwrap(), "");
    }

    #[test]
    fn special_tokens_are_text_when_they_are_asked_for() {
        let mut stream = TextStream::new(&Bytes, false);
        let pieces: Vec<String> =
            tokens("a").chain([256]).chain(tokens("b")).map(|id| stream.push(id).unwrap()).collect();
        assert_eq!(pieces, ["a", "<end>", "b"]);
    }

    /// The tokens of `text` until one completes a stop string, and which.
    fn stopped(stops: &[&str], prompt: &str, text: &str) -> Option<(String, String)> {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let prompt: Vec<u32> = tokens(prompt).collect();
        let mut watch = StopStrings::new(&stops, &Bytes, &prompt).unwrap();
        for (at, id) in tokens(text).enumerate() {
            if let Some(stop) = watch.push(id).unwrap() {
                return Some((text[..=at].to_owned(), stop));
            }
        }
        None
    }

    #[test]
    fn a_stop_string_ends_where_it_is_complete_and_may_begin_in_the_prompt() {
        let found = |text: &str, stop: &str| Some((text.to_owned(), stop.to_owned()));
        assert_eq!(stopped(&["User:", "\n\n"], "Hi", "Well.\nUser: go"), found("Well.\nUser:", "User:"));
        assert_eq!(stopped(&["\n\n"], "Hi\n", "\nWell"), found("\n", "\n\n"));
        assert_eq!(stopped(&["Hi"], "Hi", "ho Hi"), found("ho Hi", "Hi"));
        assert_eq!(stopped(&["ü!"], "", "für über ü!"), found("für über ü!", "ü!"));
        assert_eq!(stopped(&["aab"], "", "aaab"), found("aaab", "aab"));
        assert_eq!(stopped(&["End"], "", "endless"), None);
        assert!(StopStrings::new(&["<end>".to_owned()], &Bytes, &[]).unwrap().push(256).unwrap().is_some());
    }
}
