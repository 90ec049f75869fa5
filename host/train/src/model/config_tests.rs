#![allow(clippy::unwrap_used, clippy::panic)]
use serde_json::json;

use super::*;
use crate::model::rotary::{RopeScaling, Rotary};
use crate::model::shape::NormShape;

fn read(value: Value) -> Result<ModelConfig, ModelError> {
    match value {
        Value::Object(map) => ModelConfig::from_json(FAMILIES, map, PathBuf::from("base/config.json")),
        _ => unreachable!("an object"),
    }
}

fn with(mut base: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

fn bert_json() -> Value {
    json!({ "model_type": "bert", "vocab_size": 100, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 48, "max_position_embeddings": 32 })
}

fn llama_json() -> Value {
    json!({ "model_type": "llama", "vocab_size": 100, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 48 })
}

#[test]
fn absent_keys_have_the_defaults_of_transformers() {
    let bert = read(bert_json()).unwrap();
    let shape = bert.shape;
    assert_eq!(shape.norm, NormShape::Layer { epsilon: 1e-12 });
    assert_eq!((shape.dropout, shape.attention.dropout, shape.classifier.dropout), (0.1, 0.1, 0.1));
    let segments = shape.embeddings.segments.unwrap().1;
    assert_eq!((segments, bert.pad_token_id, shape.attention.head_dim), (2, Some(0), 6));
    let llama = read(llama_json()).unwrap();
    let shape = llama.shape;
    let rotary = shape.attention.rotary.unwrap();
    assert_eq!((shape.norm, shape.max_position_embeddings), (NormShape::Rms { epsilon: 1e-6 }, 2048));
    assert_eq!(rotary, Rotary { theta: 10_000.0, scaling: RopeScaling::Default });
    assert_eq!((shape.attention.num_key_value_heads, llama.pad_token_id), (4, None));
    assert!(!shape.language_head.unwrap().tied);
}

#[test]
fn a_padding_token_is_the_last_of_the_vocabulary_at_most_and_minus_one_is_none() {
    let padding = |id: i64| read(with(llama_json(), json!({ "pad_token_id": id }))).unwrap().pad_token_id;
    assert_eq!((padding(99), padding(-1)), (Some(99), None));
}

#[test]
fn both_spellings_of_the_rotary_settings_are_read() {
    let old = read(with(llama_json(), json!({ "rope_theta": 5e5, "rope_scaling": null }))).unwrap();
    let new =
        read(with(llama_json(), json!({ "rope_parameters": { "rope_theta": 5e5, "rope_type": "default" } }))).unwrap();
    let theta = |config: ModelConfig| config.shape.attention.rotary.unwrap().theta;
    assert_eq!((theta(old), theta(new)), (5e5, 5e5));
}

#[test]
fn what_would_give_other_numbers_is_refused_by_name() {
    for (base, changes, message) in [
        (bert_json(), json!({ "hidden_act": "mish" }), "base/config.json: `hidden_act`: `mish` is not supported"),
        (
            bert_json(),
            json!({ "position_embedding_type": "relative_key" }),
            "`position_embedding_type`: `relative_key` is not supported; supported: absolute",
        ),
        (bert_json(), json!({ "is_decoder": true }), "`is_decoder`: true is not supported"),
        (bert_json(), json!({ "num_attention_heads": 5 }), "5 heads do not divide hidden_size 24"),
        (bert_json(), json!({ "vocab_size": "many" }), "`vocab_size`: expected a whole number, found \"many\""),
        (bert_json(), json!({ "vocab_size": null }), "`vocab_size`: it is missing"),
        (bert_json(), json!({ "vocab_size": 0 }), "`vocab_size`: it must be positive"),
        (bert_json(), json!({ "pad_token_id": 100 }), "`pad_token_id`: 100 is outside the vocabulary of 100"),
        (llama_json(), json!({ "pad_token_id": 32000 }), "`pad_token_id`: 32000 is outside the vocabulary of 100"),
        (llama_json(), json!({ "pad_token_id": -2 }), "`pad_token_id`: expected a token id, found -2"),
        (bert_json(), json!({ "hidden_dropout_prob": 1.0 }), "`hidden_dropout_prob`: expected a probability below 1"),
        (bert_json(), json!({ "model_type": "gpt2" }), "`gpt2` is not supported; supported are `bert` and `llama`"),
        (
            llama_json(),
            json!({ "hidden_act": "gelu" }),
            "`hidden_act`: `gelu` is not supported; supported: silu, swish",
        ),
        (
            llama_json(),
            json!({ "rope_scaling": { "type": "longrope", "factor": 2.0 } }),
            "`rope_scaling.type`: `longrope` is not supported; supported: default, linear, dynamic, yarn, llama3",
        ),
        (
            llama_json(),
            json!({ "rope_parameters": { "rope_type": "llama3" } }),
            "`rope_parameters.low_freq_factor`: it is missing; this `rope_type` needs it",
        ),
        (
            llama_json(),
            json!({ "rope_scaling": { "type": "linear", "factor": 0.5 } }),
            "`rope_scaling.factor`: expected at least 1, found 0.5",
        ),
        (
            llama_json(),
            json!({ "rope_parameters": { "full_attention": { "rope_type": "linear" } } }),
            "`rope_parameters`: settings of its own for `full_attention` are not supported",
        ),
        (llama_json(), json!({ "num_key_value_heads": 3 }), "3 does not divide num_attention_heads 4"),
        (llama_json(), json!({ "head_dim": 7 }), "`head_dim`: 7 is odd"),
        (llama_json(), json!({ "rms_norm_eps": -1.0 }), "`rms_norm_eps`: expected a positive number"),
        (llama_json(), json!({ "quantization_config": { "bits": 4 } }), "quantised checkpoints are not supported"),
    ] {
        match read(with(base, changes)) {
            Err(error) => assert!(error.to_string().contains(message), "{error}\n  lacks: {message}"),
            Ok(_) => panic!("accepted: {message}"),
        }
    }
}

#[test]
fn labels_come_in_the_order_of_their_numbers() {
    let labels: Map<String, Value> = (0..12).rev().map(|i| (i.to_string(), json!(format!("l{i}")))).collect();
    let config = read(with(bert_json(), json!({ "id2label": labels }))).unwrap();
    assert_eq!(config.labels.unwrap()[10], "l10");
}

#[test]
fn labels_may_be_whole_numbers_and_gaps_are_no_labels() {
    let labels = |map: Value| read(with(bert_json(), json!({ "id2label": map }))).unwrap().labels;
    assert_eq!(labels(json!({ "0": 3, "1": 4 })), Some(vec!["3".to_owned(), "4".to_owned()]));
    assert_eq!(labels(json!({ "1": "a", "2": "b" })), None);
}
