//! `config.json` of BERT and Llama models.
//!
//! Strict where a wrong guess would give wrong numbers: an activation, position
//! scheme, rotary scaling or attention variant that is not implemented here is an
//! error that names the key and what is supported, never a silent default. Keys
//! that only matter elsewhere (generation, caching) are kept and written back by
//! the export.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::ModelError;
use super::keys::Keys;

/// A family of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Bidirectional encoder with absolute positions (Devlin et al. 2018).
    Bert,
    /// Causal decoder with rotary positions and grouped queries (Touvron et al. 2023).
    Llama,
}

/// The non-linearity of the feed-forward blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `gelu`: exact, with the error function.
    Gelu,
    /// `gelu_new`, `gelu_pytorch_tanh`: the tanh approximation.
    GeluTanh,
    /// `relu`.
    Relu,
    /// `silu`, `swish`.
    Silu,
}

/// What `config.json` says, checked.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// Which family.
    pub architecture: Architecture,
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward blocks.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Longest row, in tokens.
    pub max_position_embeddings: usize,
    /// Segments (BERT); zero for Llama.
    pub type_vocab_size: usize,
    /// Non-linearity of the feed-forward blocks.
    pub hidden_act: Activation,
    /// Added to the variance in norms.
    pub norm_eps: f64,
    /// Base of the rotary frequencies (Llama).
    pub rope_theta: f64,
    /// Biases in the attention projections (Llama).
    pub attention_bias: bool,
    /// Biases in the feed-forward projections (Llama).
    pub mlp_bias: bool,
    /// The output projection is the token table.
    pub tie_word_embeddings: bool,
    /// Dropout of embeddings and residual branches.
    pub hidden_dropout: f64,
    /// Dropout of attention probabilities.
    pub attention_dropout: f64,
    /// Dropout before the classifier.
    pub classifier_dropout: f64,
    /// Standard deviation of new weights.
    pub initializer_range: f64,
    /// The padding token, when there is one: of `config.json`, or see [`super::Model::settle_padding`].
    pub pad_token_id: Option<u32>,
    /// Label names by class, when the config has them.
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
        let path = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
        let text = std::fs::read_to_string(&path).map_err(ModelError::io(&path, "cannot be read"))?;
        let raw: Map<String, Value> = serde_json::from_str(&text)
            .map_err(|e| ModelError::file(&path, format!("it is not a JSON object: {e}")))?;
        Self::from_json(raw, path)
    }

    fn from_json(raw: Map<String, Value>, path: PathBuf) -> Result<Self, ModelError> {
        let keys = Keys { map: &raw, path: &path, within: "" };
        let mut config = match keys.string("model_type")?.as_deref() {
            Some("bert") => bert(&keys)?,
            Some("llama") => llama(&keys)?,
            Some(other) => {
                return Err(
                    keys.wrong("model_type", format!("`{other}` is not supported; supported are `bert` and `llama`"))
                );
            }
            None => return Err(keys.wrong("model_type", "it is missing; supported are `bert` and `llama`")),
        };
        if raw.get("quantization_config").is_some_and(|v| !v.is_null()) {
            return Err(keys.wrong(
                "quantization_config",
                "quantised checkpoints are not supported; start from the original weights",
            ));
        }
        let config_sizes = [
            ("vocab_size", config.vocab_size),
            ("hidden_size", config.hidden_size),
            ("num_attention_heads", config.num_attention_heads),
            ("num_key_value_heads", config.num_key_value_heads),
            ("head_dim", config.head_dim),
            ("intermediate_size", config.intermediate_size),
            ("max_position_embeddings", config.max_position_embeddings),
        ];
        if let Some((key, _)) = config_sizes.iter().find(|(_, size)| *size == 0) {
            return Err(keys.wrong(key, "it must be positive"));
        }
        if let Some(id) = config.pad_token_id.filter(|id| *id as usize >= config.vocab_size) {
            let size = config.vocab_size;
            return Err(keys.wrong("pad_token_id", format!("{id} is outside the vocabulary of {size}")));
        }
        config.labels = labels(&keys)?;
        config.architectures = match raw.get("architectures") {
            Some(Value::Array(list)) => list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        };
        config.raw = raw;
        config.path = path;
        Ok(config)
    }

    /// What the base model is called inside task models: `bert.`, `model.`.
    pub(super) fn base_prefix(&self) -> &'static str {
        match self.architecture {
            Architecture::Bert => "bert.",
            Architecture::Llama => "model.",
        }
    }
}

