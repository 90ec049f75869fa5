//! `tokenizer.json` of a stranger: what is looked at before and around the library that reads it.
//!
//! The library is made for files that are well meant. It panics on some others, which [`caught`] makes an error of, and with
//! others a few bytes of text become gigabytes: forty rules that double every letter fit into a kilobyte. So the rules are
//! multiplied out before anything is done by them. Price: the file is parsed once more, its vocabulary only skipped.

use std::io::{Error, ErrorKind, Read};
use std::path::Path;

use retune_roles::caught::caught;
use retune_roles::text::shortened;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::{EncodeInput, Encoding, PostProcessor, Tokenizer};

use crate::{DataError, Result};

/// More than any `tokenizer.json` has.
pub(crate) const LARGEST: u64 = 128 << 20;

/// More than any other file of a tokenizer has.
pub(crate) const LARGEST_CONFIG: u64 = 32 << 20;

/// Values in it, more than a vocabulary of a million tokens and its merges have. Each costs memory of its own while it is read.
const MOST_VALUES: usize = 8 << 20;

/// Bytes that one byte may become. Unicode has a character that becomes eighteen.
const GROWTH: f64 = 4096.0;

/// Bytes that the added tokens may become.
const ADDED: f64 = (1u64 << 30) as f64;

/// Special tokens around a text.
const AROUND: usize = 1024;

/// Characters of a word that are tried in every split, and bytes that are put to every part of a word.
const WORD: u64 = 10_000;

/// The most characters that are told of what a library says.
const TOLD: usize = 300;

/// Bytes that a normal form makes of one: of `U+FDFA`.
const NORMAL_FORM: f64 = 11.0;

/// The file without its vocabulary.
#[derive(Deserialize)]
struct Parts {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    #[serde(default)]
    content: String,
}

#[derive(Default, Deserialize)]
struct Model {
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    max_input_chars_per_word: Option<u64>,
}

/// The bytes of a file that has at most `limit` of them; a pipe or a device is none.
pub(crate) fn read(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let refused = |reason: String| Error::new(ErrorKind::InvalidInput, reason);
    let length = match std::fs::metadata(path)? {
        kind if kind.is_file() => kind.len(),
        kind if kind.is_dir() => return Err(refused("it is a directory".to_owned())),
        _ => return Err(refused("it is a pipe, a socket or a device".to_owned())),
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(refused(format!("it has {length} bytes, expected at most {limit}")));
    }
    Ok(bytes)
}

/// The tokenizer in the bytes of `path`.
///
/// # Errors
/// It is none, or one that makes too much of little.
pub(crate) fn tokenizer(path: &Path, bytes: &[u8]) -> Result<Tokenizer> {
    let broken = |reason: String| DataError::TokenizerBroken { path: path.to_owned(), reason };
    if let Some(reason) = check(bytes) {
        return Err(broken(reason));
    }
    let tokenizer = called(|| Tokenizer::from_bytes(bytes)).map_err(|e| broken(told(&e)))?;
    for pair in [false, true] {
        let around = tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(pair));
        if around > AROUND {
            let what = if pair { "two texts" } else { "a text" };
            return Err(broken(format!(
                "`post_processor` puts {around} special tokens around {what}, expected at most {AROUND}"
            )));
        }
    }
    Ok(tokenizer)
}

/// Refuses a tokenizer that gives up on any text: it is better told here than of the first row.
pub(crate) fn try_out(path: &Path, tokenizer: &Tokenizer) -> Result<()> {
    const TEXT: &str = "Two cards, not 12:\n für 漢字 🙂  x";
    let tried = caught(|| {
        for special in [true, false] {
            // What it refuses by an error, it may refuse for this text alone.
            let ids = tokenizer.encode(TEXT, special).map(|encoding| encoding.get_ids().to_vec());
            let _ = tokenizer.encode((TEXT, "x"), special);
            let _ = ids.and_then(|ids| tokenizer.decode(&ids, special));
        }
    });
    tried.map_err(|reason| DataError::TokenizerBroken { path: path.to_owned(), reason: gave_up(&reason) })
}

/// [`Tokenizer::encode`]; a panic is an error.
pub(crate) fn encode<'s>(
    tokenizer: &Tokenizer,
    input: impl Into<EncodeInput<'s>>,
    special: bool,
) -> tokenizers::Result<Encoding> {
    called(|| tokenizer.encode(input, special))
}

/// [`Tokenizer::encode_fast`]; a panic is an error.
pub(crate) fn encode_fast<'s>(
    tokenizer: &Tokenizer,
    input: impl Into<EncodeInput<'s>>,
    special: bool,
) -> tokenizers::Result<Encoding> {
    called(|| tokenizer.encode_fast(input, special))
}

/// Runs a call of the library; a panic is an error.
pub(crate) fn called<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    caught(call).unwrap_or_else(|reason| Err(gave_up(&reason).into()))
}

/// What a panic of the library is, in a sentence.
pub(crate) fn gave_up(reason: &str) -> String {
    format!("the library that reads it gave up: {reason}")
}

/// An error of the library, which may quote the file.
pub(crate) fn told(error: &impl ToString) -> String {
    shortened(&error.to_string(), TOLD)
}

