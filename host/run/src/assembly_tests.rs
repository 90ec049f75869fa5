//! What data and model must agree about, seen where both are known.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use retune_data::Tokenization;
use retune_roles::{Task, Tokenizer as _};
use retune_tensor::Device;
use retune_train::model::{Base, Model};
use serde_json::{Value, json};

/// The padding token of rows, and that of a classifier that names none itself, for a tokenizer of these files.
fn padding(files: &[(&str, Value)]) -> [Option<u32>; 2] {
    let place = tempfile::tempdir().unwrap();
    let tokenizer = json!({ "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": { "type": "WordLevel", "unk_token": "<unk>",
            "vocab": { "<unk>": 0, "<s>": 1, "</s>": 2, "config": 3, "map": 4, "file": 5, "a": 6 } } });
    let write = |name: &str, value: &Value| std::fs::write(place.path().join(name), value.to_string()).unwrap();
    write("tokenizer.json", &tokenizer);
    for (name, value) in files {
        match *name {
            "padding" | "added_tokens" => {
                let mut tokenizer = tokenizer.clone();
                tokenizer[name] = value.clone();
                write("tokenizer.json", &tokenizer);
            }
            name => write(name, value),
        }
    }
    [of_rows(place.path()), of_model(place.path())]
}

fn of_rows(tokenizer: &Path) -> Option<u32> {
    let tokenizer = Tokenization::open(tokenizer).unwrap();
    tokenizer.pad().or(tokenizer.eos())
}

fn of_model(tokenizer: &Path) -> Option<u32> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("config.json");
    let config = json!({ "model_type": "llama", "vocab_size": 16, "hidden_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 8 });
    std::fs::write(&path, config.to_string()).unwrap();
    let task = Task::SequenceClassification { labels: vec!["no".into(), "yes".into()] };
    let mut model = Model::load(&Base::Config(path), &task, 1, &Device::flex()).unwrap().0;
    model.settle_padding(tokenizer).unwrap();
    model.config().pad_token_id
}

#[test]
fn rows_and_model_have_one_padding_token_whatever_the_tokenizers_files_say() {
    let (settings, map) = ("tokenizer_config.json", "special_tokens_map.json");
    let pads = |token: &str| {
        json!({ "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": null, "pad_id": 5, "pad_type_id": 0,
            "pad_token": token })
    };
    let named = json!({ "pad_token": "config", "eos_token": "</s>" });
    let of_map = json!({ "pad_token": { "content": "map" } });
    let added = json!({ "content": "<fill>", "lstrip": false, "normalized": false, "rstrip": false, "single_word": false,
        "special": true });
    let alone = json!({ "pad_token": "<fill>", "added_tokens_decoder": { "7": added } });
    let null = json!({ "pad_token": null, "eos_token": "</s>" });
    let class = json!({ "tokenizer_class": "LlamaTokenizerFast" });
    let cases = [
        ("the file pads with it", vec![("padding", pads("file"))], Some(5)),
        ("the config names another", vec![("padding", pads("file")), (settings, named.clone())], Some(3)),
        ("the map a third", vec![("padding", pads("file")), (settings, named), (map, of_map.clone())], Some(4)),
        ("the config lists its tokens", vec![("padding", pads("file")), (settings, alone), (map, of_map)], Some(7)),
        ("the config says that there is none", vec![("padding", pads("file")), (settings, null)], Some(2)),
        ("the class has an end token", vec![(settings, class)], Some(2)),
        ("the kind of model names the class", vec![("config.json", json!({ "model_type": "llama" }))], Some(2)),
        ("nobody speaks of one", vec![], None),
    ];
    for (case, files, expected) in cases {
        assert_eq!(padding(&files), [expected; 2], "{case}");
    }
}

#[test]
fn what_a_recipe_names_is_told_as_what_it_is() {
    use super::Wants;
    let told = |wants: Wants, path: &str| wants.problem(Path::new(path)).unwrap_or_default();
    assert_eq!(told(Wants::File, "/dev/zero"), "is a device, not a file");
    assert_eq!(told(Wants::Folder, "/dev/zero"), "is a device, not a folder");
    assert_eq!(told(Wants::File, "src"), "is a folder, not a file");
    assert_eq!(told(Wants::Folder, "Cargo.toml"), "is a file, not a folder");
    assert_eq!(told(Wants::File, "no/such"), "does not exist");
    assert_eq!(told(Wants::File, "Cargo.toml") + &told(Wants::Folder, "src"), "");
}
