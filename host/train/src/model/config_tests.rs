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
    assert_eq!((shape.dropout, shape.attention.dropout, shape.classifier.dropout), ([0.1; 2], 0.1, 0.1));
    let segments = shape.embeddings.segments.unwrap().1;
    assert_eq!((segments, bert.pad_token_id, shape.attention.head_dim), (2, Some(0), 6));
    let llama = read(llama_json()).unwrap();
    let shape = llama.shape;
    let rotary = shape.attention.rotary[1].clone().unwrap();
    assert_eq!((shape.norm, shape.max_position_embeddings), (NormShape::Rms { epsilon: 1e-6 }, 2048));
    assert_eq!(rotary, Rotary { theta: 10_000.0, scaling: RopeScaling::Default, share: 1.0 });
    assert_eq!((shape.attention.num_key_value_heads, llama.pad_token_id), (4, None));
    assert!(!shape.language_head.unwrap().tied);
}

#[test]
fn a_padding_token_is_the_last_of_the_vocabulary_at_most_and_minus_one_is_none() {
    let padding = |id: i64| read(with(llama_json(), json!({ "pad_token_id": id }))).unwrap().pad_token_id;
    assert_eq!((padding(99), padding(-1)), (Some(99), None));
    let unlearnt = |config: Value, id: Value| read(with(config, json!({ "pad_token_id": id }))).unwrap().unlearnt_token;
    assert_eq!(unlearnt(llama_json(), json!(7)), Some(7));
    assert_eq!(unlearnt(llama_json(), json!(-1)), Some(99), "torch counts from the end");
    assert_eq!(unlearnt(llama_json(), Value::Null), None);
    let gpt2 = json!({ "model_type": "gpt2", "vocab_size": 100, "n_embd": 8, "n_head": 2, "n_layer": 1 });
    assert_eq!(unlearnt(gpt2, json!(7)), None, "its table has no `padding_idx`");
}

#[test]
fn both_spellings_of_the_rotary_settings_are_read() {
    let old = read(with(llama_json(), json!({ "rope_theta": 5e5, "rope_scaling": null }))).unwrap();
    let new =
        read(with(llama_json(), json!({ "rope_parameters": { "rope_theta": 5e5, "rope_type": "default" } }))).unwrap();
    let theta = |config: ModelConfig| config.shape.attention.rotary[0].clone().unwrap().theta;
    assert_eq!((theta(old), theta(new)), (5e5, 5e5));
}

