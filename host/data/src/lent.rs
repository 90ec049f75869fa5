//! The run's tokenizer as it is lent to plugins: with the chat template that the run uses.

use std::sync::{Arc, OnceLock};

use retune_roles::{Encoding, ErrorKind, Message, Refusal, Tokenizer};

use crate::Tokenization;
use crate::chat::Chat;
use crate::chat_spec::{ChatSpec, Learn};
use crate::conversation::{self, Conversation};

/// A tokenizer and its template, which is compiled when it is first asked for.
pub struct LentTokenizer {
    tokenization: Arc<Tokenization>,
    spec: ChatSpec,
    chat: OnceLock<Result<Chat, Refusal>>,
}

impl LentTokenizer {
    /// `tokenization` with the template, variables and date of `spec`; without one, with its own template. A plugin is told
    /// what the assistant said whatever the run learns of it.
    pub fn new(tokenization: Arc<Tokenization>, spec: Option<&ChatSpec>) -> Self {
        let spec = ChatSpec { learn: Learn::Assistant, ..spec.cloned().unwrap_or_default() };
        Self { tokenization, spec, chat: OnceLock::new() }
    }
}

fn refusal(kind: ErrorKind, error: &crate::DataError) -> Refusal {
    let help = error.help().map(|help| format!(" ({help})")).unwrap_or_default();
    Refusal::new(kind, format!("{error}{help}"))
}

impl Tokenizer for LentTokenizer {
    fn name(&self) -> &str {
        self.tokenization.name()
    }

    fn vocab_size(&self) -> u32 {
        self.tokenization.vocab_size()
    }

    fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenization.token_id(token)
    }

    fn token_text(&self, id: u32) -> Option<String> {
        self.tokenization.token_text(id)
    }

    fn bos(&self) -> Option<u32> {
        self.tokenization.bos()
    }

    fn eos(&self) -> Option<u32> {
        self.tokenization.eos()
    }

    fn pad(&self) -> Option<u32> {
        self.tokenization.pad()
    }

    fn encode(&self, texts: &[String], add_special: bool) -> Result<Vec<Encoding>, Refusal> {
        self.tokenization.encode(texts, add_special)
    }

    fn decode(&self, ids: &[Vec<u32>], skip_special: bool) -> Result<Vec<String>, Refusal> {
        self.tokenization.decode(ids, skip_special)
    }

    fn apply_chat_template(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<(Encoding, Vec<bool>), Refusal> {
        let compile = || Chat::new(&self.spec, &self.tokenization).map_err(|e| refusal(ErrorKind::Unsupported, &e));
        let chat = self.chat.get_or_init(compile).as_ref().map_err(Clone::clone)?;
        if messages.is_empty() {
            return Err(Refusal::new(ErrorKind::Input, "a conversation has at least one message"));
        }
        let messages = messages.iter().map(|m| conversation::Message::text(&m.role, &m.content)).collect();
        let conversation = Conversation { messages, tools: serde_json::Value::Null };
        let made = chat
            .encode(&conversation, "the conversation", add_generation_prompt)
            .map_err(|e| refusal(ErrorKind::Input, &e))?;
        let mut said = vec![false; made.ids.len()];
        for range in &made.learnt {
            said[range.start as usize..range.end as usize].fill(true);
        }
        let offsets = made.offsets.iter().map(|&(from, to)| (from as u32, to as u32)).collect();
        let special = vec![false; made.ids.len()];
        Ok((Encoding { ids: made.ids, offsets, special }, said))
    }
}
