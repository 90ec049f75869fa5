//! `config.json` of a model: which family, and what that family reads in it.
//!
//! Keys that only matter elsewhere (generation, caching) are kept and written back by the export.

use std::path::{Path, PathBuf};

use retune_roles::Task;
use retune_roles::text::shortened;
use serde_json::{Map, Value};

use super::ModelError;
use super::family::{FAMILIES, Family};
use super::keys::Keys;
use super::shape::Shape;
use super::stand_in;
use crate::files::whole::{self, LARGEST_CONFIG};

/// More weights than any network has (4.4 million million); their bytes, and those of an optimiser's state, are counted in 64 bits.
const MOST_WEIGHTS: u128 = 1 << 42;

/// What would make weights infinite that are drawn.
const WIDEST_START: f64 = 1e4;

/// Bytes of the longest name of a family or a class.
const LONGEST_NAME: usize = 200;

/// Draws beyond the cutoff are made again: nearer than this, nearly all are.
const NEAREST_CUTOFF: f64 = 0.1;

/// What `config.json` says, checked.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// Which family.
    pub family: &'static Family,
    /// What the network is made of.
    pub shape: Shape,
    /// The padding token, when there is one: of `config.json`, or see [`super::Model::settle_padding`].
    pub pad_token_id: Option<u32>,
    /// The token whose row of the table learns nothing from where it is read, by `config.json`: `padding_idx` of torch, for which
    /// -1 is the last row.
    pub(super) unlearnt_token: Option<u32>,
    /// Label names by class, when the config has them and they are the classes 0, 1, … without gaps.
    pub labels: Option<Vec<String>>,
    /// Which task model the checkpoint says it is: `BertForSequenceClassification`.
    pub architectures: Vec<String>,
    pub(super) raw: Map<String, Value>,
    pub(super) path: PathBuf,
}

impl ModelConfig {
    /// Reads a `config.json`, or the one in a directory.
    ///
    /// # Errors
    /// When it cannot be read, lacks a size, or asks for something unsupported.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        Self::read_among(FAMILIES, path)
    }

    /// The same with other families than retune's own.
    ///
    /// # Errors
    /// Those of [`ModelConfig::read`].
    pub fn read_among(families: &[&'static Family], path: &Path) -> Result<Self, ModelError> {
        if let Some(error) = stand_in::run_directory(path).or_else(|| stand_in::adapter(path)) {
            return Err(error);
        }
        let path = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
        let text = whole::read(&path, LARGEST_CONFIG).map_err(ModelError::io(&path, "cannot be read"))?;
        let raw: Map<String, Value> = serde_json::from_slice(&text).map_err(|e| {
            stand_in::pointer(&path).unwrap_or_else(|| ModelError::file(&path, format!("it is not a JSON object: {e}")))
        })?;
        Self::from_json(families, raw, path)
    }

    fn from_json(families: &[&'static Family], raw: Map<String, Value>, path: PathBuf) -> Result<Self, ModelError> {
        let family = family(families, &Keys { map: &raw, path: &path, within: "" })?;
        let filled = family.filled(&raw);
        let keys = Keys { map: &filled, path: &path, within: "" };
        let shape = (family.shape)(&keys)?;
        if raw.get("quantization_config").is_some_and(|v| !v.is_null()) {
            return Err(keys.wrong(
                "quantization_config",
                "quantised checkpoints are not supported; start from the original weights",
            ));
        }
        if raw.get("per_layer_config").is_some_and(|v| !v.is_null()) {
            return Err(keys.wrong("per_layer_config", "blocks with keys of their own are not supported"));
        }
        let sizes = sizes(&shape, &filled);
        if let Some((key, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(keys.wrong(key, "it must be positive"));
        }
        let weights = shape.weights();
        if let Some((key, size)) = sizes.iter().max_by_key(|(_, size)| *size).filter(|_| weights > MOST_WEIGHTS) {
            let reason = format!("with {size} the network has {weights} weights, expected at most {MOST_WEIGHTS}");
            return Err(keys.wrong(key, reason));
        }
        if shape.initializer_range > WIDEST_START {
            let reason = format!("{} is not possible, expected at most {WIDEST_START}", shape.initializer_range);
            return Err(keys.wrong("initializer_range", reason));
        }
        if let Some((key, _)) = family.initial.cutoff
            && keys.positive(key)?.is_some_and(|cutoff| cutoff < NEAREST_CUTOFF)
        {
            return Err(keys.wrong(key, format!("expected at least {NEAREST_CUTOFF} deviations")));
        }
        let rotaries = shape.attention.rotary.iter().flatten();
        if let Some(reason) = rotaries.filter_map(|rotary| rotary.misfit(shape.attention.head_dim)).next() {
            let key = if filled.contains_key("rope_parameters") { "rope_parameters" } else { "rope_scaling" };
            return Err(keys.wrong(key, reason));
        }
        let pad_token_id = keys.token("pad_token_id")?;
        if let Some(id) = pad_token_id.filter(|id| *id as usize >= shape.vocab_size) {
            let size = shape.vocab_size;
            return Err(keys.wrong("pad_token_id", format!("{id} is outside the vocabulary of {size}")));
        }
        let minus_one = filled.get("pad_token_id").and_then(Value::as_i64) == Some(-1);
        let last = u32::try_from(shape.vocab_size - 1).ok().filter(|_| minus_one);
        let unlearnt_token = pad_token_id.or(last).filter(|_| !shape.embeddings.padding_learns);
        let architectures = match raw.get("architectures") {
            Some(Value::Array(list)) => {
                list.iter().filter_map(|v| v.as_str().map(|name| shortened(name, LONGEST_NAME))).collect()
            }
            _ => Vec::new(),
        };
        let labels = labels(&raw);
        Ok(Self { family, shape, pad_token_id, unlearnt_token, labels, architectures, raw, path })
    }

    /// The error about a size that the weights do not have; `keys` are what families call it.
    fn contradicted(&self, keys: &[&str], size: usize, reason: String) -> ModelError {
        let reason = format!("{size}, but {reason}; take the config.json that belongs to these weights");
        ModelError::Config { path: self.path.clone(), key: named(keys, &self.raw).to_owned(), reason }
    }

    /// Refuses sizes that weights with so many blocks and such a token table, `[rows, width]`, do not have. What is not
    /// known is not compared.
    pub(super) fn compare(
        &self,
        weights: &Path,
        blocks: Option<usize>,
        table: Option<&[usize]>,
    ) -> Result<(), ModelError> {
        let (shape, file) = (&self.shape, weights.display());
        let count = shape.num_hidden_layers;
        if let Some(found) = blocks.filter(|found| *found < count) {
            return Err(self.contradicted(BLOCKS, count, format!("{file} has {found} blocks")));
        }
        let Some(&[rows, width]) = table else { return Ok(()) };
        if rows != shape.vocab_size {
            let reason = format!("the token table of {file} has {rows} rows");
            return Err(self.contradicted(&["vocab_size"], shape.vocab_size, reason));
        }
        if width != shape.hidden_size {
            let reason = format!("the token table of {file} has rows of {width}");
            return Err(self.contradicted(&["hidden_size", "n_embd", "dim"], shape.hidden_size, reason));
        }
        Ok(())
    }

    /// The projection whose rows stand for the labels of `task`.
    pub(super) fn classifier_of(&self, task: &Task) -> Option<&'static str> {
        match task {
            Task::SequenceClassification { .. } | Task::MultiLabelClassification { .. } | Task::Regression { .. } => {
                Some(self.shape.classifier.name)
            }
            Task::TokenClassification { .. } => self.shape.token_classifier.map(|head| head.name),
            Task::CausalLm | Task::MaskedLm => None,
        }
    }
}

/// The sizes of a network by the keys that the family has for them.
fn sizes<'a>(shape: &Shape, filled: &Map<String, Value>) -> [(&'a str, usize); 8] {
    let attention = &shape.attention;
    let all: [(&[&str], usize); 8] = [
        (&["vocab_size"], shape.vocab_size),
        (&["hidden_size", "n_embd", "dim"], shape.hidden_size),
        (BLOCKS, shape.num_hidden_layers),
        (&["num_attention_heads", "n_head", "n_heads"], attention.num_attention_heads),
        (&["num_key_value_heads"], attention.num_key_value_heads),
        (&["head_dim"], attention.head_dim),
        (&["intermediate_size", "n_inner", "hidden_dim"], shape.feed_forward.intermediate_size),
        (&["max_position_embeddings", "n_positions"], shape.max_position_embeddings),
    ];
    all.map(|(names, size)| (named(names, filled), size))
}

