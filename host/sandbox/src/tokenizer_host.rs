//! The contract's `tokenizer` interface over the run's tokenizer.

use std::sync::Arc;

use retune_roles::{Message, Refusal, Tokenizer};
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::bindings::host::{tokenizer, types};
use crate::state::{State, guarded};

/// What a tokenizer handle points to: nothing of its own, the run has one.
pub struct CurrentTokenizer;

type R = Resource<CurrentTokenizer>;
type Answer<T> = Result<std::result::Result<T, types::Error>>;

impl State {
    fn tokenizer(&self, handle: &R) -> Result<Arc<dyn Tokenizer>> {
        self.table.get(handle)?;
        self.tokenizer.clone().ok_or_else(|| wasmtime::format_err!("the run has no tokenizer"))
    }

    fn tokenize<T>(
        &mut self,
        handle: &R,
        operation: impl FnOnce(&dyn Tokenizer) -> std::result::Result<T, Refusal>,
    ) -> Answer<T> {
        let tokenizer = self.tokenizer(handle)?;
        Ok(guarded("tokenizer", || operation(&*tokenizer))?.map_err(crate::convert::error_of))
    }
}

fn encoding(encoding: retune_roles::Encoding) -> tokenizer::Encoding {
    tokenizer::Encoding { ids: encoding.ids, offsets: encoding.offsets, special: encoding.special }
}

impl tokenizer::HostTokenizer for State {
    fn name(&mut self, t: R) -> Result<String> {
        Ok(self.tokenizer(&t)?.name().to_owned())
    }
    fn vocab_size(&mut self, t: R) -> Result<u32> {
        Ok(self.tokenizer(&t)?.vocab_size())
    }
    fn token_id(&mut self, t: R, token: String) -> Result<Option<u32>> {
        Ok(self.tokenizer(&t)?.token_id(&token))
    }
    fn token_text(&mut self, t: R, id: u32) -> Result<Option<String>> {
        Ok(self.tokenizer(&t)?.token_text(id))
    }
    fn bos(&mut self, t: R) -> Result<Option<u32>> {
        Ok(self.tokenizer(&t)?.bos())
    }
    fn eos(&mut self, t: R) -> Result<Option<u32>> {
        Ok(self.tokenizer(&t)?.eos())
    }
    fn pad(&mut self, t: R) -> Result<Option<u32>> {
        Ok(self.tokenizer(&t)?.pad())
    }

    fn encode(&mut self, t: R, texts: Vec<String>, add_special: bool) -> Answer<Vec<tokenizer::Encoding>> {
        self.tokenize(&t, |tokenizer| Ok(tokenizer.encode(&texts, add_special)?.into_iter().map(encoding).collect()))
    }
    fn count(&mut self, t: R, texts: Vec<String>) -> Answer<Vec<u32>> {
        self.tokenize(&t, |tokenizer| {
            let encodings = tokenizer.encode(&texts, false)?;
            Ok(encodings.iter().map(|e| u32::try_from(e.ids.len()).unwrap_or(u32::MAX)).collect())
        })
    }
    fn decode(&mut self, t: R, ids: Vec<Vec<u32>>, skip_special: bool) -> Answer<Vec<String>> {
        self.tokenize(&t, |tokenizer| tokenizer.decode(&ids, skip_special))
    }
    fn apply_chat_template(
        &mut self,
        t: R,
        messages: Vec<tokenizer::Message>,
        add_generation_prompt: bool,
    ) -> Answer<(tokenizer::Encoding, Vec<bool>)> {
        let messages: Vec<Message> =
            messages.into_iter().map(|m| Message { role: m.role, content: m.content }).collect();
        self.tokenize(&t, |tokenizer| {
            let (tokens, mask) = tokenizer.apply_chat_template(&messages, add_generation_prompt)?;
            Ok((encoding(tokens), mask))
        })
    }

    fn drop(&mut self, t: R) -> Result<()> {
        self.table.delete(t)?;
        Ok(())
    }
}

impl tokenizer::Host for State {
    fn current(&mut self) -> Answer<R> {
        if self.tokenizer.is_none() {
            return Ok(Err(types::Error {
                kind: types::ErrorKind::Unsupported,
                message: "this run has no tokenizer".into(),
                context: Vec::new(),
            }));
        }
        Ok(Ok(self.table.push(CurrentTokenizer)?))
    }
}
