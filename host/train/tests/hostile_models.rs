//! A base model that somebody hostile wrote: an error that names file, key and value, before memory is taken, and never a panic.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use retune_roles::Task;
use retune_tensor::Device;
use retune_train::generation::GenerationSpec;
use retune_train::model::{Base, Model, ModelConfig, Outline, check_files};
use serde_json::{Value, json};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// Folders of a model of each family.
fn families() -> Vec<PathBuf> {
    let each = std::fs::read_dir(fixtures().join("families")).unwrap().map(|entry| entry.unwrap().path());
    let mut each: Vec<PathBuf> = each.collect();
    each.sort();
    each
}

fn config(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap()
}

/// A folder with another `config.json` beside the same weights.
fn beside(folder: &Path, config: &Value) -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    std::fs::write(target.path().join("config.json"), config.to_string()).unwrap();
    std::fs::copy(folder.join("model.safetensors"), target.path().join("model.safetensors")).unwrap();
    target
}

fn labels() -> Task {
    Task::SequenceClassification { labels: vec!["a".to_owned(), "b".to_owned()] }
}

/// What every verb makes of a folder before it takes memory.
fn opened(folder: &Path) -> Vec<String> {
    let directory = Base::Directory(folder.to_owned());
    let alone = Base::Config(folder.join("config.json"));
    let mut told = Vec::new();
    for task in [Task::CausalLm, Task::MaskedLm, labels()] {
        told.extend([&directory, &alone].map(|base| Outline::read(base, &task, None).map(|outline| outline.numel())));
        told.push(check_files(folder, task.kind(), None).map(|()| 0));
    }
    told.push(ModelConfig::read(folder).map(|config| config.shape.longest_row() as u64));
    told.push(GenerationSpec::of_model(folder).map(|_| 0));
    told.into_iter().filter_map(|result| result.err().map(|error| error.to_string())).collect()
}

/// Keys of sizes, of all families.
const SIZES: [&str; 26] = [
    "vocab_size",
    "hidden_size",
    "n_embd",
    "dim",
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_attention_heads",
    "n_head",
    "n_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "n_inner",
    "hidden_dim",
    "max_position_embeddings",
    "n_positions",
    "type_vocab_size",
    "sliding_window",
    "max_window_layers",
    "global_attn_every_n_layers",
    "local_attention",
    "no_rope_layer_interval",
    "sliding_window_pattern",
    "pad_token_id",
    "initializer_range",
];

fn numbers() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u64..64).prop_map(Value::from),
        any::<f64>().prop_map(|x| json!(x)),
        (0u32..64).prop_map(|bits| json!(1u64 << bits)),
        (0u32..64).prop_map(|bits| json!((1u64 << bits).wrapping_sub(1))),
        prop::sample::select(vec![
            json!(1e7),
            json!(10_000_000),
            json!(9_000_000_000_000_000_000u64),
            json!(0.5),
            json!(-1)
        ]),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => numbers(),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => "\\PC{0,8}".prop_map(Value::from),
        1 => prop::collection::vec(numbers(), 0..6).prop_map(Value::from),
        1 => Just(json!({})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_of_any_key_gives_an_error_or_a_model(
        family in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), values()), 1..4),
        rotary in prop::option::of((prop::sample::select(vec!["linear", "dynamic", "yarn", "llama3", "longrope"]),
            prop::collection::vec(values(), 9))),
    ) {
        let families = families();
        let folder = family.get(&families);
        let mut config = config(folder);
        let mut keys: Vec<String> = config.as_object().unwrap().keys().filter(|&key| key != "model_type").cloned().collect();
        keys.extend(SIZES.map(str::to_owned));
        for (key, value) in changes {
            config[key.get(&keys)] = value;
        }
        if let Some((kind, values)) = rotary {
            let names = ["factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor", "short_factor",
                "long_factor", "beta_fast", "beta_slow", "rope_theta"];
            let mut inside: serde_json::Map<String, Value> = names.map(str::to_owned).into_iter().zip(values).collect();
            inside.insert("rope_type".to_owned(), kind.into());
            config["rope_scaling"] = inside.into();
        }
        let place = beside(folder, &config);
        for told in opened(place.path()) {
            prop_assert!(told.len() < 4000, "{} characters", told.len());
        }
    }

    #[test]
    fn any_header_gives_an_error_or_tensors(text in header_text(), longer in -3i64..3, rest in prop::collection::vec(any::<u8>(), 0..64)) {
        let place = tempfile::tempdir().unwrap();
        std::fs::copy(fixtures().join("bert-tiny/config.json"), place.path().join("config.json")).unwrap();
        let length = (text.len() as i64 + longer).max(0);
        let bytes = [&length.to_le_bytes()[..], text.as_bytes(), &rest].concat();
        std::fs::write(place.path().join("model.safetensors"), bytes).unwrap();
        let told = check_files(place.path(), labels().kind(), None).unwrap_err().to_string();
        prop_assert!(told.contains("model.safetensors") || told.contains("config.json"), "{told}");
        prop_assert!(told.len() < 4000, "{} characters", told.len());
    }
}

