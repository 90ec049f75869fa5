#![allow(clippy::unwrap_used)]
//! A row's logits and gradients do not depend on what else the batch holds, nor on the sequence it lies in.

use retune_roles::{Example, Sequence, Target, Task};
use retune_tensor::{Device, from_float32};

use crate::model::{Base, DropoutSeeds, Input, Layout, Model};

const SIZES: &str = r#""vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 24, "max_position_embeddings": 32, "initializer_range": 0.3"#;

fn model(config: &str, task: &Task) -> Model {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("config.json");
    std::fs::write(&path, format!("{{{SIZES}, {config}}}")).unwrap();
    Model::load(&Base::Config(path), task, 5, &Device::flex()).unwrap().0
}

/// Of each kind of family one, with dropout wherever there is some.
fn models() -> Vec<Model> {
    let classes = Task::SequenceClassification { labels: ["a", "b", "c"].map(String::from).to_vec() };
    let bert = r#""model_type": "bert", "hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2"#;
    let roberta = r#""model_type": "roberta", "hidden_dropout_prob": 0.2, "pad_token_id": 1"#;
    let distilbert =
        r#""model_type": "distilbert", "dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 24, "dropout": 0.2"#;
    let modernbert = r#""model_type": "modernbert", "classifier_pooling": "mean", "local_attention": 4, "mlp_dropout": 0.2,
        "attention_dropout": 0.1, "pad_token_id": 0"#;
    let llama = r#""model_type": "llama", "num_key_value_heads": 2, "attention_dropout": 0.2"#;
    let phi3 = r#""model_type": "phi3", "resid_pdrop": 0.2, "sliding_window": 3, "pad_token_id": 0"#;
    let gemma3 = r#""model_type": "gemma3_text", "head_dim": 6, "num_key_value_heads": 2, "attention_dropout": 0.2,
        "sliding_window": 3, "sliding_window_pattern": 2, "final_logit_softcapping": 4.0"#;
    let olmo2 = r#""model_type": "olmo2", "num_key_value_heads": 2, "attention_dropout": 0.2"#;
    let gpt2 = r#""model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 32"#;
    let classifiers = [bert, roberta, distilbert, modernbert, llama].map(|config| model(config, &classes));
    let predictors = [llama, phi3, gemma3, olmo2, gpt2].map(|config| model(config, &Task::CausalLm));
    classifiers.into_iter().chain(predictors).collect()
}

/// Rows of these lengths; every other one has a second segment.
fn rows(lengths: &[usize]) -> Vec<Example> {
    let row = |(i, length): (usize, &usize)| {
        let mut sequence = Sequence::of((0..*length).map(|j| (1 + (11 * i + 7 * j) % 39) as u32).collect());
        if i % 2 == 1 {
            sequence.segments = (0..*length).map(|j| u8::from(2 * j > *length)).collect();
        }
        Example::new(format!("row {i}"), sequence, Target::None)
    };
    lengths.iter().enumerate().map(row).collect()
}

/// Logits of the rows one after the other, without padding, and gradients of a sum of them in which every logit has
/// a factor of its own; rows are numbered from `first`.
fn pass(model: &Model, input: &Input, seeds: Option<&[u64]>, first: usize) -> (Vec<f32>, Vec<Vec<f32>>) {
    let seeds = seeds.map(|seeds| DropoutSeeds::new(seeds.to_vec()));
    let weights = model.weights(true);
    let forward = model.forward(&weights, input, seeds.as_ref()).unwrap();
    let shape = forward.logits.shape().to_vec();
    let width = shape[shape.len() - 1];
    let factors = |row: usize, place: usize| -> Vec<f32> {
        (0..width).map(|i| ((row * 31 + place * 7 + i) as f32).sin()).collect()
    };
    let layout = input.layout();
    let rows = (0..layout.rows().len()).map(|row| row + first);
    let (all, real): (Vec<Vec<f32>>, Vec<bool>) = if shape.len() == 2 {
        rows.map(|row| (factors(row, 0), true)).unzip()
    } else {
        let each = rows.zip(layout.spans()).flat_map(|(row, span)| (0..span.len()).map(move |place| (row, place)));
        let each: Vec<Vec<f32>> = each.map(|(row, place)| factors(row, place)).collect();
        let real = layout.pad_values(&vec![true; each.len()], false);
        (layout.pad_values(&each, vec![0.0; width]), real)
    };
    let logits = forward.logits.to_float32().unwrap();
    let logits = logits.chunks(width).zip(real).filter(|(_, real)| *real).flat_map(|(line, _)| line.to_vec()).collect();
    let factors = from_float32(all.concat(), &shape, model.device()).unwrap();
    let loss = forward.logits.mul(&factors).unwrap().sum(&[], false).unwrap();
    let gradients = weights.backward(&loss).unwrap();
    (logits, gradients.into_iter().map(|g| g.map_or(Vec::new(), |g| g.to_float32().unwrap())).collect())
}

#[track_caller]
fn close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1.0f32, |most, x| most.max(x.abs()));
    let off = found.iter().zip(expected).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(off <= 1e-5 * largest, "{what}: {off} of {largest}");
}

const LENGTHS: [usize; 4] = [5, 1, 9, 3];
const SEEDS: [u64; 4] = [11, 12, 13, 14];

