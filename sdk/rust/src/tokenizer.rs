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
    ///
    /// # Errors
    /// When the tokenizer cannot do it.
    pub fn encode(&self, texts: &[String], add_special: bool) -> Result<Vec<Encoding>> {
        Ok(self.0.encode(texts, add_special)?.into_iter().map(Into::into).collect())
    }

    /// The number of tokens of each text, without special ones.
    ///
    /// # Errors
    /// When the tokenizer cannot do it.
    pub fn count(&self, texts: &[String]) -> Result<Vec<u32>> {
        Ok(self.0.count(texts)?)
    }

    /// The text of each list of ids.
    ///
    /// # Errors
    /// When an id is none of this tokenizer's.
    pub fn decode(&self, ids: &[Vec<u32>], skip_special: bool) -> Result<Vec<String>> {
        Ok(self.0.decode(ids, skip_special)?)
    }

    /// A conversation in the model's own template, and which tokens an assistant said.
    ///
    /// # Errors
    /// `unsupported` when the model comes without a template.
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