fn bert(keys: &Keys) -> Result<ModelConfig, ModelError> {
    let hidden_size = keys.size("hidden_size")?;
    let heads = keys.size("num_attention_heads")?;
    if heads == 0 || hidden_size % heads != 0 {
        return Err(keys.wrong("num_attention_heads", format!("{heads} heads do not divide hidden_size {hidden_size}")));
    }
    keys.only("position_embedding_type", &["absolute"])?;
    keys.must_be_off("is_decoder")?;
    keys.must_be_off("add_cross_attention")?;
    let hidden_act = match keys.string("hidden_act")?.as_deref() {
        None | Some("gelu") => Activation::Gelu,
        Some("gelu_new" | "gelu_pytorch_tanh") => Activation::GeluTanh,
        Some("relu") => Activation::Relu,
        Some("silu" | "swish") => Activation::Silu,
        Some(other) => {
            return Err(keys.wrong(
                "hidden_act",
                format!("`{other}` is not supported; supported are gelu, gelu_new, gelu_pytorch_tanh, relu and silu"),
            ));
        }
    };
    let hidden_dropout = keys.probability("hidden_dropout_prob")?.unwrap_or(0.1);
    Ok(ModelConfig {
        architecture: Architecture::Bert,
        vocab_size: keys.size("vocab_size")?,
        hidden_size,
        intermediate_size: keys.size("intermediate_size")?,
        num_hidden_layers: keys.size("num_hidden_layers")?,
        num_attention_heads: heads,
        num_key_value_heads: heads,
        head_dim: hidden_size / heads,
        max_position_embeddings: keys.size("max_position_embeddings")?,
        type_vocab_size: keys.optional_size("type_vocab_size")?.unwrap_or(2),
        hidden_act,
        norm_eps: keys.positive("layer_norm_eps")?.unwrap_or(1e-12),
        rope_theta: 0.0,
        attention_bias: true,
        mlp_bias: true,
        tie_word_embeddings: false,
        hidden_dropout,
        attention_dropout: keys.probability("attention_probs_dropout_prob")?.unwrap_or(0.1),
        classifier_dropout: keys.probability("classifier_dropout")?.unwrap_or(hidden_dropout),
        initializer_range: keys.positive("initializer_range")?.unwrap_or(0.02),
        pad_token_id: keys.token("pad_token_id")?.or(keys.map.get("pad_token_id").is_none().then_some(0)),
        labels: None,
        architectures: Vec::new(),
        raw: Map::new(),
        path: PathBuf::new(),
    })
}

fn llama(keys: &Keys) -> Result<ModelConfig, ModelError> {
    let hidden_size = keys.size("hidden_size")?;
    let heads = keys.size("num_attention_heads")?;
    let kv_heads = keys.optional_size("num_key_value_heads")?.unwrap_or(heads);
    if heads == 0 || kv_heads == 0 || heads % kv_heads != 0 {
        return Err(
            keys.wrong("num_key_value_heads", format!("{kv_heads} does not divide num_attention_heads {heads}"))
        );
    }
    let head_dim = match keys.optional_size("head_dim")? {
        Some(width) => width,
        None if hidden_size % heads == 0 => hidden_size / heads,
        None => {
            return Err(
                keys.wrong("num_attention_heads", format!("{heads} heads do not divide hidden_size {hidden_size}"))
            );
        }
    };
    if head_dim % 2 != 0 {
        return Err(keys.wrong("head_dim", format!("{head_dim} is odd; rotary positions turn pairs")));
    }
    keys.only("hidden_act", &["silu", "swish"])?;
    Ok(ModelConfig {
        architecture: Architecture::Llama,
        vocab_size: keys.size("vocab_size")?,
        hidden_size,
        intermediate_size: keys.size("intermediate_size")?,
        num_hidden_layers: keys.size("num_hidden_layers")?,
        num_attention_heads: heads,
        num_key_value_heads: kv_heads,
        head_dim,
        max_position_embeddings: keys.optional_size("max_position_embeddings")?.unwrap_or(2048),
        type_vocab_size: 0,
        hidden_act: Activation::Silu,
        norm_eps: keys.positive("rms_norm_eps")?.unwrap_or(1e-6),
        rope_theta: rope_theta(keys)?,
        attention_bias: keys.flag("attention_bias")?.unwrap_or(false),
        mlp_bias: keys.flag("mlp_bias")?.unwrap_or(false),
        tie_word_embeddings: keys.flag("tie_word_embeddings")?.unwrap_or(false),
        hidden_dropout: 0.0,
        attention_dropout: keys.probability("attention_dropout")?.unwrap_or(0.0),
        classifier_dropout: 0.0,
        initializer_range: keys.positive("initializer_range")?.unwrap_or(0.02),
        pad_token_id: keys.token("pad_token_id")?,
        labels: None,
        architectures: Vec::new(),
        raw: Map::new(),
        path: PathBuf::new(),
    })
}

/// `rope_theta` and `rope_scaling` (transformers 4), or `rope_parameters` with
/// both inside (transformers 5).
fn rope_theta(keys: &Keys) -> Result<f64, ModelError> {
    let mut theta = keys.positive("rope_theta")?;
    for block in ["rope_scaling", "rope_parameters"] {
        let inside = match keys.map.get(block) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(inside)) => inside,
            Some(other) => return Err(keys.wrong(block, format!("expected an object, found {other}"))),
        };
        let within = Keys { map: inside, path: keys.path, within: block };
        within.only("rope_type", &["default"])?;
        within.only("type", &["default"])?;
        if within.positive("partial_rotary_factor")?.is_some_and(|factor| factor != 1.0) {
            return Err(within.wrong("partial_rotary_factor", "only 1 is supported"));
        }
        theta = within.positive("rope_theta")?.or(theta);
    }
    if keys.positive("partial_rotary_factor")?.is_some_and(|factor| factor != 1.0) {
        return Err(keys.wrong("partial_rotary_factor", "only 1 is supported"));
    }
    Ok(theta.unwrap_or(10_000.0))
}

/// `id2label` as a list, when it names the classes 0, 1, … without gaps.
fn labels(keys: &Keys) -> Result<Option<Vec<String>>, ModelError> {
    let map = match keys.map.get("id2label") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(map)) => map,
        Some(other) => return Err(keys.wrong("id2label", format!("expected an object, found {other}"))),
    };
    let label = |i: usize| map.get(&i.to_string()).and_then(Value::as_str).map(str::to_owned);
    let labels: Option<Vec<String>> = (0..map.len()).map(label).collect();
    labels
        .map(Some)
        .ok_or_else(|| keys.wrong("id2label", "its keys must be \"0\", \"1\", … without gaps, and its values text"))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
