//! What a model's own files say of generation: `generation_config.json`, else `config.json`, as transformers reads them.

use std::path::Path;

use serde_json::{Map, Value};

use super::GenerationSpec;
use crate::files::whole::{self, LARGEST_CONFIG};
use crate::model::{Keys, ModelError};

/// Settings that would change what comes out, each with the value that changes nothing.
const UNSUPPORTED: [(&str, f64); 9] = [
    ("num_beams", 1.0),
    ("no_repeat_ngram_size", 0.0),
    ("typical_p", 1.0),
    ("epsilon_cutoff", 0.0),
    ("eta_cutoff", 0.0),
    ("guidance_scale", 1.0),
    ("penalty_alpha", 0.0),
    ("encoder_repetition_penalty", 1.0),
    ("encoder_no_repeat_ngram_size", 0.0),
];

/// Others, which change something wherever they are set.
const UNSUPPORTED_LISTS: [&str; 8] = [
    "bad_words_ids",
    "suppress_tokens",
    "begin_suppress_tokens",
    "sequence_bias",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "exponential_decay_length_penalty",
    "top_h",
];

impl GenerationSpec {
    /// What the files of a model in Hugging Face layout say: end tokens, and how its authors draw. And what they say that
    /// is not done here, a sentence each.
    ///
    /// # Errors
    /// A file cannot be read, or holds a value of another kind.
    pub fn of_model(directory: &Path) -> Result<(Self, Vec<String>), ModelError> {
        let path = directory.join("generation_config.json");
        let (path, map) = match read(&path)? {
            Some(map) => (path, map),
            // A model without the file: transformers takes what its config.json says.
            None => {
                let path = directory.join("config.json");
                let map = read(&path)?.unwrap_or_default();
                (path, map)
            }
        };
        let keys = Keys { map: &map, path: &path, within: "" };
        let mut spec = Self { eos_token_id: ids(&keys, "eos_token_id")?, ..Self::default() };
        if let Some(count) = keys.optional_size("max_new_tokens")? {
            spec.max_new_tokens = count;
        }
        if let Some(count) = keys.optional_size("min_new_tokens")? {
            spec.min_new_tokens = count;
        }
        if let Some(sample) = keys.flag("do_sample")? {
            spec.do_sample = sample;
        }
        if let Some(count) = keys.optional_size("top_k")? {
            spec.top_k = count;
        }
        for (key, value) in [
            ("temperature", &mut spec.temperature),
            ("top_p", &mut spec.top_p),
            ("repetition_penalty", &mut spec.repetition_penalty),
        ] {
            if let Some(number) = number(&keys, key)? {
                *value = number;
            }
        }
        spec.min_p = number(&keys, "min_p")?;
        spec.stop_strings = match map.get("stop_strings") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(texts)) if texts.iter().all(Value::is_string) => {
                texts.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            Some(other) => {
                return Err(keys.wrong("stop_strings", format!("expected texts, found {}", Keys::found(other))));
            }
        };
        Ok((spec, ignored(&map, &path)))
    }
}

fn read(path: &Path) -> Result<Option<Map<String, Value>>, ModelError> {
    let bytes = match whole::read(path, LARGEST_CONFIG) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ModelError::Io { path: path.to_owned(), action: "cannot be read", source }),
    };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(map)) => Ok(Some(map)),
        Ok(_) => Err(ModelError::File { path: path.to_owned(), reason: "expected a JSON object".to_owned() }),
        Err(e) => Err(ModelError::File { path: path.to_owned(), reason: format!("it is not JSON: {e}") }),
    }
}

fn number(keys: &Keys, key: &str) -> Result<Option<f64>, ModelError> {
    match keys.map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let expected = || keys.wrong(key, format!("expected a number, found {}", Keys::found(value)));
            value.as_f64().map(Some).ok_or_else(expected)
        }
    }
}

/// One id, or a list of them.
fn ids(keys: &Keys, key: &str) -> Result<Vec<u32>, ModelError> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let read = match keys.map.get(key) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(id).collect(),
        Some(value) => id(value).map(|id| vec![id]),
    };
    let found = || keys.map.get(key).map_or_else(String::new, Keys::found);
    read.ok_or_else(|| keys.wrong(key, format!("expected a token id or a list of them, found {}", found())))
}

/// What is asked for and not done.
fn ignored(map: &Map<String, Value>, path: &Path) -> Vec<String> {
    let told = |key: &str, value: &Value| {
        format!(
            "{}: `{key}` is {}, which retune does not do: texts are continued without it, and differ from transformers'",
            path.display(),
            Keys::found(value)
        )
    };
    let numbers = UNSUPPORTED.iter().filter_map(|(key, neutral)| {
        let value = map.get(*key).filter(|value| value.as_f64().is_some_and(|number| number != *neutral))?;
        Some(told(key, value))
    });
    let lists = UNSUPPORTED_LISTS.iter().filter_map(|key| {
        let value = map.get(*key).filter(|value| !value.is_null() && value.as_array().is_none_or(|l| !l.is_empty()))?;
        Some(told(key, value))
    });
    numbers.chain(lists).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(files: &[(&str, &str)]) -> Result<(GenerationSpec, Vec<String>), ModelError> {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(place.path().join(name), text).unwrap();
        }
        GenerationSpec::of_model(place.path())
    }

    #[test]
    fn the_generation_config_goes_before_the_config() {
        let config = ("config.json", r#"{"eos_token_id": 2, "vocab_size": 5}"#);
        let (spec, told) = of(&[config]).unwrap();
        assert_eq!((spec, told), (GenerationSpec { eos_token_id: vec![2], ..GenerationSpec::default() }, vec![]));
        let own = r#"{"eos_token_id": [4, 7], "do_sample": true, "temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0.1,
            "repetition_penalty": 1.1, "stop_strings": "User:", "num_beams": 1, "bad_words_ids": null}"#;
        let (spec, told) = of(&[config, ("generation_config.json", own)]).unwrap();
        let expected = GenerationSpec {
            eos_token_id: vec![4, 7],
            do_sample: true,
            temperature: 0.6,
            top_p: 0.95,
            top_k: 20,
            min_p: Some(0.1),
            repetition_penalty: 1.1,
            stop_strings: vec!["User:".to_owned()],
            ..GenerationSpec::default()
        };
        assert_eq!((spec, told), (expected, vec![]));
    }

    #[test]
    fn what_is_not_done_is_told_and_what_is_no_setting_is_refused() {
        let (_, told) = of(&[("generation_config.json", r#"{"num_beams": 4, "suppress_tokens": [3]}"#)]).unwrap();
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("`num_beams` is 4, which retune does not do"), "{}", told[0]);
        let error = of(&[("generation_config.json", r#"{"eos_token_id": "</s>"}"#)]).unwrap_err().to_string();
        assert!(error.contains("`eos_token_id`: expected a token id or a list of them, found \"</s>\""), "{error}");
        let error = of(&[("generation_config.json", "[]")]).unwrap_err().to_string();
        assert!(error.contains("expected a JSON object"), "{error}");
    }
}
