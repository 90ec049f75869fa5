//! Adapters go to `peft` and come from there: what `tests/reference/peft_fixtures.py` saved is read and computed alike, and
//! what is written is the same adapter. `tests/reference/check_peft.py` reads ours with `peft`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};

use retune_roles::Example;
use retune_tensor::Device;
use retune_train::model::adapter::AdapterMethod;
use retune_train::model::peft::PeftDirectory;
use retune_train::model::{Base, ExportForm, Model, ModelConfig, StoredDtype, Trained};
use serde_json::{Value, json};
use support::expected::{Fixture, fixtures};

/// What peft keeps apart that the base ties: refused.
const APART: &str = "untied-saved";

fn trained(directory: &Path) -> Trained {
    Trained::open(directory, None).unwrap()
}

fn load(trained: &Trained) -> Model {
    let (model, report) = trained.load(&trained.task().unwrap(), 1, &Device::flex()).unwrap();
    assert_eq!(report.new, Vec::<String>::new(), "{}", trained.directory().display());
    model
}

/// Logits of the rows of `fixture`: of their tokens, or of the rows.
fn logits(model: &Model, fixture: &Fixture) -> Vec<f32> {
    let mut rows: Vec<Example> = Vec::new();
    let (width, lengths) = (fixture.expected["input_ids"].0[1], fixture.values("lengths"));
    for (row, length) in lengths.iter().enumerate() {
        let ids = &fixture.values("input_ids")[row * width..row * width + *length as usize];
        let sequence = retune_roles::Sequence::of(ids.iter().map(|id| *id as u32).collect());
        rows.push(Example::new(format!("row {row}"), sequence, retune_roles::Target::None));
    }
    let input = model.input(&rows.iter().collect::<Vec<_>>()).unwrap();
    let logits = model.forward(&model.weights(false), &input, None).unwrap().logits;
    real(fixture, &logits.to_float32().unwrap())
}

/// Values that are not padding's.
fn real<T: Copy>(fixture: &Fixture, logits: &[T]) -> Vec<T> {
    let shape = &fixture.expected["logits"].0;
    if shape.len() == 2 {
        return logits.to_vec();
    }
    let (width, vocabulary) = (shape[1], shape[2]);
    let rows = fixture.values("lengths").iter().enumerate();
    let rows = rows.flat_map(|(row, length)| {
        let start = row * width * vocabulary;
        logits[start..start + *length as usize * vocabulary].to_vec()
    });
    rows.collect()
}

fn largest_difference(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn what_peft_saved_computes_here_what_it_computes_there() {
    let mut count = 0;
    for fixture in fixtures("peft").iter().filter(|fixture| fixture.name != APART) {
        let model = load(&trained(&fixture.directory));
        let expected: Vec<f32> = real(fixture, fixture.values("logits")).iter().map(|x| *x as f32).collect();
        let difference = largest_difference(&logits(&model, fixture), &expected);
        assert!(difference < 1e-4, "{}: {difference}", fixture.name);
        count += 1;
    }
    assert!(count >= 13, "{count} adapters");
}

#[test]
fn an_adapter_that_is_written_and_read_again_is_the_same() {
    for fixture in fixtures("peft").iter().filter(|fixture| fixture.name != APART) {
        let there = trained(&fixture.directory);
        let model = load(&there);
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("model");
        let base = there.base().unwrap().canonicalize().unwrap();
        model.export_as(ExportForm::Adapter { base: base.to_str().unwrap() }, &directory, None, None).unwrap();
        assert!(!directory.join("model.safetensors").exists() && !directory.join("config.json").exists());
        let again = load(&trained(&directory));
        assert_eq!(logits(&again, fixture), logits(&model, fixture), "{}", fixture.name);
        assert_eq!(again.adapter().unwrap().placed, model.adapter().unwrap().placed, "{}", fixture.name);
        assert_eq!(trained(&directory).task().unwrap(), *model.task());

        let read = |folder: &Path| -> Value {
            serde_json::from_slice(&std::fs::read(folder.join("adapter_config.json")).unwrap()).unwrap()
        };
        let (theirs, ours) = (read(&fixture.directory), read(&directory));
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&ours), keys(&theirs), "every key that peft writes, in its order");
        for key in [
            "bias",
            "ensure_weight_tying",
            "fan_in_fan_out",
            "lora_alpha",
            "lora_dropout",
            "peft_type",
            "r",
            "task_type",
            "use_dora",
            "use_rslora",
        ] {
            assert_eq!(ours[key], theirs[key], "{}: {key}", fixture.name);
        }
    }
}

