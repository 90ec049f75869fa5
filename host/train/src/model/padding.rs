//! The padding token of a classifier that reads the last token, and whose `config.json` names none.
//!
//! `LlamaForSequenceClassification` reads a row at its last token that is not
//! `pad_token_id`, and in transformers it refuses batches without one. Few base models
//! name one, so a classifier takes it from its tokenizer: the padding token, else the end
//! token, which is what one pads with where there is no padding token.
//!
//! It is settled before training, not at the export: a row that ends with that token (a
//! tokenizer may add the end token itself) is read before it. Trained at one place and
//! read at another, the exported model would give other logits. A tokenizer that
//! lies elsewhere than the base model must therefore be named with
//! [`Model::settle_padding`].

use std::path::Path;

use retune_roles::SpecialTokens;
use retune_roles::special_tokens::content;
use serde_json::Value;

use super::shape::Pooling;
use super::{Model, ModelConfig, ModelError, Task};
use crate::files::whole;

/// More than any `tokenizer.json` has.
const LARGEST_TOKENIZER: u64 = 128 << 20;

impl Model {
    /// Takes the padding token of the tokenizer in the directory `tokenizer`, when this
    /// classifies by the last token and its `config.json` names none; else does nothing.
    /// [`Model::load`] does so with a tokenizer beside the base model.
    ///
    /// # Errors
    /// When one of the tokenizer's files cannot be read.
    pub fn settle_padding(&mut self, tokenizer: &Path) -> Result<(), ModelError> {
        if self.lacks_padding() {
            self.config.pad_token_id = of(tokenizer, &self.config)?;
        }
        Ok(())
    }

    /// What the export writes as `pad_token_id`; `None` leaves the base's `config.json` as it is.
    pub(super) fn exported_padding(&self, tokenizer: Option<&Path>) -> Result<Option<u32>, ModelError> {
        match tokenizer {
            _ if !self.lacks_padding() => Ok(None),
            Some(tokenizer) => of(tokenizer, &self.config),
            None => Ok(self.config.pad_token_id),
        }
    }

    fn lacks_padding(&self) -> bool {
        // What transformers takes where the config is silent is as good as named.
        let filled = self.config.family.filled(&self.config.raw);
        let named = filled.get("pad_token_id").and_then(Value::as_u64);
        let classifies = matches!(
            self.task,
            Task::SequenceClassification { .. } | Task::MultiLabelClassification { .. } | Task::Regression { .. }
        );
        classifies && self.config.shape.classifier.pooling == Pooling::LastToken && named.is_none()
    }
}

/// The padding token of a tokenizer, else its end token, else the end token of `config.json`; one that the
/// model has no embedding for is none.
fn of(tokenizer: &Path, config: &ModelConfig) -> Result<Option<u32>, ModelError> {
    let names = ["tokenizer_config.json", "special_tokens_map.json", "tokenizer.json", "config.json"];
    let [settings, map, vocabulary, model] = names.map(|name| json(&tokenizer.join(name)));
    let (settings, map, vocabulary, model) = (settings?, map?, vocabulary?, model?);
    let model_type = model.get("model_type").and_then(Value::as_str);
    let padding = vocabulary.pointer("/padding/pad_token").and_then(Value::as_str);
    let tokens = SpecialTokens::new(&settings, &map, model_type, padding);
    let id = |role: &str| id_of(tokens.text(role)?, &settings, &vocabulary);
    let end = config.raw.get("eos_token_id").and_then(|end| end.get(0).unwrap_or(end).as_u64());
    let candidates = [id("pad_token"), id("eos_token"), end];
    let known = candidates.into_iter().flatten().find(|id| (*id as usize) < config.shape.vocab_size);
    Ok(known.and_then(|id| u32::try_from(id).ok()))
}

/// The id of a token, from whichever file lists it.
fn id_of(token: &str, settings: &Value, vocabulary: &Value) -> Option<u64> {
    let is_it = |entry: &Value| content(entry) == Some(token);
    let added = vocabulary.get("added_tokens").and_then(Value::as_array);
    let added = added.and_then(|list| list.iter().find(|entry| is_it(entry))?.get("id")?.as_u64());
    let decoded = || {
        let decoder = settings.get("added_tokens_decoder")?.as_object()?;
        decoder.iter().find(|(_, entry)| is_it(entry))?.0.parse().ok()
    };
    let listed = || match vocabulary.pointer("/model/vocab")? {
        // Unigram: pairs of token and score, in the order of their ids.
        Value::Array(pairs) => {
            let place = pairs.iter().position(|pair| pair.get(0).and_then(Value::as_str) == Some(token));
            place.map(|place| place as u64)
        }
        map => map.get(token)?.as_u64(),
    };
    added.or_else(decoded).or_else(listed)
}

/// A JSON file; `null` when there is none.
fn json(path: &Path) -> Result<Value, ModelError> {
    if !path.is_file() {
        return Ok(Value::Null);
    }
    let text = whole::read(path, LARGEST_TOKENIZER).map_err(ModelError::io(path, "cannot be read"))?;
    serde_json::from_slice(&text).map_err(|error| ModelError::file(path, format!("it is not JSON: {error}")))
}
