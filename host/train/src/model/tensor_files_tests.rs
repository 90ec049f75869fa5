#![allow(clippy::unwrap_used, clippy::panic)]
use std::path::PathBuf;

use super::*;
use crate::model::{Base, Model};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

/// A copy of a fixture that may be damaged.
fn copy(name: &str) -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, target.path().join(path.file_name().unwrap())).unwrap();
    }
    target
}

fn load(directory: &Path, task: &Task) -> Result<(Model, crate::model::LoadReport), String> {
    Model::load(&Base::Directory(directory.to_owned()), task, 1, &retune_tensor::Device::flex())
        .map_err(|e| e.to_string())
}

fn labels(count: usize) -> Task {
    Task::SequenceClassification { labels: (0..count).map(|i| format!("l{i}")).collect() }
}

/// Writes `model.safetensors` anew, with some tensors renamed (`None`: dropped).
fn rename(directory: &Path, rename: impl Fn(&str) -> Option<String>) {
    let path = directory.join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let kept: Vec<_> = file.iter().filter_map(|(name, view)| Some((rename(name)?, view))).collect();
    std::fs::write(&path, safetensors::serialize(kept, None).unwrap()).unwrap();
}

#[test]
fn a_truncated_file_is_refused_with_both_sizes() {
    let directory = copy("bert-tiny");
    let path = directory.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    for cut in [whole.len() - 1, whole.len() / 2, 100, 3, 0] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let error = load(directory.path(), &labels(5)).unwrap_err();
        assert!(
            error.contains("model.safetensors: it is truncated")
                && error.contains(&format!("it has {cut} bytes and needs")),
            "{error}"
        );
    }
}

#[test]
fn a_missing_tensor_is_named_with_its_shape_and_the_nearest_name() {
    let directory = copy("bert-tiny");
    rename(directory.path(), |name| Some(name.replace("layer.1.output.dense.bias", "layer.1.output.dense.bais")));
    let error = load(directory.path(), &labels(5)).unwrap_err();
    assert!(
        error.contains("tensor `bert.encoder.layer.1.output.dense.bias` is missing (expected shape [48])"),
        "{error}"
    );
    assert!(error.contains("the nearest name is `bert.encoder.layer.1.output.dense.bais`"), "{error}");
}

#[test]
fn a_wrong_shape_names_file_tensor_found_and_expected() {
    let directory = copy("bert-tiny");
    let config = directory.path().join("config.json");
    let text =
        std::fs::read_to_string(&config).unwrap().replace("\"intermediate_size\": 96", "\"intermediate_size\": 64");
    std::fs::write(&config, text).unwrap();
    let error = load(directory.path(), &labels(5)).unwrap_err();
    let wanted =
        "tensor `bert.encoder.layer.0.intermediate.dense.weight` has shape [96, 48], but config.json implies [64, 48]";
    assert!(error.contains("model.safetensors") && error.contains(wanted), "{error}");
}

#[test]
fn a_shard_that_lacks_what_the_index_promises_is_named() {
    let directory = copy("llama-tiny-bf16-sharded");
    std::fs::remove_file(directory.path().join("model-00002-of-00003.safetensors")).unwrap();
    let error = load(directory.path(), &Task::CausalLm).unwrap_err();
    assert!(error.contains("model-00002-of-00003.safetensors: cannot be opened"), "{error}");

    let directory = copy("llama-tiny-bf16-sharded");
    let index = directory.path().join("model.safetensors.index.json");
    let text = std::fs::read_to_string(&index).unwrap().replace("model-00003-of", "model-00001-of");
    std::fs::write(&index, text).unwrap();
    let error = load(directory.path(), &Task::CausalLm).unwrap_err();
    assert!(
        error.contains("model-00001-of-00003.safetensors: tensor `") && error.contains("is not there, although"),
        "{error}"
    );
}

#[test]
fn a_directory_without_weights_says_what_it_looked_for() {
    let directory = copy("bert-tiny");
    std::fs::remove_file(directory.path().join("model.safetensors")).unwrap();
    std::fs::write(directory.path().join("pytorch_model.bin"), b"").unwrap();
    let error = load(directory.path(), &labels(5)).unwrap_err();
    assert!(
        error.contains("neither model.safetensors nor") && error.contains("convert it with transformers"),
        "{error}"
    );
}