/// Texts that are nearly headers.
fn header_text() -> impl Strategy<Value = String> {
    let number = || {
        prop_oneof![
            any::<u64>().prop_map(|n| n.to_string()),
            (0u64..70).prop_map(|n| n.to_string()),
            Just("-1".to_owned()),
            Just("1e30".to_owned())
        ]
    };
    let dtype = prop::sample::select(vec!["F32", "F16", "BF16", "U8", "F4", "I64", "X"]);
    let name = prop::sample::select(vec![
        "bert.embeddings.word_embeddings.weight",
        "a",
        "bert.encoder.layer.18446744073709551615.x",
        "",
    ]);
    let tensor = (name, dtype, prop::collection::vec(number(), 0..4), number(), number()).prop_map(
        |(name, dtype, shape, from, to)| {
            format!(r#""{name}":{{"dtype":"{dtype}","shape":[{}],"data_offsets":[{from},{to}]}}"#, shape.join(","))
        },
    );
    prop_oneof![
        prop::collection::vec(tensor, 0..4).prop_map(|tensors| format!("{{{}}}", tensors.join(","))),
        "\\PC{0,40}",
    ]
}

#[test]
fn sizes_that_no_network_has_are_refused_by_key_and_value_before_a_block_is_made() {
    let llama = fixtures().join("llama-tiny");
    let refused = |changes: &[(&str, Value)]| {
        let mut config = config(&llama);
        changes.iter().for_each(|(key, value)| config[*key] = value.clone());
        let place = beside(&llama, &config);
        let told =
            Outline::read(&Base::Directory(place.path().to_owned()), &Task::CausalLm, None).unwrap_err().to_string();
        let here = place.path().display().to_string();
        let loaded = Model::load(&Base::Directory(place.path().to_owned()), &Task::CausalLm, 1, &Device::flex());
        assert_eq!(loaded.unwrap_err().to_string(), told);
        told.replace(&here, "base")
    };
    let one = |key: &str, value: Value| refused(&[(key, value)]);
    for blocks in [10_000_000u64, 1_000_000_000, 9_000_000_000_000_000_000] {
        let told = one("num_hidden_layers", json!(blocks));
        let most = if blocks < 1 << 31 { 4096 } else { i32::MAX };
        let wanted = format!(
            "base/config.json: `num_hidden_layers`: {blocks} is more than any model has, expected at most {most}"
        );
        assert_eq!(told, wanted);
    }
    assert_eq!(
        one("num_hidden_layers", json!(2000)),
        "base/config.json: `num_hidden_layers`: 2000, but base/model.safetensors has 2 blocks; take the config.json that belongs to \
         these weights"
    );
    assert_eq!(one("num_hidden_layers", json!(0)), "base/config.json: `num_hidden_layers`: it must be positive");
    assert_eq!(
        one("num_hidden_layers", json!(2.5)),
        "base/config.json: `num_hidden_layers`: expected a whole number, found 2.5"
    );
    let told = one("hidden_size", json!(1u64 << 32));
    assert!(
        told.contains("`hidden_size`: 4294967296 is more than any model has, expected at most 2147483647"),
        "{told}"
    );
    let told = one("vocab_size", json!(1_000_000));
    assert!(told.contains("`vocab_size`: 1000000, but the token table of base/model.safetensors has "), "{told}");
    // Each is possible, their product is not.
    let wide = [
        ("hidden_size", json!(1 << 30)),
        ("num_attention_heads", json!(1 << 15)),
        ("num_key_value_heads", json!(1 << 15)),
    ];
    let told = refused(&wide);
    assert!(
        told.contains("`hidden_size`: with 1073741824 the network has")
            && told.contains("expected at most 4398046511104"),
        "{told}"
    );
    let told = one("hidden_size", Value::String("x".repeat(1 << 20)));
    assert!(told.len() < 300 && told.contains("expected a whole number, found \"xxx"), "{told}");
    let told = one("model_type", Value::String("x".repeat(1 << 20)));
    assert!(told.len() < 600 && told.contains("`model_type`: it has 1048576 bytes; supported are `bert`"), "{told}");
    let told = one("initializer_range", json!(1e300));
    assert!(told.contains("`initializer_range`: ") && told.contains("expected at most 10000"), "{told}");
}

#[test]
fn a_cutoff_that_no_draw_reaches_is_refused_and_not_waited_for() {
    let folder = fixtures().join("families/modernbert");
    let mut config = config(&folder);
    config["initializer_cutoff_factor"] = json!(1e-12);
    let place = beside(&folder, &config);
    let told = ModelConfig::read(place.path()).unwrap_err().to_string();
    assert!(told.ends_with("`initializer_cutoff_factor`: expected at least 0.1 deviations"), "{told}");
}

#[test]
fn a_new_model_that_no_memory_holds_is_an_error_and_not_the_end_of_the_process() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("config.json");
    let mut config = config(&fixtures().join("llama-tiny"));
    // 512 GiB of token table, twice.
    config["vocab_size"] = json!(1u64 << 26);
    config["hidden_size"] = json!(2048);
    config["tie_word_embeddings"] = json!(false);
    std::fs::write(&path, config.to_string()).unwrap();
    let told = Model::load(&Base::Config(path), &Task::CausalLm, 1, &Device::flex()).unwrap_err().to_string();
    assert!(told.contains("config.json: the network that it describes needs at least 10"), "{told}");
    assert!(told.contains(".weight` has shape [67108864, 2048]"), "{told}");
}