#[test]
fn a_merged_model_computes_what_the_adapter_did() {
    for fixture in fixtures("peft").iter().filter(|fixture| fixture.name != APART) {
        let model = load(&trained(&fixture.directory));
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("model");
        model.export_as(ExportForm::Whole, &directory, None, None).unwrap();
        let merged = load(&trained(&directory));
        assert!(merged.adapter().is_none());
        let difference = largest_difference(&logits(&merged, fixture), &logits(&model, fixture));
        assert!(difference < 1e-5, "{}: {difference}", fixture.name);
    }
}

#[test]
fn a_model_merged_in_the_format_of_its_base_is_stored_in_it_and_named_alike() {
    for fixture in fixtures("peft").iter().filter(|fixture| fixture.name != APART) {
        let there = trained(&fixture.directory);
        let model = load(&there);
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("model");
        model.export_as(ExportForm::InFormatOfBase, &directory, None, None).unwrap();
        let merged = load(&trained(&directory));
        let base = Base::Directory(there.base().unwrap().to_owned());
        let (base, _) = Model::load(&base, model.task(), 1, &Device::flex()).unwrap();
        for parameter in base.parameters() {
            let now = merged.parameters().get(&parameter.name).unwrap();
            assert_eq!(now.stored_dtype(), parameter.stored_dtype(), "{}: {}", fixture.name, parameter.name);
        }
        let half = base.parameters().iter().any(|parameter| parameter.stored_dtype() == StoredDtype::Bfloat16);
        let difference = largest_difference(&logits(&merged, fixture), &logits(&model, fixture));
        assert!(difference < if half { 0.1 } else { 1e-5 }, "{}: {difference}", fixture.name);
    }
}

/// The adapter `name`, changed.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> (tempfile::TempDir, PathBuf) {
    let from =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/peft").join(name).canonicalize().unwrap();
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("adapter");
    std::fs::create_dir(&directory).unwrap();
    std::fs::copy(from.join("adapter_model.safetensors"), directory.join("adapter_model.safetensors")).unwrap();
    let mut config: Value = serde_json::from_slice(&std::fs::read(from.join("adapter_config.json")).unwrap()).unwrap();
    let base = from.join(config["base_model_name_or_path"].as_str().unwrap()).canonicalize().unwrap();
    config["base_model_name_or_path"] = json!(base);
    change(&mut config);
    std::fs::write(directory.join("adapter_config.json"), config.to_string()).unwrap();
    (place, directory)
}

/// What is said of the adapter in `directory`, without the folder.
fn refusal(directory: &Path) -> String {
    let said =
        Trained::open(directory, None).and_then(|there| there.load(&there.task()?, 1, &Device::flex()).map(drop));
    let bases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").canonicalize().unwrap();
    let said = said.unwrap_err().to_string().replace(&directory.display().to_string(), "ADAPTER");
    said.replace(&bases.display().to_string(), "FIXTURES")
}

