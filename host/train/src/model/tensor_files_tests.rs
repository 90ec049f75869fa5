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
