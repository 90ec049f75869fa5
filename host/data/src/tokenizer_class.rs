//! What the class of a tokenizer adds to its `tokenizer.json`, as `transformers` 5.24 does.
//!
//! `tokenizer.json` describes a whole tokenizer, and `tokenizer_config.json` names the class that loads it. BERT's class
//! takes only the vocabulary from the file: normalizer, model, pre-tokenizer and `[CLS] … [SEP]` follow from the
//! config's options. RoBERTa's adds `<s> … </s>` to a file that says nothing. Other classes are taken as the file has
//! them, and then an option that would change how text is cut must agree with the file: what differs is refused by
//! name, or warned about where `transformers` ignores it too.

use std::path::Path;

use retune_roles::SpecialTokens;
use retune_roles::special_tokens::content;
use serde_json::Value;
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, NormalizedString, Normalizer as _, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

use crate::tokenizer_file::{self, LARGEST_CONFIG};
use crate::{DataError, Result};

/// Classes that take `tokenizer.json` as it is, whatever their options say.
const AS_IT_IS: [&str; 4] = ["PreTrainedTokenizer", "TokenizersBackend", "LlamaTokenizer", "GPT2Tokenizer"];

/// Classes with special tokens of their own around a text, which are not known here.
const OWN_TEMPLATE: [&str; 22] = [
    "AlbertTokenizer",
    "BigBirdTokenizer",
    "CamembertTokenizer",
    "CLIPTokenizer",
    "DebertaTokenizer",
    "DebertaV2Tokenizer",
    "FunnelTokenizer",
    "HerbertTokenizer",
    "LayoutLMv2Tokenizer",
    "LayoutLMv3Tokenizer",
    "LukeTokenizer",
    "MBartTokenizer",
    "MPNetTokenizer",
    "NllbTokenizer",
    "PegasusTokenizer",
    "RemBertTokenizer",
    "RoFormerTokenizer",
    "SplinterTokenizer",
    "T5Tokenizer",
    "XGLMTokenizer",
    "XLMRobertaTokenizer",
    "XLNetTokenizer",
];

/// The class and its options.
pub(crate) struct TokenizerClass<'a> {
    /// Without `Fast`, as configured, or by the kind of model.
    pub name: &'a str,
    /// `tokenizer_config.json`, or null.
    pub config: &'a Value,
    /// What its special tokens are.
    pub tokens: SpecialTokens<'a>,
}

impl<'a> TokenizerClass<'a> {
    /// The class of a tokenizer with this `tokenizer_config.json`.
    pub fn new(config: &'a Value, tokens: SpecialTokens<'a>) -> Self {
        Self { name: tokens.class(), config, tokens }
    }