#[test]
fn a_batch_of_mixed_lengths_gives_what_each_row_gives_alone() {
    for model in models() {
        let rows = rows(&LENGTHS);
        for dropout in [false, true] {
            let input = model.input(&rows.iter().collect::<Vec<_>>()).unwrap();
            let together = pass(&model, &input, dropout.then_some(&SEEDS[..]), 0);
            let mut alone = (Vec::new(), vec![Vec::<f32>::new(); model.parameters().len()]);
            for (i, row) in rows.iter().enumerate() {
                let input = model.input(&[row]).unwrap();
                let (logits, gradients) = pass(&model, &input, dropout.then_some(&SEEDS[i..=i]), i);
                alone.0.extend(logits);
                for (sum, gradient) in alone.1.iter_mut().zip(gradients) {
                    sum.resize(gradient.len(), 0.0);
                    sum.iter_mut().zip(gradient).for_each(|(sum, x)| *sum += x);
                }
            }
            close("logits", &together.0, &alone.0);
            for (parameter, (found, expected)) in model.parameters().iter().zip(together.1.iter().zip(&alone.1)) {
                close(&parameter.name, found, expected);
            }
        }
    }
}

#[test]
fn rows_packed_into_one_sequence_give_what_they_give_in_two() {
    for model in models() {
        let rows = rows(&LENGTHS);
        for dropout in [false, true] {
            let seeds = dropout.then_some(&SEEDS[..]);
            let mut input = model.input(&rows.iter().collect::<Vec<_>>()).unwrap();
            let apart = pass(&model, &input, seeds, 0);
            input.layout = Layout::packed([vec![5, 1], vec![9, 3]]).into();
            let packed = pass(&model, &input, seeds, 0);
            close("logits", &packed.0, &apart.0);
            for (parameter, (found, expected)) in model.parameters().iter().zip(packed.1.iter().zip(&apart.1)) {
                close(&parameter.name, found, expected);
            }
        }
    }
}

/// Which parameters learn, by a name and their depth among `deepest`.
type Learns = fn(&str, u32, u32) -> bool;

#[test]
fn recomputed_blocks_give_the_bits_of_kept_ones() {
    let learns: [Learns; 4] = [
        |_, _, _| true,
        // The upper half, with constants below it.
        |_, depth, _| depth > 1,
        // Below blocks that are frozen.
        |_, depth, _| depth == 0,
        // One matrix in the middle of each block.
        |name, depth, deepest| depth > 0 && depth < deepest && (name.contains("value") || name.contains("up_proj")),
    ];
    for mut model in models() {
        let rows = rows(&LENGTHS);
        let depths: Vec<u32> = model.parameters().iter().map(|p| model.layers()[p.layer].depth).collect();
        let deepest = depths.iter().copied().max().unwrap();
        for learns in learns {
            let which: Vec<bool> =
                model.parameters().iter().zip(&depths).map(|(p, depth)| learns(&p.name, *depth, deepest)).collect();
            (0..which.len()).for_each(|index| model.parameters_mut().set_trainable(index, which[index]));
            if !which.contains(&true) {
                continue;
            }
            for seeds in [None, Some(&SEEDS[..])] {
                let mut input = model.input(&rows.iter().collect::<Vec<_>>()).unwrap();
                for packed in [false, true] {
                    if packed {
                        input.layout = Layout::packed([vec![5, 1], vec![9, 3]]).into();
                    }
                    model.set_gradient_checkpointing(false);
                    let kept = pass(&model, &input, seeds, 0);
                    model.set_gradient_checkpointing(true);
                    let recomputed = pass(&model, &input, seeds, 0);
                    let name = model.config().family.model_type;
                    assert!(kept.0 == recomputed.0, "{name}: logits");
                    for (parameter, (kept, found)) in model.parameters().iter().zip(kept.1.iter().zip(&recomputed.1)) {
                        assert_eq!(kept.is_empty(), !parameter.trainable, "{name}: {}", parameter.name);
                        assert!(kept == found, "{name}: {} of {:?}", parameter.name, parameter.shape());
                    }
                }
            }
        }
    }
}

#[test]
fn two_forward_passes_of_one_view_are_recomputed_both() {
    let mut model = models().remove(0);
    let rows = rows(&LENGTHS);
    let inputs = [&rows[..2], &rows[2..]].map(|rows| model.input(&rows.iter().collect::<Vec<_>>()).unwrap());
    let mut both = [false, true].map(|recomputed| {
        model.set_gradient_checkpointing(recomputed);
        let weights = model.weights(true);
        let [first, second] = inputs
            .each_ref()
            .map(|input| model.forward(&weights, input, None).unwrap().logits.sum(&[], false).unwrap());
        let loss = first.mul(&second).unwrap();
        let parts = weights.backward(&loss).unwrap();
        parts.into_iter().map(|part| part.map_or(Vec::new(), |part| part.to_float32().unwrap())).collect::<Vec<_>>()
    });
    for (parameter, (kept, found)) in model.parameters().iter().zip(both[0].clone().iter().zip(&mut both[1])) {
        close(&parameter.name, found, kept);
    }
}

#[test]
fn dropout_changes_the_logits_of_every_model() {
    for model in models() {
        let rows = rows(&LENGTHS);
        let input = model.input(&rows.iter().collect::<Vec<_>>()).unwrap();
        assert_ne!(pass(&model, &input, None, 0).0, pass(&model, &input, Some(&SEEDS), 0).0);
    }
}
