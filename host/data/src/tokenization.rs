//! The tokenizer of a Hugging Face directory, as `transformers` would load it.
//!
//! `tokenizer.json` says how text is cut; [`SpecialTokens`] which tokens start, end and pad. Padding and truncation saved
//! in `tokenizer.json` are switched off: they describe the run that saved it, and would
//! pad every text to its length. What the tokenizer's class makes of the file is
//! [`TokenizerClass`](crate::tokenizer_class).

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use retune_roles::caught::caught;
use retune_roles::{Encoding, ErrorKind, Message, Refusal, SpecialTokens};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::utils::truncation::{TruncationDirection, TruncationParams};
use tokenizers::{ModelWrapper, PostProcessor, Tokenizer};

use crate::error::plain_io;
use crate::templates::Templates;
use crate::tokenizer_class::{TokenizerClass, model_type};
use crate::tokenizer_file::{self, LARGEST, LARGEST_CONFIG, called, gave_up, told, try_out};
use crate::{DataError, Result};

/// A tokenizer and what it calls its special tokens.
pub struct Tokenization {
    tokenizer: Tokenizer,
    name: String,
    digest: String,
    bos: Option<u32>,
    eos: Option<u32>,
    pad: Option<u32>,
    mask: Option<u32>,
    /// Text of each special token by its role, as a template sees them.
    special_tokens: BTreeMap<String, String>,
    templates: Templates,
    side: TruncationDirection,
    model_max_length: Option<usize>,
    warnings: Vec<String>,
}

