//! Text to tokens, with the tokenizer the model is trained with.
//!
//! For preprocessors. Under `cargo test` there is a stand-in that makes a token of each word:
//! [`testing::use_words`](crate::testing::use_words) brings it.

use crate::Result;

#[cfg(target_arch = "wasm32")]
use crate::bindings::host::retune::plugin::tokenizer as backend;
#[cfg(not(target_arch = "wasm32"))]
use crate::mock::tokenizer as backend;

/// One text, tokenised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Bytes `(from, to)` of each token in its text.
    pub offsets: Vec<(u32, u32)>,
    /// True for tokens that the tokenizer added.
    pub special: Vec<bool>,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// The run's tokenizer.
pub struct Tokenizer(backend::Tokenizer);

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tokenizer").field(&self.name()).finish()
    }
}

/// Bytes of text that go to the host in one call. It takes 4 MiB.
const TEXT: usize = 1 << 20;

/// Token ids that go to the host in one call. It takes a million.
const IDS: usize = 1 << 18;

/// `items` in runs whose lengths come to about `most`; a longer item is a run of its own.
fn parts<T>(items: &[T], most: usize, length: fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut sum = 0;
        let fits = |item: &&T| {
            // The host counts something for each item, however short it is.
            sum += length(item) + 32;
            sum <= most
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (part, after) = rest.split_at(count);
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

/// The tokenizer of this run.
///
/// # Errors
/// `unsupported` when the plugin runs without a model.
pub fn current() -> Result<Tokenizer> {
    Ok(Tokenizer(backend::current()?))
}

impl Tokenizer {
    /// Its name, for messages.
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// The number of tokens it knows, added ones included.
    pub fn vocab_size(&self) -> u32 {
        self.0.vocab_size()
    }

    /// The id of a token.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.0.token_id(token)
    }

    /// The token of an id.
    pub fn token_text(&self, id: u32) -> Option<String> {
        self.0.token_text(id)
    }

    /// The id that starts a text.
    pub fn bos(&self) -> Option<u32> {
        self.0.bos()
    }

    /// The id that ends a text.
    pub fn eos(&self) -> Option<u32> {
        self.0.eos()
    }

    /// The id that fills a batch up.
    pub fn pad(&self) -> Option<u32> {
        self.0.pad()
    }

    /// The tokens of each text. Give it many at once: the call costs more than a token.
    /// A single text of more than 4 MiB traps.
    ///
    /// # Errors
    /// When the tokenizer cannot do it.
    pub fn encode(&self, texts: &[String], add_special: bool) -> Result<Vec<Encoding>> {
        let mut all = Vec::with_capacity(texts.len());
        for part in parts(texts, TEXT, String::len) {
            all.extend(self.0.encode(part, add_special)?.into_iter().map(Encoding::from));
        }
        Ok(all)
    }

    /// The number of tokens of each text, without special ones.
    ///
    /// # Errors
    /// When the tokenizer cannot do it.
    pub fn count(&self, texts: &[String]) -> Result<Vec<u32>> {
        let mut all = Vec::with_capacity(texts.len());
        for part in parts(texts, TEXT, String::len) {
            all.extend(self.0.count(part)?);
        }
        Ok(all)
    }

    /// The text of each list of ids.
    ///
    /// # Errors
    /// When an id is none of this tokenizer's.
    pub fn decode(&self, ids: &[Vec<u32>], skip_special: bool) -> Result<Vec<String>> {
        let mut all = Vec::with_capacity(ids.len());
        for part in parts(ids, IDS, Vec::len) {
            all.extend(self.0.decode(part, skip_special)?);
        }
        Ok(all)
    }

    /// A conversation in the template that the run uses, and which tokens an assistant said.
    ///
    /// # Errors
    /// `unsupported` where the tokenizer has no template; `input` for a conversation that the template refuses, or of which
    /// it cannot be told who said what.
    pub fn apply_chat_template(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<(Encoding, Vec<bool>)> {
        let messages: Vec<_> = messages.iter().cloned().map(Into::into).collect();
        let (encoding, said) = self.0.apply_chat_template(&messages, add_generation_prompt)?;
        Ok((encoding.into(), said))
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn a_list_goes_to_the_host_in_parts_that_it_takes_and_in_order() {
        let texts: Vec<String> = [10, 50, 100, 1_000, 0, 0, 0].map(|n| "x".repeat(n)).into();
        let lengths = |most| -> Vec<Vec<usize>> {
            parts(&texts, most, String::len).map(|part| part.iter().map(String::len).collect()).collect()
        };
        assert_eq!(lengths(128), [vec![10, 50], vec![100], vec![1_000], vec![0, 0, 0]]);
        assert_eq!(lengths(1 << 20).len(), 1);
        assert_eq!(lengths(0).len(), texts.len());
        assert_eq!(parts(&[], 10, String::len).count(), 0);
    }
}
