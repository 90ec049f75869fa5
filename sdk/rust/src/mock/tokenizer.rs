//! A tokenizer for tests: every word of a list is a token, any other is the last one, `<unk>`.

use std::cell::RefCell;

use crate::Error;
pub use crate::tokenizer::{Encoding, Message};

thread_local! {
    static WORDS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Makes [`current`] give a tokenizer of these words, on this thread.
pub fn set(words: &[&str]) {
    WORDS.set(Some(words.iter().map(|word| (*word).to_owned()).chain(["<unk>".to_owned()]).collect()));
}

pub struct Tokenizer(Vec<String>);

pub fn current() -> Result<Tokenizer, Error> {
    WORDS
        .with_borrow(Clone::clone)
        .map(Tokenizer)
        .ok_or_else(|| Error::unsupported("this run has no tokenizer; in a test, `testing::use_words` brings one"))
}

impl Tokenizer {
    pub fn name(&self) -> String {
        "words".into()
    }

    pub fn vocab_size(&self) -> u32 {
        self.0.len() as u32
    }

    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.0.iter().position(|word| word == token).map(|id| id as u32)
    }

    pub fn token_text(&self, id: u32) -> Option<String> {
        self.0.get(id as usize).cloned()
    }

    pub fn bos(&self) -> Option<u32> {
        None
    }

    pub fn eos(&self) -> Option<u32> {
        None
    }

    pub fn pad(&self) -> Option<u32> {
        None
    }

    pub fn encode(&self, texts: &[String], _add_special: bool) -> Result<Vec<Encoding>, Error> {
        Ok(texts.iter().map(|text| self.one(text)).collect())
    }

    fn one(&self, text: &str) -> Encoding {
        let mut encoding = Encoding::default();
        for word in text.split_whitespace() {
            let from = (word.as_ptr() as usize - text.as_ptr() as usize) as u32;
            encoding.ids.push(self.token_id(word).unwrap_or(self.vocab_size() - 1));
            encoding.offsets.push((from, from + word.len() as u32));
            encoding.special.push(false);
        }
        encoding
    }

    pub fn count(&self, texts: &[String]) -> Result<Vec<u32>, Error> {
        Ok(texts.iter().map(|text| text.split_whitespace().count() as u32).collect())
    }

    pub fn decode(&self, ids: &[Vec<u32>], _skip_special: bool) -> Result<Vec<String>, Error> {
        let word = |id: &u32| self.token_text(*id).ok_or_else(|| Error::input(format!("there is no token {id}")));
        ids.iter().map(|ids| Ok(ids.iter().map(word).collect::<Result<Vec<_>, _>>()?.join(" "))).collect()
    }

    pub fn apply_chat_template(&self, _: &[Message], _: bool) -> Result<(Encoding, Vec<bool>), Error> {
        Err(Error::unsupported("the tokenizer of words has no chat template"))
    }
}

#[cfg(test)]
mod tests {
    use crate::{testing, tokenizer};

    #[test]
    fn words_are_tokens_there_and_back() {
        assert_eq!(tokenizer::current().unwrap_err().kind, crate::ErrorKind::Unsupported);
        testing::use_words(&["my", "card"]);
        let words = tokenizer::current().unwrap();
        let encoding = words.encode(&["my new  card".into()], true).unwrap().remove(0);
        assert_eq!(encoding.ids, [0, 2, 1]);
        assert_eq!(encoding.offsets, [(0, 2), (3, 6), (8, 12)]);
        assert_eq!(words.decode(&[encoding.ids], false).unwrap(), ["my <unk> card"]);
        assert_eq!(words.count(&["a b c".into()]).unwrap(), [3]);
    }
}
