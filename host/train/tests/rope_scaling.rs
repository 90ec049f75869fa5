//! Llama models with scaled rotary positions have the logits of transformers.
#![allow(clippy::unwrap_used)]

mod formula;

use formula::{config, distance, last_logits, model, row};
use serde_json::{Value, json};

/// Printed by `tests/reference/tiny_logits.py`.
const DEFAULT: [f64; 24] = [
    2.31921, 2.21008, 1.81262, 1.17869, 0.390986, -0.447725, -1.22803, -1.84812, -2.2271, -2.31554, -2.1019, -1.61404,
    -0.915607, -0.0977291, 0.732899, 1.46791, 2.01142, 2.29252, 2.27454, 1.95982, 1.38942, 0.63776, -0.197103,
    -1.00625,
];
const LINEAR: [f64; 24] = [
    1.939, 2.36213, 2.4771, 2.2689, 1.76471, 1.03029, 0.161456, -0.728439, -1.5233, -2.11943, -2.43907, -2.4405,
    -2.12354, -1.52955, -0.736008, 0.15355, 1.02308, 1.75913, 2.26569, 2.47667, 2.36454, 1.94393, 1.26972, 0.429859,
];
const DYNAMIC: [f64; 24] = [
    -2.93643, -2.52246, -1.77942, -0.804228, 0.27588, 1.32, 2.19191, 2.77786, 3.00141, 2.8334, 2.29575, 1.45859,
    0.43114, -0.652554, -1.65111, -2.43427, -2.89985, -2.98712, -2.68469, -2.03201, -1.11424, -0.0510984, 1.0187,
    1.95561,
];
const YARN: [f64; 24] = [
    2.31721,
    2.17413,
    1.74741,
    1.09273,
    0.295487,
    -0.540304,
    -1.30561,
    -1.90058,
    -2.2476,
    -2.3014,
    -2.05496,
    -1.54043,
    -0.824937,
    -0.00182004,
    0.821535,
    1.53771,
    2.05328,
    2.30098,
    2.24849,
    1.90266,
    1.30861,
    0.543843,
    -0.291876,
    -1.08952,
];
const LLAMA3: [f64; 24] = [
    2.25823, 2.45248, 2.32679, 1.89754, 1.22074, 0.384685, -0.501559, -1.32237, -1.97066, -2.36187, -2.44494, -2.20904,
    -1.68496, -0.941052, -0.0743758, 0.802003, 1.57375, 2.14019, 2.42742, 2.39797, 2.05567, 1.4452, 0.646184,
    -0.237133,
];

fn scaled(settings: Value) -> Value {
    config("llama", json!({ "rope_scaling": settings }))
}

#[test]
fn each_scaling_has_the_logits_of_transformers() {
    let trained = "original_max_position_embeddings";
    for (settings, expected) in [
        (json!(null), DEFAULT),
        (json!({ "rope_type": "linear", "factor": 4.0 }), LINEAR),
        (json!({ "rope_type": "yarn", "factor": 4.0, trained: 16 }), YARN),
        (
            json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, trained: 16 }),
            LLAMA3,
        ),
    ] {
        let found = last_logits(&model(&scaled(settings.clone()), &[]), &[&row(12)]);
        assert!(distance(&found, &expected) < 1e-4, "{settings}: {}", distance(&found, &expected));
        assert!(expected == DEFAULT || distance(&found, &DEFAULT) > 0.01, "{settings} changes something");
    }
}

#[test]
fn dynamic_scaling_takes_the_length_of_each_row_and_not_of_the_batch() {
    let settings = json!({ "rope_type": "dynamic", "factor": 2.0 });
    let config = config("llama", json!({ "max_position_embeddings": 16, "rope_scaling": settings }));
    let model = model(&config, &[]);
    let found = last_logits(&model, &[&row(20)]);
    assert!(distance(&found, &DYNAMIC) < 1e-4, "{}", distance(&found, &DYNAMIC));
    // A short row beside a long one is as when it is alone, and alone it is not scaled.
    let beside = last_logits(&model, &[&row(20), &row(12)]);
    assert!(distance(&beside, &DEFAULT) < 1e-4, "{}", distance(&beside, &DEFAULT));
    // As many times longer as the factor says, and no more.
    let error = model.input(&[&row(33)]).unwrap_err().to_string();
    assert!(error.contains("33 tokens, but the model has 32 positions"), "{error}");
}