/// What families call the number of blocks.
const BLOCKS: &[&str] = &["num_hidden_layers", "n_layer", "n_layers"];

/// The one of `names` that is there.
fn named<'a>(names: &[&'a str], map: &Map<String, Value>) -> &'a str {
    names.iter().find(|name| map.contains_key(**name)).or(names.first()).copied().unwrap_or_default()
}

/// Names in a sentence, quoted.
pub(super) fn in_words<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [names @ .., last] if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        names => names.concat(),
    }
}

/// The family that `model_type` names.
fn family(families: &[&'static Family], keys: &Keys) -> Result<&'static Family, ModelError> {
    let known = in_words(families.iter().map(|family| family.model_type));
    match keys.string("model_type")? {
        Some(name) if name.len() > LONGEST_NAME => {
            Err(keys.wrong("model_type", format!("it has {} bytes; supported are {known}", name.len())))
        }
        Some(name) => families.iter().find(|family| family.model_type == name).copied().ok_or_else(|| {
            let likeness = |family: &&Family| strsim::normalized_damerau_levenshtein(family.model_type, &name);
            let nearest = families.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            let nearest = nearest.filter(|family| likeness(family) > 0.4);
            let nearest =
                nearest.map_or_else(String::new, |family| format!("; the nearest is `{}`", family.model_type));
            keys.wrong("model_type", format!("`{name}` is not supported{nearest}; supported are {known}"))
        }),
        None => Err(keys.wrong("model_type", format!("it is missing; supported are {known}"))),
    }
}

/// `id2label` as a list, when it names the classes 0, 1, … without gaps. Whoever needs the labels says what is wrong
/// with others; where the data brings its own, nobody does.
fn labels(raw: &Map<String, Value>) -> Option<Vec<String>> {
    let Some(map) = raw.get("id2label") else {
        // transformers leaves out names that it would make up itself, of two labels or of `num_labels`; where rows have numbers
        // or several labels that is usual.
        let problem = raw.get("problem_type").and_then(Value::as_str);
        let count = raw.get("num_labels").and_then(Value::as_u64).unwrap_or(2);
        let made_up =
            matches!(problem, Some("regression" | "multi_label_classification")) && (1..1 << 16).contains(&count);
        return made_up.then(|| (0..count).map(|i| format!("LABEL_{i}")).collect());
    };
    let map = map.as_object()?;
    let label = |i: usize| match map.get(&i.to_string())? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    (0..map.len()).map(label).collect()
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
