//! What is frozen costs nothing, and rows do not see each other.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use retune_roles::{Example, InitScheme, LayerKind, Sequence, Target};
use retune_tensor::Device;
use retune_train::model::pattern::Patterns;
use retune_train::model::{Base, DropoutSeeds, Model, Task};

fn bert() -> Model {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bert-tiny");
    let task = Task::SequenceClassification { labels: (0..5).map(|i| format!("LABEL_{i}")).collect() };
    Model::load(&Base::Directory(directory), &task, 1, &Device::flex()).unwrap().0
}

fn llama() -> Model {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/llama-tiny");
    Model::load(&Base::Directory(directory), &Task::CausalLm, 1, &Device::flex()).unwrap().0
}

fn row(key: &str, ids: &[u32]) -> Example {
    Example::new(key, Sequence::of(ids.to_vec()), Target::Class(1))
}

fn freeze(model: &mut Model, patterns: &[&str]) {
    let patterns = Patterns::new(&patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()).unwrap();
    for index in model.select(&patterns).unwrap() {
        model.parameters_mut().set_trainable(index, false);
    }
}

#[test]
fn frozen_lower_layers_get_no_gradient_and_their_work_is_not_recorded() {
    let mut model = bert();
    freeze(&mut model, &["embeddings", "encoder.layer.0"]);
    let rows = [row("a", &[5, 6, 7]), row("b", &[8, 9])];
    let input = model.input(&rows.iter().collect::<Vec<_>>()).unwrap();
    let weights = model.weights(true);
    let loss = model.forward(&weights, &input, None).unwrap().logits.sum(&[], false).unwrap();
    let gradients = weights.backward(&loss).unwrap();
    for (parameter, gradient) in model.parameters().iter().zip(&gradients) {
        let lower = parameter.name.contains("embeddings") || parameter.name.contains("layer.0.");
        assert_eq!(gradient.is_none(), lower, "{}", parameter.name);
    }
    // Everything frozen but the head: the hidden states record nothing at all.
    freeze(&mut model, &["encoder", "embeddings"]);
    let weights = model.weights(true);
    let forward = model.forward(&weights, &input, None).unwrap();
    assert!(!forward.hidden().is_tracked());
    assert!(forward.logits.is_tracked());
    // Everything frozen: the loss says so.
    freeze(&mut model, &["**"]);
    let weights = model.weights(true);
    let loss = model.forward(&weights, &input, None).unwrap().logits.sum(&[], false).unwrap();
    assert!(weights.backward(&loss).unwrap_err().to_string().contains("is everything frozen?"));
}

#[test]
fn a_frozen_layer_in_the_middle_passes_the_gradient_on_unchanged() {
    let rows = [row("a", &[5, 6, 7])];
    let gradients = |model: &Model| {
        let input = model.input(&[&rows[0]]).unwrap();
        let weights = model.weights(true);
        let loss =
            model.forward(&weights, &input, None).unwrap().logits.pow_scalar(2.0).unwrap().sum(&[], false).unwrap();
        weights.backward(&loss).unwrap()
    };
    let whole = bert();
    let mut partial = bert();
    freeze(&mut partial, &["encoder.layer.*.mlp"]);
    let (all, some) = (gradients(&whole), gradients(&partial));
    for (index, parameter) in whole.parameters().iter().enumerate() {
        match &some[index] {
            Some(gradient) => assert_eq!(
                gradient.to_float32().unwrap(),
                all[index].as_ref().unwrap().to_float32().unwrap(),
                "{}",
                parameter.name
            ),
            None => assert!(
                parameter.name.contains(".intermediate.")
                    || parameter.name.contains(".1.output.")
                    || parameter.name.contains(".0.output.")
            ),
        }
    }
}

#[test]
fn a_row_gives_the_same_logits_alone_and_beside_longer_ones() {
    for model in [bert(), llama()] {
        let rows = [row("a", &[5, 6, 7]), row("b", &[8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18])];
        let run = |rows: &[&Example], seeds: Vec<u64>| {
            let input = model.input(rows).unwrap();
            let forward = model.forward(&model.weights(false), &input, Some(&DropoutSeeds::new(seeds))).unwrap();
            forward.logits.to_float32().unwrap()
        };
        let (alone, beside) = (run(&[&rows[0]], vec![7]), run(&[&rows[0], &rows[1]], vec![7, 8]));
        let worst = alone.iter().zip(&beside).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{worst}");
    }
}