#[test]
fn an_index_names_files_beside_it_and_what_is_no_file_is_not_waited_for() {
    let place = tempfile::tempdir().unwrap();
    std::fs::copy(fixtures().join("llama-tiny/config.json"), place.path().join("config.json")).unwrap();
    let index = place.path().join("model.safetensors.index.json");
    let told = |shard: &str| {
        std::fs::write(&index, json!({ "weight_map": { "model.norm.weight": shard } }).to_string()).unwrap();
        let told = check_files(place.path(), Task::CausalLm.kind(), None).unwrap_err().to_string();
        told.replace(&place.path().display().to_string(), "base")
    };
    let outside =
        "base/model.safetensors.index.json: `weight_map.model.norm.weight` is not the name of a file beside it";
    assert_eq!(told("../other/model.safetensors"), outside);
    assert_eq!(told("/etc/passwd"), outside);
    assert_eq!(told(".."), "base/..: cannot be opened: it is a directory, expected a file");
    let itself = told("model.safetensors.index.json");
    assert!(
        itself.contains("model.safetensors.index.json: it is not a safetensors file: its header would have"),
        "{itself}"
    );
    if cfg!(unix) {
        std::os::unix::fs::symlink("/dev/zero", place.path().join("zero.safetensors")).unwrap();
        let device = told("zero.safetensors");
        assert!(device.ends_with("cannot be opened: it is a pipe, a socket or a device, expected a file"), "{device}");
        std::fs::remove_file(place.path().join("config.json")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", place.path().join("config.json")).unwrap();
        let told = ModelConfig::read(place.path()).unwrap_err().to_string();
        assert!(told.contains("cannot be read: it is a pipe, a socket or a device"), "{told}");
    }
}

#[test]
fn a_header_that_lies_about_lengths_offsets_or_itself_is_refused_with_its_file() {
    let place = tempfile::tempdir().unwrap();
    std::fs::copy(fixtures().join("bert-tiny/config.json"), place.path().join("config.json")).unwrap();
    let told = |header: &[u8], data: usize| {
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header, &vec![0; data]].concat();
        std::fs::write(place.path().join("model.safetensors"), bytes).unwrap();
        let told = check_files(place.path(), labels().kind(), None).unwrap_err().to_string();
        assert!(told.contains("model.safetensors: ") && told.len() < 500, "{told}");
        told
    };
    let tensor = |name: &str, shape: &str, from: u64, to: u64| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let all = |tensors: &[String]| format!("{{{}}}", tensors.join(","));
    let end = u64::MAX - 3;
    for (header, data) in [
        (all(&[tensor("a", "[2]", 0, 8), tensor("b", "[2]", 4, 12)]), 12),
        (all(&[tensor("a", "[1]", 0, 4), tensor("a", "[1]", 4, 8)]), 8),
        (all(&[tensor("a", "[2]", 8, 0)]), 8),
        (all(&[tensor("a", "[4294967296,4294967296]", 0, 0)]), 0),
        (all(&[tensor("a", "[4611686018427387903]", 0, end)]), 8),
        (all(&[tensor("a", "[18446744073709551615,0]", 0, 0)]), 0),
        (all(&[tensor(&"n".repeat(100_000), "[2]", 0, 4)]), 4),
    ] {
        told(header.as_bytes(), data);
    }
    let large = [b"{}".to_vec(), vec![b' '; 9 << 20]].concat();
    let told = told(&large, 0);
    assert!(told.ends_with("its header would have 9437186 bytes, expected at most 8388608"), "{told}");
}
