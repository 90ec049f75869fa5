//! The contract's `tokenizer` interface over the run's tokenizer.
//!
//! A tokenizer takes tens of bytes of memory for each byte of text and knows no
//! deadline. So a call brings at most [`TEXT`] bytes or [`IDS`] ids, and the deadline
//! is looked at between texts. Price: texts are worked on one by one, as the run's
//! tokenizer does anyway.

use std::sync::Arc;

use retune_roles::{Encoding, ErrorKind, Message, Refusal, Tokenizer};
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::bindings::host::{tokenizer, types};
use crate::handles::CurrentTokenizer;
use crate::state::{State, guarded};
use crate::violation::Violation;

/// Bytes of text in one call.
const TEXT: usize = 4 << 20;

/// Token ids in one call.
const IDS: usize = 1 << 20;

/// What a text counts for beside its bytes, and a list of ids beside its ids.
const EACH: usize = 32;

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
        self.check_deadline()?;
        Ok(guarded("tokenizer", || operation(&*tokenizer))?.map_err(crate::convert::error_of))
    }

    /// One after the other, until one fails.
    fn each<I, T>(
        &mut self,
        handle: &R,
        items: &[I],
        operation: impl Fn(&dyn Tokenizer, &I) -> std::result::Result<T, Refusal>,
    ) -> Answer<Vec<T>> {
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            match self.tokenize(handle, |tokenizer| operation(tokenizer, item))? {
                Ok(one) => all.push(one),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(all))
    }
}

/// Ends a call that brings more than `most`; `what` says how much that is.
fn bounded(lengths: impl Iterator<Item = usize>, most: usize, what: &str) -> std::result::Result<(), Violation> {
    let given = lengths.fold(0, |sum: usize, length| sum.saturating_add(length).saturating_add(EACH));
    if given <= most {
        return Ok(());
    }
    Err(Violation {
        reason: format!("gave the tokenizer more than {what} in one call"),
        help: Some("give it fewer or shorter texts at a time".into()),
    })
}

fn bounded_texts(texts: &[String]) -> std::result::Result<(), Violation> {
    bounded(texts.iter().map(String::len), TEXT, "4 MiB of text")
}

/// The encoding of one text.
fn one(tokenizer: &dyn Tokenizer, text: &String, add_special: bool) -> std::result::Result<Encoding, Refusal> {
    let mut encodings = tokenizer.encode(std::slice::from_ref(text), add_special)?;
    encodings.pop().ok_or_else(|| Refusal::new(ErrorKind::Internal, "the tokenizer gave nothing for a text"))
}

fn encoding(encoding: Encoding) -> tokenizer::Encoding {
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
        bounded_texts(&texts)?;
        self.each(&t, &texts, |tokenizer, text| one(tokenizer, text, add_special).map(encoding))
    }
    fn count(&mut self, t: R, texts: Vec<String>) -> Answer<Vec<u32>> {
        bounded_texts(&texts)?;
        self.each(&t, &texts, |tokenizer, text| {
            Ok(u32::try_from(one(tokenizer, text, false)?.ids.len()).unwrap_or(u32::MAX))
        })
    }
    fn decode(&mut self, t: R, ids: Vec<Vec<u32>>, skip_special: bool) -> Answer<Vec<String>> {
        bounded(ids.iter().map(Vec::len), IDS, "1048576 token ids")?;
        self.each(&t, &ids, |tokenizer, ids| {
            let mut texts = tokenizer.decode(std::slice::from_ref(ids), skip_special)?;
            texts.pop().ok_or_else(|| Refusal::new(ErrorKind::Internal, "the tokenizer gave nothing for its ids"))
        })
    }
    fn apply_chat_template(
        &mut self,
        t: R,
        messages: Vec<tokenizer::Message>,
        add_generation_prompt: bool,
    ) -> Answer<(tokenizer::Encoding, Vec<bool>)> {
        bounded(messages.iter().map(|m| m.role.len().saturating_add(m.content.len())), TEXT, "4 MiB of text")?;
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
