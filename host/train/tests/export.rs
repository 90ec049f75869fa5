//! An exported model is the model: it loads again, and what did not train keeps its bytes.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use retune_roles::{Example, InitScheme, Sequence, Target};
use retune_tensor::Device;
use retune_train::model::{Base, ExportForm, Model, Task, task_of_checkpoint};
use safetensors::{Dtype, SafeTensors};
use serde_json::json;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

fn load(directory: &Path, task: &Task) -> Model {
    Model::load(&Base::Directory(directory.to_owned()), task, 1, &Device::flex()).unwrap().0
}

fn classes() -> Task {
    Task::SequenceClassification { labels: ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec() }
}

fn logits(model: &Model) -> Vec<f32> {
    let example = Example::new("a", Sequence::of(vec![3, 4, 5, 6]), Target::None);
    let input = model.input(&[&example]).unwrap();
    model.forward(&model.weights(false), &input, None).unwrap().logits.to_float32().unwrap()
}

#[test]
fn an_exported_model_loads_again_and_gives_the_same_logits() {
    for (name, task) in [
        ("bert-tiny", classes()),
        ("llama-tiny", Task::CausalLm),
        ("llama-classifier-tiny", {
            Task::SequenceClassification { labels: ["x", "y", "z"].map(str::to_owned).to_vec() }
        }),
    ] {
        let mut model = load(&fixture(name), &task);
        (0..model.parameters().len())
            .step_by(4)
            .for_each(|i| model.reinitialize(i, InitScheme::Normal(0.1), 3).unwrap());
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("model");
        model.export(&directory, None).unwrap();
        assert_eq!(task_of_checkpoint(&directory).unwrap(), task);
        let again = load(&directory, &task);
        assert_eq!(logits(&model), logits(&again), "{name}");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left beside the model");
    }
}

#[test]
fn the_config_names_the_task_and_its_labels() {
    let place = tempfile::tempdir().unwrap();
    load(&fixture("bert-tiny"), &classes()).export(&place.path().join("model"), None).unwrap();
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.path().join("model/config.json")).unwrap()).unwrap();
    assert_eq!(config["architectures"][0], "BertForSequenceClassification");
    assert_eq!((&config["id2label"]["4"], &config["label2id"]["e"]), (&"e".into(), &4.into()));
    assert_eq!((&config["torch_dtype"], &config["vocab_size"]), (&"float32".into(), &200.into()));
}

