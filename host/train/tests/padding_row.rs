//! A token that is also the padding token learns as an output and not as an input, as in transformers
//! (`torch.nn.Embedding` with `padding_idx`), and its row is not cleared.
#![allow(clippy::unwrap_used)]

mod formula;

use formula::{config, distance, model};
use retune_roles::{Example, Sequence, Target};
use retune_tensor::fused;
use serde_json::json;

/// Gradients of the token table, printed by `tests/reference/tiny_logits.py`: the rows of tokens 2 and 9.
const UNTIED: [[f64; 16]; 2] = [
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [
        0.00932343, -0.0563221, -0.103054, -0.135559, -0.153494, -0.160403, -0.148494, -0.112165, -0.048961, 0.0390065,
        0.133662, 0.218091, 0.269698, 0.276946, 0.24117, 0.170988,
    ],
];
const TIED: [[f64; 16]; 2] = [
    [
        0.431874, -0.173368, -0.332346, 0.101337, -0.805823, 0.0934891, -0.521685, -0.151191, 0.0276078, -0.265921,
        0.332059, -0.130625, 0.335885, 0.238643, 0.0719548, 0.638099,
    ],
    [
        0.0455787, -0.0393975, 0.290802, -0.267302, 0.245579, -0.159334, -0.0300741, 0.0605184, -0.208284, 0.12052,
        -0.177735, 0.0355721, 0.00449041, -0.102039, 0.242602, -0.165099,
    ],
];

#[test]
fn the_row_of_an_end_token_that_pads_learns_as_in_transformers() {
    for (tied, expected) in [(false, UNTIED), (true, TIED)] {
        let ends = json!({ "pad_token_id": 2, "eos_token_id": 2, "tie_word_embeddings": tied });
        let model = model(&config("llama", ends), &[]);
        let mut sequence = Sequence::of(vec![5, 9, 2, 7, 11, 2]);
        sequence.learnt = std::iter::once(1..6).collect();
        let example = Example::new("row", sequence, Target::None);
        let input = model.input(&[&example]).unwrap();
        let weights = model.weights(true);
        let forward = model.forward(&weights, &input, None).unwrap();
        let log_probs = fused::token_log_probs(&forward.logits, input.labels().unwrap().unwrap(), -100).unwrap();
        let loss = log_probs.sum(&[], false).unwrap().mul_scalar(-1.0 / 5.0).unwrap();
        let gradients = weights.backward(&loss).unwrap();
        let table = gradients[0].as_ref().unwrap().to_float32().unwrap();
        for (token, expected) in [2, 9].into_iter().zip(&expected) {
            let off = distance(&table[16 * token..16 * (token + 1)], expected);
            assert!(off < 2e-5, "tied {tied}, token {token}: {off}");
        }
    }
}