#[test]
fn a_base_model_without_prefix_and_head_loads_and_reports_the_new_head() {
    let directory = copy("bert-tiny");
    rename(directory.path(), |name| {
        let bare = name.strip_prefix("bert.")?;
        Some(bare.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"))
    });
    let (bare, report) = load(directory.path(), &labels(4)).unwrap();
    assert_eq!(report.new, ["classifier.weight", "classifier.bias"]);
    assert!(report.unused.is_empty() && report.replaced.is_empty(), "{report:?}");
    let (whole, _) = load(&fixture("bert-tiny"), &labels(5)).unwrap();
    for name in
        ["bert.embeddings.LayerNorm.weight", "bert.encoder.layer.1.attention.self.key.weight", "bert.pooler.dense.bias"]
    {
        let value = |model: &Model| model.parameters().get(name).unwrap().value.to_float32().unwrap();
        assert_eq!(value(&bare), value(&whole), "{name}");
    }
}

#[test]
fn a_head_for_other_classes_is_replaced_and_extra_tensors_are_reported() {
    let directory = copy("bert-tiny");
    rename(directory.path(), |name| Some(name.replace("classifier.bias", "cls.predictions.bias")));
    let (model, report) = load(directory.path(), &labels(7)).unwrap();
    assert_eq!(report.new, ["classifier.weight", "classifier.bias"]);
    assert_eq!(report.replaced[0].0, "classifier.weight");
    assert_eq!(report.unused, ["cls.predictions.bias"]);
    assert_eq!(model.parameters().get("classifier.weight").unwrap().shape(), [7, 48]);
}

#[test]
fn a_head_for_the_same_labels_in_another_order_is_replaced() {
    let directory = copy("bert-tiny");
    let config = directory.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let named =
        (0..5).fold(text, |text, i| text.replace(&format!("\"{i}\": \"LABEL_{i}\""), &format!("\"{i}\": \"l{i}\"")));
    std::fs::write(&config, named).unwrap();
    assert!(load(directory.path(), &labels(5)).unwrap().1.replaced.is_empty());
    let turned = Task::SequenceClassification { labels: (0..5).rev().map(|i| format!("l{i}")).collect() };
    let report = load(directory.path(), &turned).unwrap().1;
    assert_eq!(report.replaced.len(), 2);
    assert!(report.replaced[0].1.contains("another order"), "{report:?}");
}

/// A language model's directory whose config ties the head, with the head that `head` makes of the token table.
fn tied(head: impl Fn(&[u8]) -> Option<Vec<u8>>) -> tempfile::TempDir {
    let directory = copy("llama-tiny");
    let config = directory.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true")).unwrap();
    let path = directory.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let table = file.tensor("model.embed_tokens.weight").unwrap();
    let head = head(table.data());
    let head = head
        .as_ref()
        .map(|data| safetensors::tensor::TensorView::new(table.dtype(), table.shape().to_vec(), data).unwrap());
    let kept = file.iter().filter(|(name, _)| *name != "lm_head.weight").map(|(name, view)| (name.to_owned(), view));
    let all: Vec<_> = kept.chain(head.map(|view| ("lm_head.weight".to_owned(), view))).collect();
    std::fs::write(&path, safetensors::serialize(all, None).unwrap()).unwrap();
    directory
}

#[test]
fn a_head_of_its_own_beside_tied_embeddings_is_used_and_said_and_one_that_is_the_same_is_tied() {
    let other = tied(|table| Some(table.chunks(4).rev().flatten().copied().collect()));
    let (model, report) = load(other.path(), &Task::CausalLm).unwrap();
    assert!(report.untied && report.unused.is_empty(), "{report:?}");
    let value = |name: &str| model.parameters().get(name).unwrap().value.to_float32().unwrap();
    let mut turned = value("model.embed_tokens.weight");
    turned.reverse();
    assert_eq!(value("lm_head.weight"), turned);
    let place = tempfile::tempdir().unwrap();
    model.export(&place.path().join("model"), None).unwrap();
    let (again, report) = load(&place.path().join("model"), &Task::CausalLm).unwrap();
    assert!(!report.untied && again.parameters().get("lm_head.weight").is_some(), "{report:?}");

    for head in [tied(|table| Some(table.to_vec())), tied(|_| None)] {
        let (model, report) = load(head.path(), &Task::CausalLm).unwrap();
        assert!(!report.untied && model.parameters().get("lm_head.weight").is_none(), "{report:?}");
    }
}

#[test]
fn blocks_and_biases_that_would_be_lost_are_refused() {
    let directory = copy("bert-tiny");
    let config = directory.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1")).unwrap();
    let error = load(directory.path(), &labels(5)).unwrap_err();
    assert!(
        error.contains("it has 2 blocks, but config.json says num_hidden_layers = 1, so that 16 tensors"),
        "{error}"
    );

    let directory = copy("llama-tiny");
    rename(directory.path(), |name| Some(name.replace("layers.1.mlp.up_proj.weight", "layers.1.mlp.up_proj.bias")));
    let path = directory.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let mut file: Vec<_> = safetensors::SafeTensors::deserialize(&bytes)
        .unwrap()
        .iter()
        .map(|(name, view)| (name.to_owned(), view))
        .collect();
    let up = file.iter().find(|(name, _)| name.ends_with("up_proj.bias")).unwrap().1.clone();
    file.push(("model.layers.1.mlp.up_proj.weight".to_owned(), up));
    std::fs::write(&path, safetensors::serialize(file, None).unwrap()).unwrap();
    let error = load(directory.path(), &Task::CausalLm).unwrap_err();
    let wanted =
        "1 tensors would be lost: `model.layers.1.mlp.up_proj.bias`; config.json says that there are no such biases";
    assert!(error.contains(wanted), "{error}");
}

#[test]
fn a_value_that_is_not_finite_is_refused_with_tensor_and_place() {
    let directory = copy("bert-tiny");
    let path = directory.path().join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let places = header(&path).unwrap();
    let place = &places["bert.encoder.layer.1.output.dense.weight"];
    let at = (place.base as usize) + place.info.data_offsets.0 + 4 * (96 * 2 + 7);
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let error = load(directory.path(), &labels(5)).unwrap_err();
    let wanted = "tensor `bert.encoder.layer.1.output.dense.weight` is not finite in 1 of 4608 values, the first at [2, 7] (NaN)";
    assert!(error.contains(wanted), "{error}");
}

#[test]
fn what_lies_in_place_of_weights_is_named_with_what_helps() {
    let directory = copy("bert-tiny");
    let path = directory.path().join("model.safetensors");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
    std::fs::write(&path, pointer).unwrap();
    let error = load(directory.path(), &labels(5)).unwrap_err();
    assert!(error.contains("it is a Git LFS pointer") && error.contains("lfs pull`"), "{error}");

    std::fs::remove_file(&path).unwrap();
    std::fs::write(directory.path().join("pytorch_model-00001-of-00002.bin"), " ").unwrap();
    std::fs::write(directory.path().join("pytorch_model.bin.index.json"), "{}").unwrap();
    let error = load(directory.path(), &labels(5)).unwrap_err();
    let wanted =
        "there is `pytorch_model-00001-of-00002.bin`, which retune does not read: convert it with transformers";
    assert!(error.contains(wanted) && error.contains("from transformers import Bert"), "{error}");

    let run = tempfile::tempdir().unwrap();
    std::fs::rename(directory.path(), run.path().join("model")).unwrap();
    let error = load(run.path(), &labels(5)).unwrap_err();
    assert!(error.contains("it is the folder of a run; the model is in"), "{error}");
}

#[test]
fn label_names_with_gaps_are_of_no_account_where_the_data_has_its_own() {
    let directory = copy("bert-tiny");
    let config = directory.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let mut json: Value = serde_json::from_str(&text).unwrap();
    json["id2label"] = serde_json::json!({ "1": "a", "2": "b" });
    std::fs::write(&config, json.to_string()).unwrap();
    let (_, report) = load(directory.path(), &labels(5)).unwrap();
    assert!(report.replaced[0].1.contains("id2label does not name its classes"), "{report:?}");
    let error = crate::model::task_of_checkpoint(directory.path()).unwrap_err().to_string();
    assert!(
        error.contains("`id2label`: a classifier needs a name for each class") && error.contains("edit it"),
        "{error}"
    );
}

#[test]
fn every_header_that_is_not_one_is_an_error_and_never_a_panic() {
    let directory = copy("bert-tiny");
    let path = directory.path().join("model.safetensors");
    let header = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    for (bytes, message) in [
        (vec![0xFF; 64], "its header would have"),
        (header("not json"), "header is not valid"),
        (header(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#), "header is not valid"),
        (header(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#), "needs 70"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = load(directory.path(), &labels(5)).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
}