#[test]
fn dropout_changes_the_logits_and_repeats_with_its_seed() {
    let model = bert();
    let rows = [row("a", &[5, 6, 7])];
    let run = |seed: Option<u64>| {
        let input = model.input(&[&rows[0]]).unwrap();
        let seeds = seed.map(|s| DropoutSeeds::new(vec![s]));
        model.forward(&model.weights(false), &input, seeds.as_ref()).unwrap().logits.to_float32().unwrap()
    };
    assert_eq!(run(Some(1)), run(Some(1)));
    assert_ne!(run(Some(1)), run(Some(2)));
    assert_ne!(run(Some(1)), run(None));
}

#[test]
fn every_parameter_belongs_to_one_layer_and_layers_come_in_depth_order() {
    for (model, head) in [(bert(), "classifier"), (llama(), "lm_head")] {
        let layers = model.layers();
        let mut counts = vec![0; layers.len()];
        for parameter in model.parameters() {
            counts[parameter.layer] += parameter.numel();
        }
        assert_eq!(counts, layers.iter().map(|l| l.parameters).collect::<Vec<_>>());
        assert!(layers.windows(2).all(|pair| pair[0].depth <= pair[1].depth));
        assert_eq!((layers[0].depth, layers[0].kind), (0, LayerKind::Embedding));
        assert_eq!((layers.last().unwrap().name.as_str(), layers.last().unwrap().kind), (head, LayerKind::Head));
        let attention = layers.iter().find(|l| l.kind == LayerKind::Attention).unwrap();
        let mlp = layers.iter().find(|l| l.kind == LayerKind::Mlp).unwrap();
        assert_eq!((attention.depth, mlp.depth), (1, 1));
    }
}

#[test]
fn biases_and_norms_do_not_decay() {
    for parameter in bert().parameters() {
        let exempt = parameter.name.ends_with(".bias") || parameter.name.contains("LayerNorm");
        assert_eq!(parameter.decay, !exempt, "{}", parameter.name);
    }
}

#[test]
fn reinitialised_parameters_repeat_with_the_seed_and_pretrained_ones_come_back() {
    let mut model = bert();
    let index = model.parameters().index_of("bert.encoder.layer.1.output.dense.weight").unwrap();
    let before = model.parameters().fingerprint(index).unwrap();
    model.reinitialize(index, InitScheme::Normal(0.02), 5).unwrap();
    let first = model.parameters().fingerprint(index).unwrap();
    assert_ne!(before, first);
    model.reinitialize(index, InitScheme::XavierUniform, 5).unwrap();
    model.reinitialize(index, InitScheme::Normal(0.02), 5).unwrap();
    assert_eq!(first, model.parameters().fingerprint(index).unwrap());
    model.reinitialize(index, InitScheme::Pretrained, 0).unwrap();
    assert_eq!(before, model.parameters().fingerprint(index).unwrap());
}

#[test]
fn a_config_alone_gives_the_same_new_model_for_the_same_seed() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/llama-tiny/config.json");
    let load = |seed| Model::load(&Base::Config(config.clone()), &Task::CausalLm, seed, &Device::flex()).unwrap();
    let ((one, report), (same, _), (other, _)) = (load(1), load(1), load(2));
    assert_eq!(report.new.len(), one.parameters().len());
    let prints = |model: &Model| {
        (0..model.parameters().len()).map(|i| model.parameters().fingerprint(i).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(prints(&one), prints(&same));
    assert_ne!(prints(&one), prints(&other));
}

#[test]
fn bad_rows_are_refused_by_key() {
    let model = bert();
    let long: Vec<u32> = (0..41).map(|i| 1 + i % 100).collect();
    let mut segment = row("d", &[5, 6]);
    segment.sequences[0].segments = vec![0, 2];
    let mut pair = row("e", &[5, 6]);
    pair.sequences.push(Sequence::of(vec![7]));
    for (example, message) in [
        (row("a", &[]), "sample a: it has no tokens"),
        (row("b", &long), "sample b: it has 41 tokens, but the model has 40 positions"),
        (
            row("c", &[5, 200]),
            "sample c: token id 200 is outside the model's vocabulary of 200; the tokenizer does not fit the model",
        ),
        (segment, "sample d: token type 2, but the model has 2"),
        (pair, "sample e: it has 2 sequences, expected one"),
    ] {
        let error = model.input(&[&example]).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let error = model.input(&[]).unwrap_err();
    assert!(error.to_string().contains("at least one row"));
}

#[test]
fn bert_refuses_causal_language_modelling() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bert-tiny");
    let error = Model::load(&Base::Directory(directory), &Task::CausalLm, 1, &Device::flex()).unwrap_err();
    assert!(error.to_string().contains("use a model that predicts the next token"), "{error}");
}
