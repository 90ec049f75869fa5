//! Models whose weights are a formula, as in `tests/reference/tiny_logits.py`, which computed what they are compared with.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;

use retune_roles::{Example, Sequence, Target};
use retune_tensor::{AnyTensor, Device, from_float32};
use retune_train::model::family::{FAMILIES, Family};
use retune_train::model::{Base, Model, Task};
use serde_json::{Value, json};

/// The sizes of `tiny_logits.py`, with `changes`.
pub fn config(model_type: &str, changes: Value) -> Value {
    let mut config = json!({ "model_type": model_type, "vocab_size": 24, "hidden_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 24, "head_dim": 8, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 64, "rope_theta": 10000.0 });
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// A language model of `config`, of retune's families and `own`. The k-th parameter by name has the values
/// `0.3 sin(0.37 j + 1.7 k)`, norms one more.
pub fn model(config: &Value, own: &[&'static Family]) -> Model {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("config.json");
    std::fs::write(&path, config.to_string()).unwrap();
    let families: Vec<&'static Family> = FAMILIES.iter().chain(own).copied().collect();
    let mut model = Model::load_among(&families, &Base::Config(path), &Task::CausalLm, 1, &Device::flex()).unwrap().0;
    let names: BTreeMap<String, Vec<usize>> =
        model.parameters().iter().map(|p| (p.name.clone(), p.shape().to_vec())).collect();
    for (k, (name, shape)) in names.iter().enumerate() {
        let around = if name.contains("norm") { 1.0 } else { 0.0 };
        let value = |j: usize| (0.3 * (0.37 * j as f64 + 1.7 * k as f64).sin() + around) as f32;
        let values = (0..shape.iter().product()).map(value).collect();
        let index = model.parameters().index_of(name).unwrap();
        model.parameters_mut().set_value(index, from_float32(values, shape, &Device::flex()).unwrap()).unwrap();
    }
    model
}

/// A row of `length` tokens.
pub fn row(length: u32) -> Example {
    Example::new(
        format!("row of {length}"),
        Sequence::of((0..length).map(|i| (7 * i + 3) % 24).collect()),
        Target::None,
    )
}

/// Logits after the last token of the last of `rows`.
pub fn last_logits(model: &Model, rows: &[&Example]) -> Vec<f32> {
    let input = model.input(rows).unwrap();
    let forward = model.forward(&model.weights(false), &input, None).unwrap();
    let logits: AnyTensor = forward.logits;
    let (all, vocab) = (logits.to_float32().unwrap(), model.config().shape.vocab_size);
    let place = (rows.len() - 1) * input.seq_len() + input.lengths()[rows.len() - 1] - 1;
    all[place * vocab..(place + 1) * vocab].to_vec()
}

/// The largest distance of two lists.
pub fn distance(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}