#[test]
fn of_two_rotary_settings_the_older_spelling_counts_as_in_transformers() {
    let newer = json!({ "rope_theta": 77.0, "rope_type": "yarn", "factor": 2.0 });
    let rotary = |older: Value| {
        let config = json!({ "rope_theta": 5e5, "rope_scaling": older, "rope_parameters": newer.clone() });
        read(with(llama_json(), config)).unwrap().shape.attention.rotary[0].clone().unwrap()
    };
    let linear = rotary(json!({ "type": "linear", "factor": 4.0 }));
    assert_eq!(linear, Rotary { theta: 5e5, scaling: RopeScaling::Linear { factor: 4.0 }, share: 1.0 });
    for none in [Value::Null, json!({})] {
        assert!(matches!(rotary(none), Rotary { theta: 77.0, scaling: RopeScaling::Yarn { .. }, .. }));
    }
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
        (
            bert_json(),
            json!({ "model_type": "qwen2_moe" }),
            "`qwen2_moe` is not supported; the nearest is `qwen2`; supported are `bert`, `distilbert`,",
        ),
        (
            llama_json(),
            json!({ "hidden_act": "relu2" }),
            "`hidden_act`: `relu2` is not supported; supported: gelu, gelu_new, gelu_pytorch_tanh, relu, silu, swish",
        ),
        (
            llama_json(),
            json!({ "rope_scaling": { "type": "proportional", "factor": 2.0 } }),
            "`rope_scaling.type`: `proportional` is not supported; supported: default, linear, dynamic, yarn, llama3, longrope",
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

fn of(family: &str, changes: Value) -> Value {
    with(with(llama_json(), json!({ "model_type": family, "max_position_embeddings": 64 })), changes)
}

#[test]
fn a_key_that_is_absent_has_the_familys_default_and_null_stays_nothing() {
    let shape = |config: Value| read(config).unwrap().shape;
    let gemma = |changes: Value| shape(of("gemma2", with(json!({ "num_key_value_heads": 2 }), changes)));
    let caps = |shape: &Shape| (shape.attention.soft_cap, shape.language_head.unwrap().soft_cap);
    let plain = gemma(json!({}));
    assert_eq!((caps(&plain), plain.attention.head_dim), ((Some(50.0), Some(30.0)), 256));
    assert_eq!((plain.language_head.unwrap().tied, plain.attention.windows), (true, vec![Some(4096), None]));
    let none = gemma(json!({ "attn_logit_softcapping": null, "final_logit_softcapping": null, "pad_token_id": null }));
    assert_eq!(caps(&none), (None, None));
    assert_eq!(
        read(of("gemma2", json!({ "num_key_value_heads": 2, "pad_token_id": null }))).unwrap().pad_token_id,
        None
    );
    let windows =
        |changes: Value| shape(of("mistral", with(json!({ "num_key_value_heads": 2 }), changes))).attention.windows;
    assert_eq!(windows(json!({})), [Some(4096); 2]);
    assert_eq!(windows(json!({ "sliding_window": null })), []);
}

#[test]
fn configurations_of_transformers_4_and_5_give_one_shape() {
    let kinds = |full: Value, sliding: Value| json!({ "full_attention": full, "sliding_attention": sliding });
    let default = |theta: f64| json!({ "rope_type": "default", "rope_theta": theta });
    let linear = json!({ "rope_type": "linear", "factor": 8.0 });
    let factors = json!([1.0, 1.5]);
    let longrope = json!({ "type": "su", "short_factor": factors, "long_factor": factors });
    for (family, four, five) in [
        (
            "gemma3_text",
            json!({ "rope_theta": 1e6, "rope_local_base_freq": 9e3, "rope_scaling": linear, "sliding_window_pattern": 2 }),
            json!({ "rope_parameters": kinds(with(default(1e6), linear.clone()), default(9e3)),
                "layer_types": ["sliding_attention", "full_attention"] }),
        ),
        (
            "modernbert",
            json!({ "global_rope_theta": 5e4, "local_rope_theta": 9e3, "global_attn_every_n_layers": 2 }),
            json!({ "rope_parameters": kinds(default(5e4), default(9e3)),
                "layer_types": ["full_attention", "sliding_attention"] }),
        ),
        (
            "phi3",
            json!({ "rope_theta": 5e4, "partial_rotary_factor": 0.75, "rope_scaling": longrope,
                "original_max_position_embeddings": 16 }),
            json!({ "rope_parameters": with(with(longrope.clone(), default(5e4)), json!({ "rope_type": "longrope",
                "partial_rotary_factor": 0.75 })), "original_max_position_embeddings": 16 }),
        ),
    ] {
        let shape = |changes: Value| {
            let sizes = json!({ "num_key_value_heads": 2, "pad_token_id": 0 });
            read(of(family, with(sizes, changes))).unwrap().shape
        };
        let (four, five) = (shape(four), shape(five));
        assert_eq!(four, five, "{family}");
        assert_ne!(four.attention.rotary, shape(json!({})).attention.rotary, "{family}");
    }
}

#[test]
fn what_a_family_cannot_do_is_refused_by_name() {
    let kinds = json!({ "layer_types": ["full_attention", "chunked_attention"], "num_key_value_heads": 2 });
    let longrope = |factors: usize| {
        let list = vec![1.0; factors];
        json!({ "pad_token_id": 0, "rope_scaling": { "type": "longrope", "short_factor": list, "long_factor": list } })
    };
    for (config, message) in [
        (
            of("qwen3", kinds),
            "`layer_types`: `chunked_attention` is not supported; supported: full_attention, sliding_attention",
        ),
        (
            of("qwen2", json!({ "layer_types": ["full_attention"], "num_key_value_heads": 2 })),
            "`layer_types`: it has 1 entries for 2 blocks",
        ),
        (
            of("qwen2", json!({ "layer_types": ["full_attention", "sliding_attention"], "num_key_value_heads": 2 })),
            "`layer_types`: some are sliding_attention, but use_sliding_window is not true",
        ),
        (
            of("mistral", json!({ "sliding_window": 0, "num_key_value_heads": 2 })),
            "`sliding_window`: it must be positive",
        ),
        (of("phi3", longrope(2)), "`rope_scaling`: short_factor has 2 factors, but 3 pairs of a head of 6 turn"),
        (
            of("phi3", json!({ "pad_token_id": 0, "partial_rotary_factor": 1.5 })),
            "`partial_rotary_factor`: expected at most 1, found 1.5",
        ),
        (
            of("phi3", json!({ "pad_token_id": 0, "rope_scaling": { "type": "linear", "factor": 2 } })),
            "`rope_scaling`: of its types, Phi-3 has only longrope",
        ),
        (of("llama", json!({ "partial_rotary_factor": 0.5 })), "`partial_rotary_factor`: only 1 is supported"),
        (
            of("gemma2", json!({ "use_bidirectional_attention": true, "num_key_value_heads": 2 })),
            "`use_bidirectional_attention`: true is not supported",
        ),
        (
            of("gemma3_text", json!({ "rope_parameters": { "rope_type": "default" }, "num_key_value_heads": 2 })),
            "`rope_parameters.rope_type`: it is not a kind of blocks; expected full_attention or sliding_attention",
        ),
        (
            of("smollm3", json!({ "no_rope_layers": [1], "pad_token_id": 0 })),
            "`no_rope_layers`: it has 1 entries for 2 blocks",
        ),
        (of("roberta", json!({ "pad_token_id": null })), "`pad_token_id`: it is missing; positions begin behind it"),
        (
            of("roberta", json!({ "pad_token_id": 63 })),
            "`pad_token_id`: 63 leaves no positions of max_position_embeddings 64",
        ),
        (of("distilbert", json!({ "dim": 10, "n_heads": 4 })), "`n_heads`: 4 heads do not divide dim 10"),
        (
            of("gpt2", json!({ "n_embd": 8, "n_head": 4, "n_layer": 1, "add_cross_attention": true })),
            "`add_cross_attention`: true",
        ),
        (
            of("modernbert", json!({ "classifier_pooling": "max" })),
            "`classifier_pooling`: `max` is not supported; supported: cls, mean",
        ),
        (of("gemma", json!({})), "`gemma` is not supported; the nearest is `gemma2`"),
        (
            of("gemma3_text", json!({ "rope_scaling": { "type": "linear", "factor": 8.0 }, "num_key_value_heads": 2 })),
            "`rope_scaling.type`: transformers does not read it in models of this family; name it rope_type",
        ),
        (
            of(
                "modernbert",
                json!({ "rope_parameters": { "full_attention": { "rope_type": "yarn", "truncate": false } } }),
            ),
            "`rope_parameters.full_attention.truncate`: transformers does not read it in models of this family; leave it out",
        ),
        (of("modernbert", json!({ "partial_rotary_factor": 0.5 })), "`partial_rotary_factor`: only 1 is supported"),
        (
            of("llama", json!({ "per_layer_config": { "1": { "intermediate_size": 12 } } })),
            "`per_layer_config`: blocks with keys of their own are not supported",
        ),
    ] {
        match read(config) {
            Err(error) => assert!(error.to_string().contains(message), "{error}\n  lacks: {message}"),
            Ok(_) => panic!("accepted: {message}"),
        }
    }
}

#[test]
fn positions_that_begin_behind_the_padding_token_leave_fewer_for_a_row() {
    let config = read(of("roberta", json!({ "max_position_embeddings": 20 }))).unwrap();
    assert_eq!((config.pad_token_id, config.shape.longest_row()), (Some(1), 18));
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
