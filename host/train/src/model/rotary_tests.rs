#![allow(clippy::unwrap_used)]
//! Values of transformers 5.24: `ROPE_INIT_FUNCTIONS[rope_type](config, seq_len)` for heads of 16.
use std::path::Path;

use serde_json::{Value, json};

use super::*;

fn read(config: &Value, positions: usize) -> Rotary {
    let mut map = config.as_object().unwrap().clone();
    map.insert("max_position_embeddings".into(), positions.into());
    Rotary::read(&Keys { map: &map, path: Path::new("config.json"), within: "" }).unwrap()
}

#[track_caller]
fn agree(config: Value, positions: usize, longest: usize, expected: [f64; 8], attention: f64) {
    let rotary = read(&config, positions);
    let (found, factor) = frequencies(16, rotary.theta, &rotary.scaling, longest);
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) / expected - 1.0).abs() < 5e-7, "{found} and {expected} of {config}");
    }
    assert!((f64::from(factor) - attention).abs() < 1e-6, "{factor}");
}

#[test]
fn linear_scaling_is_that_of_transformers() {
    let expected = [2.5e-1, 7.905694097e-2, 2.5e-2, 7.905694656e-3, 2.5e-3, 7.905694656e-4, 2.5e-4, 7.905694656e-5];
    agree(json!({ "rope_scaling": { "type": "linear", "factor": 4.0 } }), 64, 0, expected, 1.0);
    agree(json!({ "rope_parameters": { "rope_type": "linear", "factor": 4 } }), 64, 900, expected, 1.0);
}

#[test]
fn dynamic_scaling_is_that_of_transformers_for_documents_of_their_length() {
    let config = json!({ "rope_scaling": { "rope_type": "dynamic", "factor": 4.0 } });
    let unscaled = [1.0, 3.162277639e-1, 1e-1, 3.162277862e-2, 1e-2, 3.162277862e-3, 1.000000047e-3, 3.162277862e-4];
    agree(config.clone(), 64, 3, unscaled, 1.0);
    agree(config.clone(), 64, 64, unscaled, 1.0);
    let longer = [
        1.0,
        2.672230005e-1,
        7.140812278e-2,
        1.908189245e-2,
        5.099120084e-3,
        1.362601994e-3,
        3.641185758e-4,
        9.730085003e-5,
    ];
    agree(config.clone(), 64, 100, longer, 1.0);
    let longest = [
        1.0,
        2.192124724e-1,
        4.805410281e-2,
        1.053405832e-2,
        2.309196861e-3,
        5.062047276e-4,
        1.109663863e-4,
        2.432521251e-5,
    ];
    agree(config.clone(), 64, 256, longest, 1.0);
    assert_eq!(read(&config, 64).longest_row(), Some(256));
}

#[test]
fn yarn_is_that_of_transformers() {
    let settings = json!({ "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64 });
    let expected = [
        1.0,
        2.371708155e-1,
        4.999999702e-2,
        7.905694656e-3,
        2.499999944e-3,
        7.905694656e-4,
        2.500000119e-4,
        7.905694656e-5,
    ];
    agree(json!({ "rope_scaling": settings }), 256, 0, expected, 1.138629436111989);
    // Without a factor it is the ratio of both lengths.
    let settings = json!({ "rope_type": "yarn", "original_max_position_embeddings": 64 });
    agree(json!({ "rope_scaling": settings }), 256, 0, expected, 1.138629436111989);

    let settings = json!({ "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 8.0,
        "beta_slow": 2.0, "truncate": false, "mscale": 0.7, "mscale_all_dim": 1.3 });
    let expected = [
        1.0,
        1.605891585e-1,
        2.500000037e-2,
        7.905694656e-3,
        2.499999944e-3,
        7.905694656e-4,
        2.500000119e-4,
        7.905694656e-5,
    ];
    agree(json!({ "rope_scaling": settings }), 256, 0, expected, 0.9295234923939468);
}

#[test]
fn the_scaling_of_llama_3_1_is_that_of_transformers() {
    let expected = [
        1.0,
        1.939227581e-1,
        3.760603070e-2,
        7.292665076e-3,
        4.295567051e-4,
        8.570255886e-6,
        1.661967417e-6,
        3.222932889e-7,
    ];
    let settings = json!({ "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192 });
    agree(json!({ "rope_theta": 500000.0, "rope_scaling": settings }), 131_072, 0, expected, 1.0);
}