impl std::fmt::Debug for Tokenization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenization").field("name", &self.name).field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Tokenization {
    /// Opens the tokenizer of a Hugging Face directory.
    ///
    /// # Errors
    /// The directory or its `tokenizer.json` is missing, or one of the files is broken.
    pub fn open(directory: &Path) -> Result<Self> {
        std::fs::metadata(directory).map_err(|e| DataError::io(directory, &e))?;
        let path = directory.join("tokenizer.json");
        caught(|| Self::read(directory, &path))
            .unwrap_or_else(|e| Err(DataError::TokenizerBroken { path: path.clone(), reason: gave_up(&e) }))
    }

    fn read(directory: &Path, path: &Path) -> Result<Self> {
        let bytes = match tokenizer_file::read(path, LARGEST) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(missing(directory)),
            Err(e) => return Err(DataError::FileUnreadable { path: path.to_owned(), reason: plain_io(&e) }),
        };
        let mut tokenizer = tokenizer_file::tokenizer(path, &bytes)?;
        let padding = tokenizer.get_padding().map(|padding| padding.pad_token.clone());
        tokenizer.with_padding(None);
        let unusable = |reason: String| DataError::TokenizerBroken { path: path.to_owned(), reason };
        tokenizer.with_truncation(None).map_err(|e| unusable(e.to_string()))?;
        if tokenizer.get_vocab_size(true) == 0 {
            return Err(unusable("it has no tokens".to_owned()));
        }

        let mut hash = Sha256::new();
        hash_part(&mut hash, "tokenizer.json", &bytes);
        let mut read = |name: &str| -> Result<Value> {
            let path = directory.join(name);
            match tokenizer_file::read(&path, LARGEST_CONFIG) {
                Ok(bytes) => {
                    hash_part(&mut hash, name, &bytes);
                    serde_json::from_slice(&bytes).map_err(|e| DataError::TokenizerBroken { path, reason: told(&e) })
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
                Err(e) => Err(DataError::FileUnreadable { path, reason: plain_io(&e) }),
            }
        };
        let config = read("tokenizer_config.json")?;
        let map = read("special_tokens_map.json")?;
        // The model's config.json decides the class where the tokenizer's own does not say it.
        let model_type = model_type(directory);
        let tokens = SpecialTokens::new(&config, &map, model_type.as_deref(), padding.as_deref());
        let class = TokenizerClass::new(&config, tokens);
        hash_part(&mut hash, "class", class.name.as_bytes());
        let templates = Templates::read(directory, &config)?;
        for (name, text) in templates.iter() {
            hash_part(&mut hash, &format!("template {name}"), text.as_bytes());
        }
        let digest = retune_roles::digest::hex(&hash.finalize());

        let mut warnings = class.complete(&mut tokenizer)?;
        try_out(path, &tokenizer)?;
        let mut special = |role: &str| -> Option<u32> {
            let text = class.special_token(role)?;
            let id = tokenizer.token_to_id(text);
            if id.is_none() {
                warnings.push(format!(
                    "the tokenizer's {role} is `{text}`, which is not in its vocabulary; it is left out"
                ));
            }
            id
        };
        let special_tokens = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"]
            .into_iter()
            .map(|role| format!("{role}_token"))
            .filter_map(|role| class.special_token(&role).map(|text| (role.clone(), text.to_owned())))
            .collect();
        let (bos, eos, pad) = (special("bos_token"), special("eos_token"), special("pad_token"));
        // Who needs it says that it is missing.
        let mask = class.special_token("mask_token").and_then(|text| tokenizer.token_to_id(text));
        let side = match config.get("truncation_side").and_then(Value::as_str) {
            Some("left") => TruncationDirection::Left,
            _ => TruncationDirection::Right,
        };
        // transformers writes 1e30 for "no limit".
        let model_max_length = config
            .get("model_max_length")
            .and_then(Value::as_f64)
            .filter(|&length| (1.0..1e9).contains(&length))
            .map(|length| length as usize);
        let name = directory
            .file_name()
            .map_or_else(|| directory.display().to_string(), |name| name.to_string_lossy().into_owned());
        Ok(Self {
            tokenizer,
            name,
            digest,
            bos,
            eos,
            pad,
            mask,
            special_tokens,
            templates,
            side,
            model_max_length,
            warnings,
        })
    }

    /// SHA-256 over the tokenizer's files, in hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The most tokens the tokenizer's author had in mind, when the config says.
    pub fn model_max_length(&self) -> Option<usize> {
        self.model_max_length
    }

    /// The chat templates beside it.
    pub(crate) fn templates(&self) -> &Templates {
        &self.templates
    }

    /// How it cuts words: `BPE`, `WordPiece`, `Unigram`, `WordLevel`.
    pub fn kind(&self) -> &'static str {
        match self.tokenizer.get_model() {
            ModelWrapper::BPE(_) => "BPE",
            ModelWrapper::WordPiece(_) => "WordPiece",
            ModelWrapper::Unigram(_) => "Unigram",
            ModelWrapper::WordLevel(_) => "WordLevel",
        }
    }

    /// How many tokens it has, special ones included.
    pub fn vocabulary(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Names of its chat templates.
    pub fn chat_templates(&self) -> Vec<String> {
        self.templates.names()
    }

    /// Text of each special token by its role: `eos_token`.
    pub fn special_tokens(&self) -> &BTreeMap<String, String> {
        &self.special_tokens
    }

    /// Ids of the tokens that are no text.
    pub fn special_ids(&self) -> impl Iterator<Item = u32> {
        let added = self.tokenizer.get_added_tokens_decoder();
        added.into_iter().filter(|(_, token)| token.special).map(|(id, _)| id)
    }

    /// The token that hides another.
    pub fn mask(&self) -> Option<u32> {
        self.mask
    }

    /// Ids of the tokens that are text, ascending.
    pub(crate) fn plain_ids(&self) -> Vec<u32> {
        let special: HashSet<u32> = self.special_ids().collect();
        let mut ids: Vec<u32> =
            self.tokenizer.get_vocab(true).into_values().filter(|id| !special.contains(id)).collect();
        ids.sort_unstable();
        ids
    }

    /// For each token whether it goes on with the word before it; `None` when tokens do not show it.
    pub(crate) fn continuations(&self) -> Option<Vec<bool>> {
        let goes_on: Box<dyn Fn(&str) -> bool> = match (self.tokenizer.get_model(), self.spaces()) {
            (ModelWrapper::WordPiece(pieces), _) => {
                let prefix = pieces.continuing_subword_prefix.clone();
                Box::new(move |token| token.starts_with(&prefix))
            }
            // A space, a tab and line ends, as bytes are written there.
            (_, Some(Spaces::Bytes)) => {
                Box::new(|token| !token.starts_with(['\u{120}', '\u{109}', '\u{10a}', '\u{10d}']))
            }
            (_, Some(Spaces::Metaspace)) => Box::new(|token| !token.starts_with('\u{2581}')),
            _ => return None,
        };
        let mut continues = vec![false; self.tokenizer.get_vocab_size(true)];
        for (token, id) in self.tokenizer.get_vocab(true) {
            if let Some(slot) = continues.get_mut(id as usize) {
                *slot = goes_on(&token);
            }
        }
        Some(continues)
    }

    /// Whether a word among others has to be given with the space before it.
    pub(crate) fn words_bring_spaces(&self) -> bool {
        self.spaces().is_some()
    }

    /// How the space before a word is written into its first token, where it is.
    fn spaces(&self) -> Option<Spaces> {
        fn of(pre_tokenizer: &PreTokenizerWrapper) -> Option<Spaces> {
            match pre_tokenizer {
                PreTokenizerWrapper::ByteLevel(_) => Some(Spaces::Bytes),
                PreTokenizerWrapper::Metaspace(_) => Some(Spaces::Metaspace),
                PreTokenizerWrapper::Sequence(all) => all.as_ref().iter().find_map(of),
                _ => None,
            }
        }
        self.tokenizer.get_pre_tokenizer().and_then(of)
    }

    /// Texts of the tokens that are no text.
    pub(crate) fn special_texts(&self) -> impl Iterator<Item = String> {
        let added = self.tokenizer.get_added_tokens_decoder();
        added.into_values().filter(|token| token.special).map(|token| token.content)
    }

    /// Whether rows that are too long lose their beginning.
    pub(crate) fn cuts_left(&self) -> bool {
        self.side == TruncationDirection::Left
    }

    /// The text that each token adds to those before it; a token that only begins a character adds nothing, and the one
    /// that ends it adds all of it.
    pub fn pieces(&self, ids: &[u32]) -> Vec<String> {
        let mut stream = self.tokenizer.decode_stream(false);
        ids.iter().map(|&id| called(|| stream.step(id)).ok().flatten().unwrap_or_default()).collect()
    }

    /// What is odd about the tokenizer's files, a sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Special tokens that the tokenizer adds to one text, or to a pair.
    pub fn added_tokens(&self, pair: bool) -> usize {
        self.tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(pair))
    }

    /// Refuses a tokenizer that makes ids the model has no embedding for.
    ///
    /// # Errors
    /// The highest id is not below `vocab_size`; the error names the token.
    pub fn check_fits(&self, vocab_size: usize) -> Result<()> {
        let vocabulary = self.tokenizer.get_vocab(true);
        match vocabulary.into_iter().max_by_key(|(_, id)| *id) {
            Some((token, id)) if id as usize >= vocab_size => {
                Err(DataError::TokenizerDoesNotFit { token, id, vocab_size })
            }
            _ => Ok(()),
        }
    }

    /// The tokenizer itself, cutting at `max_length` (special tokens kept, the longer text of a pair first).
    pub(crate) fn cutting(&self, max_length: Option<usize>, pair: bool) -> Result<Tokenizer> {
        let mut tokenizer = self.tokenizer.clone();
        if let Some(max_length) = max_length {
            let special = self.added_tokens(pair);
            if max_length <= special {
                return Err(DataError::NoRoom { max_length, special });
            }
            let cut = TruncationParams { max_length, direction: self.side, ..TruncationParams::default() };
            tokenizer
                .with_truncation(Some(cut))
                .map_err(|e| DataError::TokenizerBroken { path: PathBuf::from(&self.name), reason: e.to_string() })?;
        }
        Ok(tokenizer)
    }
}

