//! Every family agrees with transformers, in all of its variants and with the heads of all tasks: the fixtures that
//! `tests/reference/family_fixtures.py` and `token_task_fixtures.py` wrote, whatever lies there.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use retune_tensor::Device;
use retune_train::AdamW;
use retune_train::model::{Base, Model, task_of_checkpoint};
use retune_train::optimizer::adamw::{Optimizer, Rate};
use retune_train::optimizer::gradients::Gradients;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use support::expected::{Fixture, largest, mean_loss, shown};

/// Of the script that wrote the fixtures.
const LEARNING_RATE: f64 = 2e-3;
const WEIGHT_DECAY: f64 = 0.01;

/// Parameters that transformers' BERT and RoBERTa have and do not read when their heads are not tied.
const UNREAD: [&str; 2] = ["cls.predictions.bias", "lm_head.bias"];

fn fixtures() -> Vec<Fixture> {
    ["families", "token-tasks"].into_iter().flat_map(support::expected::fixtures).collect()
}

fn model(fixture: &Fixture) -> Model {
    let task = task_of_checkpoint(&fixture.directory).unwrap();
    let (model, report) = Model::load(&Base::Directory(fixture.directory.clone()), &task, 1, &Device::flex()).unwrap();
    assert!(report.new.is_empty() && report.replaced.is_empty(), "{}", fixture.name);
    let unused: Vec<&String> = report.unused.iter().filter(|name| !UNREAD.contains(&name.as_str())).collect();
    assert!(unused.is_empty(), "{}: {unused:?}", fixture.name);
    model
}

#[test]
fn logits_are_within_1e_4_of_transformers() {
    for fixture in fixtures() {
        let model = model(&fixture);
        let input = fixture.input(&model);
        let forward = model.forward(&model.weights(false), &input, None).unwrap();
        assert_eq!(forward.logits.shape(), fixture.expected["logits"].0, "{}", fixture.name);
        let found = forward.logits.to_float32().unwrap();
        let expected = fixture.values("logits");
        let off = largest(found.iter().zip(expected).map(|(a, b)| f64::from(*a) - b));
        println!("{}: {off:.1e} of {:.2}", fixture.name, largest(expected.iter().copied()));
        assert!(off <= 1e-4, "{}: {off} away", fixture.name);
    }
}

#[test]
fn the_gradient_of_every_parameter_is_within_1e_4_of_transformers() {
    for fixture in fixtures() {
        let model = model(&fixture);
        let (input, weights) = (fixture.input(&model), model.weights(true));
        let forward = model.forward(&weights, &input, None).unwrap();
        let loss = mean_loss(&forward, &input);
        assert!((loss.item().unwrap() - fixture.values("loss")[0]).abs() < 1e-5, "{}", fixture.name);
        let gradients = weights.backward(&loss).unwrap();
        let named = fixture.expected.keys().filter(|key| key.starts_with("grad."));
        let mut names: Vec<String> = model.parameters().iter().map(|p| format!("grad.{}", p.name)).collect();
        names.sort();
        assert!(named.eq(names.iter()), "{}: the parameters are those of transformers", fixture.name);
        let most = names.iter().map(|name| largest(fixture.values(name).iter().copied())).fold(0.0, f64::max);
        for (parameter, gradient) in model.parameters().iter().zip(&gradients) {
            let found = shown(gradient.as_ref().unwrap());
            let expected = fixture.values(&format!("grad.{}", parameter.name));
            assert_eq!(found.len(), expected.len());
            let off = largest(found.iter().zip(expected).map(|(a, b)| a - b));
            // Some are zero but for rounding, such as that of a bias that shifts all scores alike.
            let size = largest(expected.iter().copied()).max(1e-3 * most);
            assert!(off <= 1e-4 * size, "{}, {}: {off} of {size}", fixture.name, parameter.name);
        }
    }
}

#[test]
fn losses_of_20_steps_of_adamw_are_within_1e_3_of_torch() {
    for fixture in fixtures() {
        let mut model = model(&fixture);
        let mut optimizer = Optimizer::new(AdamW::default(), model.parameters().len());
        let input = fixture.input(&model);
        for (step, expected) in fixture.values("losses").iter().enumerate() {
            let weights = model.weights(true);
            let loss = mean_loss(&model.forward(&weights, &input, None).unwrap(), &input);
            let mut gradients = Gradients::none(model.parameters().len());
            gradients.add(weights.backward(&loss).unwrap()).unwrap();
            let found = loss.item().unwrap();
            assert!((found - expected).abs() < 1e-3, "{}, step {step}: {found}, not {expected}", fixture.name);
            drop((weights, loss));
            let rate = |parameter: &retune_train::model::Parameter| Rate {
                learning_rate: LEARNING_RATE,
                weight_decay: if parameter.decay { WEIGHT_DECAY } else { 0.0 },
            };
            optimizer.update(model.parameters_mut(), gradients, 1.0, rate, false).unwrap();
        }
        let losses = fixture.values("losses");
        assert!(losses[19] < 0.6 * losses[0], "{} learns", fixture.name);
    }
}