/// Why a file is not given to the library.
fn check(bytes: &[u8]) -> Option<String> {
    let values = values(bytes);
    if values > MOST_VALUES {
        return Some(format!("it has {values} values, expected at most {MOST_VALUES}"));
    }
    let parts: Parts = match serde_json::from_slice(bytes) {
        Ok(parts) => parts,
        Err(e) => return Some(told(&e)),
    };
    let above = |key: &str, growth: f64| {
        (growth > GROWTH).then(|| format!("`{key}` may make {growth:.0} bytes of one, expected at most {GROWTH}"))
    };
    let (normalizer, pieces) = (growth(&parts.normalizer), growth(&parts.pre_tokenizer));
    let grown = above("normalizer", normalizer)
        .or_else(|| above("pre_tokenizer", pieces))
        .or_else(|| above("normalizer and pre_tokenizer", normalizer * pieces))
        .or_else(|| above("decoder", growth(&parts.decoder)));
    if grown.is_some() {
        return grown;
    }
    let added: usize = parts.added_tokens.iter().map(|token| token.content.len()).sum();
    if added as f64 * normalizer > ADDED {
        return Some(format!(
            "`added_tokens` have {added} bytes, of each of which `normalizer` may make {normalizer:.0}"
        ));
    }
    if let Some(sequence) = repeated(&parts.post_processor) {
        return Some(format!("`post_processor` writes text {sequence} more than once"));
    }
    let model = &parts.model;
    let lengths = [
        ("model.max_input_chars_per_word", model.max_input_chars_per_word),
        ("model.continuing_subword_prefix", model.continuing_subword_prefix.as_ref().map(|text| text.len() as u64)),
        ("model.end_of_word_suffix", model.end_of_word_suffix.as_ref().map(|text| text.len() as u64)),
    ];
    let (key, found) =
        lengths.into_iter().find_map(|(key, length)| Some((key, length.filter(|length| *length > WORD)?)))?;
    Some(format!("`{key}` is {found} long, expected at most {WORD}"))
}

/// How many values JSON has at most: what begins one, outside of texts.
fn values(bytes: &[u8]) -> usize {
    let (mut count, mut inside, mut escaped) = (0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = inside,
            b'"' => inside = !inside,
            b',' | b'[' | b'{' if !inside => count += 1,
            _ => {}
        }
    }
    count
}

/// Bytes that a part makes of one byte at most, normal forms counted once: they change nothing the second time.
fn growth(part: &Value) -> f64 {
    let mut normal = false;
    let factor = factor(part, &mut normal);
    if normal { NORMAL_FORM * factor } else { factor }
}

fn factor(part: &Value, normal: &mut bool) -> f64 {
    let text = |key: &str| part.get(key).and_then(Value::as_str);
    if let Some(parts) = ["normalizers", "pretokenizers", "decoders"].iter().find_map(|key| part.get(key)?.as_array()) {
        return parts.iter().map(|part| factor(part, normal)).product();
    }
    if let (Some(content), Some(pattern)) = (text("content"), part.get("pattern")) {
        let one = match pattern.get("String").or(Some(pattern)).and_then(Value::as_str) {
            Some(pattern) if !pattern.is_empty() => content.len() as f64 / pattern.len() as f64,
            // Between any two characters.
            _ => content.len() as f64 + 1.0,
        };
        return one.max(1.0);
    }
    if let Some(prepended) = text("prepend") {
        return 1.0 + prepended.len() as f64;
    }
    if let Some(map) = text("precompiled_charsmap") {
        return longest_replacement(map).max(1) as f64;
    }
    match text("type") {
        Some("ByteLevel" | "BertNormalizer") => 2.0,
        Some("Metaspace") => 1.0 + text("replacement").map_or(4, str::len) as f64,
        Some("NFC" | "NFD" | "NFKC" | "NFKD" | "Lowercase") => {
            *normal = true;
            1.0
        }
        _ => 1.0,
    }
}

/// The longest text that the table of a SentencePiece normaliser puts in place of another: base64 of the size of a trie, the
/// trie, and texts that end with a zero.
fn longest_replacement(map: &str) -> usize {
    let digit = |byte: &u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u8> = map.as_bytes().iter().filter_map(digit).collect();
    let mut bytes = Vec::with_capacity(digits.len());
    for group in digits.chunks(4) {
        let bits = group.iter().enumerate().fold(0u32, |bits, (at, digit)| bits | u32::from(*digit) << (18 - 6 * at));
        bytes.extend(bits.to_be_bytes()[1..].iter().take(group.len() - 1));
    }
    let Some((size, rest)) = bytes.split_first_chunk::<4>() else { return 0 };
    let texts = rest.get(u32::from_le_bytes(*size) as usize..).unwrap_or_default();
    texts.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(0)
}

/// The name of a text that a template writes twice, so that templates in a row multiply it.
fn repeated(processor: &Value) -> Option<String> {
    if let Some(all) = processor.get("processors").and_then(Value::as_array) {
        return all.iter().find_map(repeated);
    }
    let pieces = ["single", "pair"].into_iter().filter_map(|key| processor.get(key)?.as_array());
    pieces.into_iter().find_map(|pieces| {
        let named = |piece: &Value| Some(piece.pointer("/Sequence/id")?.as_str()?.to_owned());
        let names: Vec<String> = pieces.iter().filter_map(named).collect();
        let again = |at: &usize| names[..*at].contains(&names[*at]);
        (0..names.len()).find(again).map(|at| shortened(&names[at], TOLD))
    })
}

#[cfg(test)]
#[path = "tokenizer_file_tests.rs"]
mod tests;