#[test]
fn what_did_not_train_keeps_its_bytes_and_its_format() {
    let mut model = load(&fixture("llama-tiny-bf16-sharded"), &Task::CausalLm);
    let trained = model.parameters().index_of("lm_head.weight").unwrap();
    let moved = model.parameters().get("lm_head.weight").unwrap().value.mul_scalar(1.001).unwrap();
    model.parameters_mut().set_value(trained, moved).unwrap();
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("model");
    model.export(&directory, None).unwrap();

    let bytes = std::fs::read(directory.join("model.safetensors")).unwrap();
    let exported = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(SafeTensors::read_metadata(&bytes).unwrap().1.metadata().as_ref().unwrap()["format"], "pt");
    let mut compared = 0;
    for shard in 1..=3 {
        let bytes =
            std::fs::read(fixture("llama-tiny-bf16-sharded").join(format!("model-0000{shard}-of-00003.safetensors")))
                .unwrap();
        for (name, before) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            let after = exported.tensor(name).unwrap();
            if name == "lm_head.weight" {
                assert_eq!(after.dtype(), Dtype::F32, "a trained weight loses nothing");
            } else {
                assert_eq!((after.dtype(), after.data()), (before.dtype(), before.data()), "{name}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared + 1, model.parameters().len());
    assert_eq!(logits(&model), logits(&load(&directory, &Task::CausalLm)));
}

#[test]
fn a_model_is_replaced_whole_and_anything_else_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("model");
    let mut model = load(&fixture("bert-tiny"), &classes());
    model.export(&directory, None).unwrap();
    std::fs::write(directory.join("vocab.txt"), "old").unwrap();
    model.reinitialize(0, InitScheme::Zeros, 0).unwrap();
    model.export(&directory, None).unwrap();
    assert!(!directory.join("vocab.txt").exists(), "nothing of the old model stays");
    assert_eq!(logits(&model), logits(&load(&directory, &classes())));

    // A folder of words, and a model's own repository: what an export does not write, it does not delete.
    for (folder, file) in [("thesis", "chapter.txt"), ("model", "README.md")] {
        let file = place.path().join(folder).join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "words").unwrap();
        let error = model.export(file.parent().unwrap(), None).unwrap_err().to_string();
        let name = file.file_name().unwrap().to_string_lossy();
        assert!(error.contains(&format!("it holds `{name}`, which an export would delete")), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "words");
    }
}

#[test]
fn the_tokenizers_files_go_with_the_model() {
    let place = tempfile::tempdir().unwrap();
    let tokenizer = place.path().join("tokenizer");
    std::fs::create_dir(&tokenizer).unwrap();
    std::fs::write(tokenizer.join("tokenizer.json"), "{}").unwrap();
    std::fs::write(tokenizer.join("README.md"), "not a part of it").unwrap();
    let directory = place.path().join("model");
    let model = load(&fixture("bert-tiny"), &classes());
    model.export(&directory, Some(&tokenizer)).unwrap();
    assert_eq!(std::fs::read_to_string(directory.join("tokenizer.json")).unwrap(), "{}");
    assert!(!directory.join("README.md").exists());
    let error = model.export(&directory, Some(&fixture("minilm"))).unwrap_err().to_string();
    assert!(error.contains("no tokenizer files"), "{error}");
}

#[test]
fn chat_templates_go_with_the_model_and_one_of_the_recipe_in_their_place() {
    let place = tempfile::tempdir().unwrap();
    let tokenizer = place.path().join("tokenizer");
    let more = tokenizer.join("additional_chat_templates");
    std::fs::create_dir_all(&more).unwrap();
    for (file, text) in [("tokenizer.json", "{}"), ("chat_template.jinja", "its own")] {
        std::fs::write(tokenizer.join(file), text).unwrap();
    }
    for (file, text) in [("tool_use.jinja", "with tools"), ("notes.txt", "not a template")] {
        std::fs::write(more.join(file), text).unwrap();
    }
    let own = place.path().join("own.jinja");
    std::fs::write(&own, "the recipe's").unwrap();

    let directory = place.path().join("model");
    let model = load(&fixture("bert-tiny"), &classes());
    let read = |file: &str| std::fs::read_to_string(directory.join(file)).ok();
    model.export(&directory, Some(&tokenizer)).unwrap();
    assert_eq!(read("chat_template.jinja").as_deref(), Some("its own"));
    assert_eq!(read("additional_chat_templates/tool_use.jinja").as_deref(), Some("with tools"));
    assert_eq!(read("additional_chat_templates/notes.txt"), None);
    model.export_as(ExportForm::Whole, &directory, Some(&tokenizer), Some(&own)).unwrap();
    assert_eq!(read("chat_template.jinja").as_deref(), Some("the recipe's"));
    assert!(!directory.join("additional_chat_templates").exists(), "the model did not learn with them");

    std::fs::create_dir(directory.join("additional_chat_templates")).unwrap();
    std::fs::write(directory.join("additional_chat_templates/mine.txt"), "").unwrap();
    let error = model.export(&directory, None).unwrap_err().to_string();
    assert!(error.contains("it holds `additional_chat_templates`"), "{error}");
}

/// A Llama classifier without a padding token in its config, and a tokenizer of these files beside it.
fn without_padding(directory: &Path, tokenizer: &[(&str, serde_json::Value)]) {
    let base = fixture("llama-classifier-tiny");
    std::fs::create_dir_all(directory).unwrap();
    std::fs::copy(base.join("model.safetensors"), directory.join("model.safetensors")).unwrap();
    let config = std::fs::read_to_string(base.join("config.json")).unwrap();
    std::fs::write(directory.join("config.json"), config.replace(r#""pad_token_id": 0"#, r#""pad_token_id": null"#))
        .unwrap();
    for (name, json) in tokenizer {
        std::fs::write(directory.join(name), json.to_string()).unwrap();
    }
}

fn three() -> Task {
    Task::SequenceClassification { labels: ["x", "y", "z"].map(str::to_owned).to_vec() }
}

fn exported_padding(model: &Model, tokenizer: Option<&Path>) -> serde_json::Value {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("model");
    model.export(&directory, tokenizer).unwrap();
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(directory.join("config.json")).unwrap()).unwrap();
    config["pad_token_id"].clone()
}

#[test]
fn a_llama_classifier_without_a_padding_token_gets_that_of_its_tokenizer() {
    let vocabulary = json!({ "added_tokens": [{ "id": 7, "content": "<pad>" }, { "id": 96, "content": "[PAD]" }],
        "model": { "type": "BPE", "vocab": { "<s>": 1, "</s>": 5, "<unk>": 6 } } });
    let pairs = json!([["<s>", 0.0], ["</s>", 0.0], ["a", -1.0], ["<pad>", 0.0]]);
    let unigram = json!({ "padding": { "pad_token": "<pad>" }, "model": { "type": "Unigram", "vocab": pairs } });
    let (settings, map, tokens) = ("tokenizer_config.json", "special_tokens_map.json", "tokenizer.json");
    let named = json!({ "pad_token": "<pad>", "eos_token": "</s>" });
    let as_object = json!({ "pad_token": { "content": "<unk>", "special": true } });
    let decoder = json!({ "pad_token": "<fill>", "added_tokens_decoder": { "8": { "content": "<fill>" } } });
    let cases = [
        ("the settings name it", vec![(settings, named.clone()), (tokens, vocabulary.clone())], 7),
        (
            "the map goes before the settings",
            vec![(settings, named.clone()), (map, as_object.clone()), (tokens, vocabulary.clone())],
            6,
        ),
        ("the settings list their tokens themselves", vec![(settings, decoder), (map, as_object)], 8),
        ("it stands in the vocabulary alone", vec![(tokens, unigram)], 3),
        (
            "there is none",
            vec![(settings, json!({ "eos_token": "</s>", "pad_token": null })), (tokens, vocabulary.clone())],
            5,
        ),
        (
            "it has no embedding",
            vec![(settings, json!({ "eos_token": "</s>", "pad_token": "[PAD]" })), (tokens, vocabulary)],
            5,
        ),
        ("only the model's config knows an end token", vec![(settings, named)], 2),
    ];
    for (case, files, expected) in cases {
        let place = tempfile::tempdir().unwrap();
        without_padding(place.path(), &files);
        let model = load(place.path(), &three());
        assert_eq!(exported_padding(&model, Some(place.path())), expected, "{case}");
        assert_eq!(exported_padding(&model, None), expected, "{case}");
        assert_eq!(model.config().pad_token_id, Some(expected), "{case}");
    }
    let place = tempfile::tempdir().unwrap();
    without_padding(place.path(), &[(settings, json!({ "pad_token": "</s>" })), (tokens, json!({}))]);
    assert_eq!(exported_padding(&load(place.path(), &Task::CausalLm), Some(place.path())), serde_json::Value::Null);
    let classifier = load(&fixture("llama-classifier-tiny"), &three());
    assert_eq!(exported_padding(&classifier, Some(place.path())), 0, "the config's own stays");
}

#[test]
fn a_classifier_that_pads_with_its_end_token_is_read_before_it_in_training_and_after_export() {
    let place = tempfile::tempdir().unwrap();
    let (base, tokenizer, exported) =
        (place.path().join("base"), place.path().join("tokenizer"), place.path().join("m"));
    without_padding(&base, &[]);
    std::fs::create_dir(&tokenizer).unwrap();
    std::fs::write(tokenizer.join("tokenizer_config.json"), json!({ "eos_token": "</s>" }).to_string()).unwrap();
    std::fs::write(tokenizer.join("tokenizer.json"), json!({ "model": { "vocab": { "</s>": 9 } } }).to_string())
        .unwrap();
    let mut model = load(&base, &three());
    model.settle_padding(&tokenizer).unwrap();
    model.export(&exported, Some(&tokenizer)).unwrap();
    let again = load(&exported, &three());
    let of = |model: &Model, rows: &[&[u32]]| {
        let example = |ids: &&[u32]| Example::new("a", Sequence::of(ids.to_vec()), Target::None);
        let examples: Vec<Example> = rows.iter().map(example).collect();
        let input = model.input(&examples.iter().collect::<Vec<_>>()).unwrap();
        model.forward(&model.weights(false), &input, None).unwrap().logits.to_float32().unwrap()
    };
    // Without its last token, because a causal model sees nothing of it before.
    let expected = of(&model, &[&[1, 30, 40]]);
    for model in [&model, &again] {
        assert_eq!(of(model, &[&[1, 30, 40, 9]]), expected);
        let beside_a_longer_row = of(model, &[&[1, 30, 40, 9], &[1, 3, 4, 5, 6, 7, 8]]);
        assert!(beside_a_longer_row.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

#[test]
fn a_language_model_keeps_its_bases_generation_config() {
    let place = tempfile::tempdir().unwrap();
    let base = place.path().join("base");
    std::fs::create_dir(&base).unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture("llama-tiny").join(name), base.join(name)).unwrap();
    }
    let text = "{ \"temperature\": 0.6,\n  \"eos_token_id\": [2, 3] }";
    std::fs::write(base.join("generation_config.json"), text).unwrap();
    let exported = |task: &Task| {
        let directory = place.path().join("model");
        load(&base, task).export(&directory, None).unwrap();
        std::fs::read_to_string(directory.join("generation_config.json")).ok()
    };
    assert_eq!(exported(&Task::CausalLm).as_deref(), Some(text));
    assert_eq!(exported(&three()), None, "a classifier generates nothing");
    load(&base, &Task::CausalLm).export(&base, None).unwrap();
    assert_eq!(std::fs::read_to_string(base.join("generation_config.json")).unwrap(), text, "replacing its own base");
}
