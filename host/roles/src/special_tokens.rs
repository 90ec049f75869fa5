//! Which text a tokenizer uses as start, end or padding token, from the files of its directory, as `transformers` finds it.
//!
//! Four places can speak of a token, and the first that does decides: `special_tokens_map.json` (unless
//! `tokenizer_config.json` lists its tokens in `added_tokens_decoder`: then the config stands alone),
//! `tokenizer_config.json`, the tokenizer's class, and for padding what `tokenizer.json` pads with. `null` speaks: it means that there
//! is none. Rows are made with these tokens and a classifier is read by them, so both ask here.

use serde_json::Value;

/// Classes that are BERT's under another name.
const BERT: [&str; 7] = [
    "BertTokenizer",
    "ConvBertTokenizer",
    "DistilBertTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "ElectraTokenizer",
    "MobileBertTokenizer",
];

/// What the files of one tokenizer say.
#[derive(Clone, Copy, Debug)]
pub struct SpecialTokens<'a> {
    class: &'a str,
    config: &'a Value,
    map: &'a Value,
    padding: Option<&'a str>,
}

impl<'a> SpecialTokens<'a> {
    /// Of `tokenizer_config.json` and `special_tokens_map.json`, each `null` when there is none; the `model_type` of
    /// the `config.json` beside them, which names the class where the tokenizer's own config does not; and the token
    /// that `tokenizer.json` pads with.
    pub fn new(config: &'a Value, map: &'a Value, model_type: Option<&str>, padding: Option<&'a str>) -> Self {
        let alone = config.get("added_tokens_decoder").is_some();
        let class = match config.get("tokenizer_class").and_then(Value::as_str) {
            Some(class) => class.trim_end_matches("Fast"),
            None => match model_type {
                Some("bert" | "distilbert" | "electra" | "mobilebert") => "BertTokenizer",
                Some("gpt2") => "GPT2Tokenizer",
                Some("llama") => "LlamaTokenizer",
                Some("roberta") => "RobertaTokenizer",
                _ => "PreTrainedTokenizer",
            },
        };
        Self { class, config, map: if alone { &Value::Null } else { map }, padding }
    }

    /// The tokenizer's class, without `Fast`.
    pub fn class(&self) -> &'a str {
        self.class
    }

    /// Whether the class is BERT's.
    pub fn is_bert(&self) -> bool {
        BERT.contains(&self.class)
    }

    /// The token in a role: `pad_token`, `eos_token`, …
    ///
    /// ```
    /// # use retune_roles::SpecialTokens;
    /// # use serde_json::{Value, json};
    /// let config = json!({ "pad_token": { "content": "<pad>" } });
    /// let tokens = SpecialTokens::new(&config, &Value::Null, Some("llama"), Some("[PAD]"));
    /// assert_eq!(tokens.text("pad_token"), Some("<pad>"));
    /// assert_eq!(tokens.text("eos_token"), Some("</s>"));
    /// ```
    pub fn text(&self, role: &str) -> Option<&'a str> {
        if let Some(named) = self.map.get(role).or_else(|| self.config.get(role)) {
            return content(named);
        }
        let padding = || self.padding.filter(|_| role == "pad_token");
        self.of_class(role).or_else(padding)
    }

    fn of_class(&self, role: &str) -> Option<&'static str> {
        Some(match (self.class, role) {
            (_, "unk_token") if self.is_bert() => "[UNK]",
            (_, "sep_token") if self.is_bert() => "[SEP]",
            (_, "pad_token") if self.is_bert() => "[PAD]",
            (_, "cls_token") if self.is_bert() => "[CLS]",
            (_, "mask_token") if self.is_bert() => "[MASK]",
            ("GPT2Tokenizer", "bos_token" | "eos_token") => "<|endoftext|>",
            ("LlamaTokenizer" | "RobertaTokenizer", "bos_token") => "<s>",
            ("LlamaTokenizer" | "RobertaTokenizer", "eos_token") => "</s>",
            ("RobertaTokenizer", "cls_token") => "<s>",
            ("RobertaTokenizer", "sep_token") => "</s>",
            ("RobertaTokenizer", "pad_token") => "<pad>",
            _ => return None,
        })
    }
}

/// The text of a token that is given as text or as an object.
pub fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The padding token when `tokenizer_config.json`, `special_tokens_map.json` and `tokenizer.json` say this.
    fn padding(config: Value, map: Value, file: Option<&str>) -> Option<String> {
        SpecialTokens::new(&config, &map, Some("llama"), file).text("pad_token").map(str::to_owned)
    }

    #[test]
    fn where_the_files_disagree_the_padding_token_is_that_of_transformers() {
        let named = |text: &str| json!({ "pad_token": text });
        let alone = json!({ "pad_token": "config", "added_tokens_decoder": { "8": { "content": "config" } } });
        let silent = json!({ "added_tokens_decoder": {} });
        let map = json!({ "pad_token": { "content": "map", "special": true } });
        let null = json!({ "pad_token": null });
        for (config, map, file, expected) in [
            (named("config"), map.clone(), Some("file"), Some("map")),
            (named("config"), json!({}), Some("file"), Some("config")),
            (alone.clone(), map.clone(), Some("file"), Some("config")),
            (silent, map.clone(), Some("file"), Some("file")),
            (json!({}), Value::Null, Some("file"), Some("file")),
            (null.clone(), Value::Null, Some("file"), None),
            (named("config"), null, Some("file"), None),
            (Value::Null, Value::Null, None, None),
        ] {
            assert_eq!(padding(config.clone(), map.clone(), file).as_deref(), expected, "{config} {map} {file:?}");
        }
    }

    #[test]
    fn what_a_class_has_goes_before_what_the_file_pads_with_and_after_what_is_named() {
        let class = |name: &str, config: Value| {
            let mut config = config;
            config["tokenizer_class"] = json!(name);
            padding(config, Value::Null, Some("file"))
        };
        assert_eq!(class("BertTokenizerFast", json!({})).as_deref(), Some("[PAD]"));
        assert_eq!(class("ElectraTokenizer", json!({ "pad_token": "own" })).as_deref(), Some("own"));
        assert_eq!(class("GPT2Tokenizer", json!({})).as_deref(), Some("file"));
    }

    #[test]
    fn what_the_file_pads_with_is_no_other_token() {
        let tokens = SpecialTokens::new(&Value::Null, &Value::Null, None, Some("file"));
        assert_eq!((tokens.text("eos_token"), tokens.class()), (None, "PreTrainedTokenizer"));
    }
}