/// How a space becomes part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spaces {
    /// As a byte (GPT-2, RoBERTa, Llama 3).
    Bytes,
    /// As a mark of its own (SentencePiece).
    Metaspace,
}

fn hash_part(hash: &mut Sha256, name: &str, bytes: &[u8]) {
    hash.update(name);
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn missing(directory: &Path) -> DataError {
    let others = ["vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model"]
        .into_iter()
        .filter(|name| directory.join(name).exists())
        .map(str::to_owned)
        .collect();
    DataError::TokenizerMissing { directory: directory.to_owned(), others }
}

impl retune_roles::Tokenizer for Tokenization {
    fn name(&self) -> &str {
        &self.name
    }

    fn vocab_size(&self) -> u32 {
        self.tokenizer.get_vocab_size(true) as u32
    }

    fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    fn token_text(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    fn bos(&self) -> Option<u32> {
        self.bos
    }

    fn eos(&self) -> Option<u32> {
        self.eos
    }

    fn pad(&self) -> Option<u32> {
        self.pad
    }

    fn encode(&self, texts: &[String], add_special: bool) -> std::result::Result<Vec<Encoding>, Refusal> {
        let encode = |text: &String| {
            let encoding = tokenizer_file::encode(&self.tokenizer, text.as_str(), add_special)
                .map_err(|e| Refusal::new(ErrorKind::Input, format!("the text cannot be tokenised: {e}")))?;
            Ok(Encoding {
                ids: encoding.get_ids().to_vec(),
                offsets: encoding.get_offsets().iter().map(|&(from, to)| (from as u32, to as u32)).collect(),
                special: encoding.get_special_tokens_mask().iter().map(|&mask| mask == 1).collect(),
            })
        };
        texts.iter().map(encode).collect()
    }

    fn decode(&self, ids: &[Vec<u32>], skip_special: bool) -> std::result::Result<Vec<String>, Refusal> {
        let size = self.vocab_size();
        let decode = |ids: &Vec<u32>| {
            if let Some(id) = ids.iter().find(|&&id| self.tokenizer.id_to_token(id).is_none()) {
                let reason = format!("token id {id} is not in the vocabulary of {size} tokens");
                return Err(Refusal::new(ErrorKind::Input, reason));
            }
            called(|| self.tokenizer.decode(ids, skip_special))
                .map_err(|e| Refusal::new(ErrorKind::Input, format!("the ids cannot be decoded: {e}")))
        };
        ids.iter().map(decode).collect()
    }

    fn apply_chat_template(&self, _: &[Message], _: bool) -> std::result::Result<(Encoding, Vec<bool>), Refusal> {
        Err(Refusal::new(
            ErrorKind::Unsupported,
            format!("{} is lent without its chat template; it can encode plain text", self.name),
        ))
    }
}

#[cfg(test)]
#[path = "tokenization_tests.rs"]
mod tests;