#[test]
fn what_would_compute_something_else_is_refused_by_its_name() {
    let cases: [(&str, Value); 14] = [
        ("peft_type", json!("LOHA")),
        ("bias", json!("all")),
        ("use_qalora", json!(true)),
        ("lora_bias", json!(true)),
        ("layer_replication", json!([[0, 1], [0, 2]])),
        ("alora_invocation_tokens", json!([3, 4])),
        ("trainable_token_indices", json!({"embed_tokens": [3]})),
        ("target_parameters", json!(["experts.weight"])),
        ("arrow_config", json!({"top_k": 3})),
        ("use_something_new", json!(true)),
        ("init_lora_weights", json!("pissa_niter_4")),
        ("task_type", json!("SEQ_2_SEQ_LM")),
        ("alpha_pattern", json!({"(q_proj": 3})),
        ("r", json!(0)),
    ];
    let told: Vec<String> = cases
        .into_iter()
        .map(|(key, value)| {
            let (_place, directory) = changed("lora", |config| config[key] = value);
            refusal(&directory)
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn an_adapter_of_another_base_is_refused_with_what_does_not_fit() {
    let fixtures_at = |base: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(base).canonicalize().unwrap()
    };
    let on = |name: &str, base: &str| {
        let (_place, directory) = changed(name, |config| config["base_model_name_or_path"] = json!(fixtures_at(base)));
        refusal(&directory)
    };
    let told = [
        on("lora", "llama-tiny"),
        on("lora", "families/gpt2"),
        on("patterns", "families/gpt2"),
        on("saved", "families/gpt2"),
        on("embeddings", "families/mistral"),
        on("dora", "families/qwen2-window-tied"),
        on("untied-saved", "families/llama-scaled-tied"),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_lies_there_in_place_of_an_adapter_is_told() {
    let (_one, nowhere) = changed("lora", |config| config["base_model_name_or_path"] = json!("HuggingFaceTB/SmolLM2"));
    let (_two, silent) = changed("lora", |config| config["base_model_name_or_path"] = Value::Null);
    let (_three, old) = changed("lora", |_| ());
    std::fs::rename(old.join("adapter_model.safetensors"), old.join("adapter_model.bin")).unwrap();
    let (_four, broken) = changed("lora", |_| ());
    std::fs::write(broken.join("adapter_config.json"), "r = 4").unwrap();
    let llama = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/llama-tiny").canonicalize().unwrap();
    let whole = PeftDirectory::open(&llama).unwrap_err().to_string().replace(&llama.display().to_string(), "MODEL");
    let both =
        Trained::open(&llama, Some(&llama)).unwrap_err().to_string().replace(&llama.display().to_string(), "MODEL");
    let (_five, adapter) = changed("lora", |_| ());
    let base = ModelConfig::read(&adapter).unwrap_err().to_string().replace(&adapter.display().to_string(), "ADAPTER");
    let told = [refusal(&nowhere), refusal(&silent), refusal(&old), refusal(&broken), whole, both, base];
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn globs_are_spelled_out_for_peft() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/families/llama-gelu");
    let spec = retune_train::model::adapter::AdapterSpec {
        method: AdapterMethod::Lora,
        target_modules: vec!["model.layers.{0}.self_attn.*".into(), "model.layers.*.mlp.down_proj".into()],
        rank_pattern: [("model.layers.1.*".to_owned(), 3)].into(),
        ..Default::default()
    };
    let (model, _) =
        Model::load_with_adapter(&Base::Directory(base), &retune_roles::Task::CausalLm, &spec, 1, &Device::flex())
            .unwrap();
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("model");
    model.export_as(ExportForm::Adapter { base: "x" }, &directory, None, None).unwrap();
    let config: Value = serde_json::from_slice(&std::fs::read(directory.join("adapter_config.json")).unwrap()).unwrap();
    let full = |name: &str| format!("model.layers.0.self_attn.{name}_proj");
    let expected = json!(["down_proj", full("k"), full("o"), full("q"), full("v")]);
    assert_eq!(config["target_modules"], expected);
    assert_eq!(config["rank_pattern"], json!({"model.layers.1.mlp.down_proj": 3}));
}

#[test]
fn a_token_table_that_is_a_masked_head_is_not_adapted() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/token-tasks/roberta-masked");
    let with = |target: &str, saved: &[&str]| {
        let spec = retune_train::model::adapter::AdapterSpec {
            target_modules: vec![target.to_owned()],
            modules_to_save: saved.iter().map(|name| (*name).to_owned()).collect(),
            ..Default::default()
        };
        let task = retune_roles::Task::MaskedLm;
        Model::load_with_adapter(&Base::Directory(base.clone()), &task, &spec, 1, &Device::flex()).map(drop)
    };
    let told =
        [with("word_embeddings", &[]), with("query", &["word_embeddings"])].map(|said| said.unwrap_err().to_string());
    insta::assert_snapshot!(told.join("\n"));
    with("query", &[]).unwrap();
}

#[test]
fn everything_that_peft_copies_is_written() {
    // `pre_classifier` ends like `classifier`, so that peft looks for both.
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/families/distilbert");
    let spec =
        retune_train::model::adapter::AdapterSpec { target_modules: vec!["q_lin".to_owned()], ..Default::default() };
    let task = retune_train::model::task_of_checkpoint(&base).unwrap();
    let (model, _) =
        Model::load_with_adapter(&Base::Directory(base.clone()), &task, &spec, 1, &Device::flex()).unwrap();
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("model");
    let form = ExportForm::Adapter { base: base.to_str().unwrap() };
    model.export_as(form, &directory, None, None).unwrap();
    let bytes = std::fs::read(directory.join("adapter_model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for name in ["pre_classifier.weight", "pre_classifier.bias", "classifier.weight", "classifier.bias"] {
        assert!(file.tensor(&format!("base_model.model.{name}")).is_ok(), "{name}");
    }
    assert_eq!(file.len(), 4 + 2 * 2, "two blocks have A and B");
    load(&trained(&directory));
}
