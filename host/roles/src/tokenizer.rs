//! Text to tokens, with the tokenizer the model is trained with.

use crate::Refusal;

/// One text, tokenised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Byte range of each token in the input.
    pub offsets: Vec<(u32, u32)>,
    /// True for tokens the tokenizer added itself.
    pub special: Vec<bool>,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user`, `assistant`.
    pub role: String,
    /// The text.
    pub content: String,
}

/// The run's tokenizer, as preprocessors see it.
pub trait Tokenizer: Send + Sync {
    /// Name for messages.
    fn name(&self) -> &str;
    /// Size with added tokens.
    fn vocab_size(&self) -> u32;
    /// Id of a token.
    fn token_id(&self, token: &str) -> Option<u32>;
    /// Text of an id.
    fn token_text(&self, id: u32) -> Option<String>;
    /// Start-of-text token.
    fn bos(&self) -> Option<u32>;
    /// End-of-text token.
    fn eos(&self) -> Option<u32>;
    /// Padding token.
    fn pad(&self) -> Option<u32>;
    /// One encoding a text.
    fn encode(&self, texts: &[String], add_special: bool) -> Result<Vec<Encoding>, Refusal>;
    /// One text an id list.
    fn decode(&self, ids: &[Vec<u32>], skip_special: bool) -> Result<Vec<String>, Refusal>;
    /// The model's chat template applied, and the mask of assistant tokens.
    fn apply_chat_template(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<(Encoding, Vec<bool>), Refusal>;
}