    /// The text of a special token.
    pub fn special_token(&self, role: &str) -> Option<&'a str> {
        self.tokens.text(role)
    }

    /// Makes of the tokenizer in `tokenizer.json` what the class makes of it; returns what somebody should know.
    ///
    /// # Errors
    /// A token that the class needs is missing, or an option cannot be honoured.
    pub fn complete(&self, tokenizer: &mut Tokenizer) -> Result<Vec<String>> {
        let mut said = Vec::new();
        if self.tokens.is_bert() {
            said.extend(self.rebuild_bert(tokenizer)?);
        } else {
            if tokenizer.get_post_processor().is_none() {
                self.add_template(tokenizer)?;
            }
            for option in ["do_lower_case", "strip_accents", "tokenize_chinese_chars"] {
                said.extend(self.normalize(tokenizer, option)?);
            }
            said.extend(self.prefix_space(tokenizer)?);
        }
        for (option, role) in [("add_bos_token", "bos_token"), ("add_eos_token", "eos_token")] {
            said.extend(self.check_added(tokenizer, option, role));
        }
        self.add_tokens(tokenizer)?;
        if let Some(split) = self.flag("split_special_tokens") {
            tokenizer.set_encode_special_tokens(split);
        }
        Ok(said)
    }

    fn flag(&self, option: &str) -> Option<bool> {
        self.config.get(option).and_then(Value::as_bool)
    }

    /// BERT's tokenizer over the file's vocabulary.
    fn rebuild_bert(&self, tokenizer: &mut Tokenizer) -> Result<Option<String>> {
        let (cls, sep) = (self.needed("cls_token", tokenizer)?, self.needed("sep_token", tokenizer)?);
        let lower = self.flag("do_lower_case");
        let said = match tokenizer.get_normalizer() {
            Some(NormalizerWrapper::BertNormalizer(own)) if lower.is_none() && !own.lowercase => Some(format!(
                "texts are lower-cased, as {} does unless tokenizer_config.json says do_lower_case = false, though tokenizer.json \
                 keeps capitals",
                self.name
            )),
            _ => None,
        };
        let normalizer = BertNormalizer::new(
            true,
            self.flag("tokenize_chinese_chars").unwrap_or(true),
            self.flag("strip_accents"),
            lower.unwrap_or(true),
        );
        let model = serde_json::json!({
            "type": "WordPiece", "unk_token": self.special_token("unk_token").unwrap_or("[UNK]"),
            "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": tokenizer.get_vocab(false),
        });
        // By way of text: the crate reads a model from nothing else without a second hash map type.
        let model: WordPiece = serde_json::from_str(&model.to_string()).map_err(|e| self.broken(&e.to_string()))?;
        let single = format!("{}:0 $A:0 {}:0", cls.0, sep.0);
        let template = TemplateProcessing::builder()
            .try_single(single.as_str())
            .map_err(|e| self.broken(&e))?
            .try_pair(format!("{single} $B:1 {}:1", sep.0))
            .map_err(|e| self.broken(&e))?
            .special_tokens(vec![cls, sep])
            .build()
            .map_err(|e| self.broken(&e.to_string()))?;
        tokenizer.with_model(model);
        tokenizer.with_pre_tokenizer(Some(BertPreTokenizer)).with_post_processor(Some(template));
        tokenizer.with_decoder(Some(WordPieceDecoder::new("##".to_owned(), true)));
        tokenizer.with_normalizer(Some(normalizer)).map_err(|e| self.broken(&e.to_string()))?;
        Ok(said)
    }

    /// What the class puts around a text where the file says nothing of it.
    fn add_template(&self, tokenizer: &mut Tokenizer) -> Result<()> {
        if self.name == "RobertaTokenizer" {
            let (cls, sep) = (self.needed("cls_token", tokenizer)?, self.needed("sep_token", tokenizer)?);
            let space = self.flag("add_prefix_space").unwrap_or(false);
            let template = RobertaProcessing::new(sep, cls)
                .trim_offsets(self.flag("trim_offsets").unwrap_or(true))
                .add_prefix_space(space);
            tokenizer.with_post_processor(Some(template));
        } else if OWN_TEMPLATE.contains(&self.name) {
            return Err(DataError::TokenizerWithoutTemplate { class: self.name.to_owned() });
        }
        Ok(())
    }

    /// A special token without which the class cannot work, and its id.
    fn needed(&self, role: &str, tokenizer: &Tokenizer) -> Result<(String, u32)> {
        let token = self.special_token(role);
        let known = token.and_then(|text| tokenizer.token_to_id(text));
        let token = token.map(str::to_owned);
        match (token, known) {
            (Some(token), Some(id)) => Ok((token, id)),
            (token, _) => {
                Err(DataError::TokenizerLacksToken { class: self.name.to_owned(), role: role.to_owned(), token })
            }
        }
    }

    /// An option of the text's form before it is cut.
    fn normalize(&self, tokenizer: &mut Tokenizer, option: &str) -> Result<Option<String>> {
        let Some(wanted) = self.flag(option) else { return Ok(None) };
        if does(tokenizer, option) == wanted {
            return Ok(None);
        }
        if AS_IT_IS.contains(&self.name) {
            return Ok(Some(self.ignored(option, wanted)));
        }
        let Some(NormalizerWrapper::BertNormalizer(own)) = tokenizer.get_normalizer() else {
            return Err(self.refused(option, wanted));
        };
        let mut normalizer = *own;
        match option {
            "do_lower_case" => normalizer.lowercase = wanted,
            "strip_accents" => normalizer.strip_accents = Some(wanted),
            _ => normalizer.handle_chinese_chars = wanted,
        }
        tokenizer.with_normalizer(Some(normalizer)).map_err(|e| self.broken(&e.to_string()))?;
        Ok(None)
    }

    /// Whether the first word is cut as if a space stood before it (byte-level tokenizers).
    fn prefix_space(&self, tokenizer: &mut Tokenizer) -> Result<Option<String>> {
        let option = "add_prefix_space";
        let Some(wanted) = self.flag(option) else { return Ok(None) };
        let own = match tokenizer.get_pre_tokenizer() {
            Some(PreTokenizerWrapper::ByteLevel(level)) => *level,
            Some(PreTokenizerWrapper::Sequence(parts)) => {
                let level = parts.as_ref().iter().find_map(|part| match part {
                    PreTokenizerWrapper::ByteLevel(level) => Some(level.add_prefix_space),
                    _ => None,
                });
                return match level {
                    Some(now) if now != wanted && self.reads_prefix_space() => Err(self.refused(option, wanted)),
                    Some(now) if now != wanted => Ok(Some(self.ignored(option, wanted))),
                    _ => Ok(None),
                };
            }
            _ => return Ok(None),
        };
        if own.add_prefix_space == wanted {
            return Ok(None);
        }
        if !self.reads_prefix_space() {
            return Ok(Some(self.ignored(option, wanted)));
        }
        tokenizer.with_pre_tokenizer(Some(own.add_prefix_space(wanted)));
        Ok(None)
    }

    fn reads_prefix_space(&self) -> bool {
        self.name == "GPT2Tokenizer" || !AS_IT_IS.contains(&self.name)
    }

    /// `transformers` 5 leaves these two options to tokenizer.json.
    fn check_added(&self, tokenizer: &Tokenizer, option: &str, role: &str) -> Option<String> {
        let wanted = self.flag(option)?;
        let token = tokenizer.token_to_id(self.special_token(role)?)?;
        let encoding = tokenizer.encode_fast("a", true).ok()?;
        let found = encoding.get_ids().iter().zip(encoding.get_special_tokens_mask());
        let adds = found.into_iter().any(|(&id, &special)| id == token && special == 1);
        (adds != wanted).then(|| self.ignored(option, wanted))
    }

    /// Added tokens of the config that tokenizer.json lacks, and special tokens that it does not list as such.
    fn add_tokens(&self, tokenizer: &mut Tokenizer) -> Result<()> {
        let listed = self.config.get("added_tokens_decoder").and_then(Value::as_object);
        let mut missing: Vec<(u32, &Value)> = listed
            .into_iter()
            .flatten()
            .filter_map(|(id, token)| Some((id.parse().ok()?, token)))
            .filter(|(_, token)| content(token).is_some_and(|text| tokenizer.token_to_id(text).is_none()))
            .collect();
        missing.sort_by_key(|(id, _)| *id);
        for (id, token) in missing {
            let text = content(token).unwrap_or_default();
            let set = |key: &str| token.get(key).and_then(Value::as_bool).unwrap_or(false);
            let added = AddedToken::from(text, set("special"))
                .single_word(set("single_word"))
                .lstrip(set("lstrip"))
                .rstrip(set("rstrip"))
                .normalized(set("normalized"));
            tokenizer.add_tokens([added]).map_err(|e| self.broken(&e.to_string()))?;
            if tokenizer.token_to_id(text) != Some(id) {
                return Err(
                    self.broken(&format!("added_tokens_decoder gives `{text}` the id {id}, which is not the next one"))
                );
            }
        }
        let roles = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
        let known = tokenizer.get_added_tokens_decoder();
        let special: Vec<AddedToken> = roles
            .iter()
            .filter_map(|role| self.special_token(role))
            .filter(|text| tokenizer.token_to_id(text).is_some_and(|id| !known.contains_key(&id)))
            .map(|text| AddedToken::from(text, true).normalized(false))
            .collect();
        if !special.is_empty() {
            tokenizer.add_special_tokens(special).map_err(|e| self.broken(&e.to_string()))?;
        }
        Ok(())
    }

    fn ignored(&self, option: &str, value: bool) -> String {
        format!(
            "tokenizer_config.json has {option} = {value}, which changes nothing: {} takes tokenizer.json as it is",
            self.name
        )
    }

    fn refused(&self, option: &str, value: bool) -> DataError {
        DataError::TokenizerOption { class: self.name.to_owned(), option: option.to_owned(), value: value.to_string() }
    }

    fn broken(&self, reason: &str) -> DataError {
        DataError::TokenizerBroken { path: "tokenizer_config.json".into(), reason: reason.to_owned() }
    }
}

/// The `model_type` in the `config.json` of a directory, when there is one.
pub(crate) fn model_type(directory: &Path) -> Option<String> {
    let bytes = tokenizer_file::read(&directory.join("config.json"), LARGEST_CONFIG).ok()?;
    let config: Value = serde_json::from_slice(&bytes).ok()?;
    Some(config.get("model_type")?.as_str()?.to_owned())
}

/// Whether the normalizer does what an option asks for, seen by what it makes of a text that shows it.
fn does(tokenizer: &Tokenizer, option: &str) -> bool {
    let text = match option {
        "do_lower_case" => "A",
        "strip_accents" => "é",
        _ => "中中",
    };
    let mut normalized = NormalizedString::from(text);
    if let Some(normalizer) = tokenizer.get_normalizer()
        && normalizer.normalize(&mut normalized).is_err()
    {
        return false;
    }
    match option {
        "do_lower_case" => normalized.get() == "a",
        "strip_accents" => normalized.get() == "e",
        _ => normalized.get().contains(' '),
    }
}

#[cfg(test)]
#[path = "tokenizer_class_tests.rs"]
mod tests;