#[test]
fn an_export_has_the_names_shapes_formats_and_bytes_that_were_loaded() {
    for fixture in fixtures() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("model");
        model(&fixture).export(&directory, None).unwrap();
        let [before, after] =
            [&fixture.directory, &directory].map(|place| std::fs::read(place.join("model.safetensors")).unwrap());
        let [before, after] = [&before, &after].map(|bytes| SafeTensors::deserialize(bytes).unwrap());
        let read = |file: &SafeTensors| {
            file.names().into_iter().map(|name| (*name).to_owned()).collect::<std::collections::BTreeSet<String>>()
        };
        assert_eq!(read(&before), read(&after), "{}", fixture.name);
        // Of what is not read, the values are those of its other name.
        let untied =
            ["cls.predictions.decoder.weight", "lm_head.decoder.weight"].iter().any(|n| before.tensor(n).is_ok());
        for name in read(&before).iter().filter(|name| !(untied && UNREAD.contains(&name.as_str()))) {
            let [before, after] = [&before, &after].map(|file| file.tensor(name).unwrap());
            let same = (before.shape(), before.dtype(), before.data()) == (after.shape(), after.dtype(), after.data());
            assert!(same, "{}: {name} is written as it was read", fixture.name);
        }
        let [before, after] = [&fixture.directory, &directory].map(|place| {
            let text = std::fs::read(place.join("config.json")).unwrap();
            serde_json::from_slice::<Value>(&text).unwrap()["architectures"].clone()
        });
        assert_eq!(before, after, "{}", fixture.name);
    }
}

/// What the variants are there for does something: with another value the logits are others.
#[test]
fn every_setting_of_a_variant_counts() {
    for (name, key, value) in [
        ("llama-scaled-tied", "rope_parameters", json!({ "rope_theta": 5e5 })),
        ("llama-gelu", "hidden_act", json!("gelu_new")),
        ("qwen2-window-tied", "sliding_window", json!(13)),
        ("mistral", "sliding_window", json!(null)),
        ("qwen3-bias-tied", "layer_types", json!(["sliding_attention", "full_attention", "full_attention"])),
        ("phi3", "sliding_window", json!(4)),
        ("phi3-longrope-long", "original_max_position_embeddings", json!(32)),
        ("phi3-longrope-partial", "original_max_position_embeddings", json!(12)),
        ("gemma2", "attn_logit_softcapping", json!(null)),
        ("gemma2", "final_logit_softcapping", json!(null)),
        ("gemma2", "query_pre_attn_scalar", json!(12)),
        ("gemma2", "layer_types", json!(["full_attention", "sliding_attention"])),
        ("gemma3", "rope_parameters", json!({ "full_attention": { "rope_theta": 1e4 } })),
        ("gemma3", "rope_parameters", json!({ "sliding_attention": { "rope_theta": 1e6 } })),
        ("mistral-both-ropes", "rope_scaling", json!(null)),
        ("smollm3", "no_rope_layers", json!([1, 1, 1])),
        ("smollm3-window-untied", "sliding_window", json!(5)),
        ("roberta", "pad_token_id", json!(2)),
        ("distilbert", "activation", json!("relu")),
        ("gpt2-untied", "scale_attn_by_inverse_layer_idx", json!(false)),
        ("gpt2-untied", "scale_attn_weights", json!(true)),
        ("modernbert", "local_attention", json!(6)),
        ("modernbert-mean", "classifier_pooling", json!("cls")),
        ("modernbert-mean", "classifier_activation", json!("gelu")),
    ] {
        let fixture = fixtures().into_iter().find(|fixture| fixture.name == name).unwrap();
        let place = tempfile::tempdir().unwrap();
        let from = |file: &str| fixture.directory.join(file);
        std::fs::copy(from("model.safetensors"), place.path().join("model.safetensors")).unwrap();
        let mut config: Value = serde_json::from_slice(&std::fs::read(from("config.json")).unwrap()).unwrap();
        config[key] = value;
        std::fs::write(place.path().join("config.json"), config.to_string()).unwrap();
        let changed = Fixture { directory: place.path().to_owned(), ..fixture };
        let model = model(&changed);
        let forward = model.forward(&model.weights(false), &changed.input(&model), None).unwrap();
        let found = forward.logits.to_float32().unwrap();
        let off = largest(found.iter().zip(changed.values("logits")).map(|(a, b)| f64::from(*a) - b));
        assert!(off > 1e-4, "{name}: {key} changes the logits by {off} only");
    }
}

/// OpenAI's files have the names of the base model alone, and the mask of each block.
#[test]
fn a_gpt2_of_the_first_release_loads_without_its_buffers() {
    let fixture = fixtures().into_iter().find(|fixture| fixture.name == "gpt2").unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::copy(fixture.directory.join("config.json"), place.path().join("config.json")).unwrap();
    let bytes = std::fs::read(fixture.directory.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mask = [0u8; 4 * 16 * 16];
    let mask = TensorView::new(Dtype::F32, vec![1, 1, 16, 16], &mask).unwrap();
    let masks = (0..2).map(|block| (format!("h.{block}.attn.bias"), mask.clone()));
    let tensors = file.iter().map(|(name, view)| (name.trim_start_matches("transformer.").to_owned(), view));
    safetensors::serialize_to_file(tensors.chain(masks), None, &place.path().join("model.safetensors")).unwrap();
    let released = Fixture { directory: place.path().to_owned(), ..fixture };
    let model = model(&released);
    let input = released.input(&model);
    let found = model.forward(&model.weights(false), &input, None).unwrap().logits.to_float32().unwrap();
    let off = largest(found.iter().zip(released.values("logits")).map(|(a, b)| f64::from(*a) - b));
    assert!(off <= 1e-4, "{off}");
}

#[test]
fn every_family_has_a_fixture() {
    let seen: Vec<String> = fixtures().iter().map(|f| model(f).config().family.model_type.to_owned()).collect();
    for family in retune_train::model::family::FAMILIES {
        // BERT's are larger, and older.
        assert!(family.model_type == "bert" || seen.contains(&family.model_type.to_owned()), "{}", family.model_type);
    }
}
