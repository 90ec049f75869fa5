//! The tokenizer of a base model.
//!
//! The input is a `tokenizer.json`; behind a line of dashes, a `tokenizer_config.json`; behind another, a text. Laws: an error or a
//! tokenizer; of a tokenizer, texts have encodings whose parts are of one length and ids that can be decoded, or an error.

use retune_data::Tokenization;
use retune_roles::{Message, Tokenizer as _};

use super::files::folder;
use super::{check_bounded, parts};

/// Texts that every tokenizer is asked for.
const TEXTS: [&str; 5] =
    ["", "a text of words", "größer \u{1f600}\u{301} שלום", "\0\t\r\n ", "[MASK]</s><|im_end|>##a ▁"];

/// Opens a tokenizer and uses it; panics when a law is broken.
pub fn tokenizer(data: &[u8]) {
    let [file, config, text] = parts(data);
    let mut files = vec![("tokenizer.json", file)];
    if !config.is_empty() {
        files.push(("tokenizer_config.json", config));
    }
    let at = folder(&files);
    let tokenization = match Tokenization::open(at.path()) {
        Ok(tokenization) => tokenization,
        Err(error) => return check_bounded(&error.to_string()),
    };
    let mut texts = TEXTS.map(str::to_owned).to_vec();
    texts.push(String::from_utf8_lossy(text).into_owned());
    for add_special in [false, true] {
        match tokenization.encode(&texts, add_special) {
            Ok(encodings) => {
                assert_eq!(encodings.len(), texts.len(), "a text has no encoding");
                for (encoding, text) in encodings.iter().zip(&texts) {
                    let count = encoding.ids.len();
                    assert!(encoding.offsets.len() == count && encoding.special.len() == count, "{encoding:?}");
                    let inside = encoding.offsets.iter().all(|(_, end)| *end as usize <= text.len());
                    assert!(inside, "an offset is outside of its text {text:?}: {encoding:?}");
                }
                let ids: Vec<Vec<u32>> = encodings.into_iter().map(|encoding| encoding.ids).collect();
                told(tokenization.decode(&ids, add_special));
            }
            Err(refusal) => check_bounded(&refusal.message),
        }
    }
    told(tokenization.decode(&[vec![0, 1, u32::MAX, 7, u32::MAX - 1]], false));
    let said = |role: &str| Message { role: role.to_owned(), content: "a text".to_owned() };
    told(tokenization.apply_chat_template(&[said("user"), said("assistant")], true));
    tokenization.warnings().iter().for_each(|warning| check_bounded(warning));
    let _ =
        (tokenization.kind(), tokenization.vocabulary(), tokenization.added_tokens(true), tokenization.pieces(&[0, 9]));
    let _ = (tokenization.bos(), tokenization.eos(), tokenization.pad(), tokenization.token_text(3));
}

fn told<T>(answer: Result<T, retune_roles::Refusal>) {
    if let Err(refusal) = answer {
        check_bounded(&refusal.message);
    }
}
