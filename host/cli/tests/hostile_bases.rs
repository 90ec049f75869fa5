//! A base model of a stranger, given to every verb that opens one: an error with the file in it, within bounds of memory and
//! without a panic.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// What the process may map, in KiB: the binary and its threads take about one of these GiB.
const MEMORY: u64 = 4 << 20;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name).canonicalize().unwrap()
}

/// A folder with a model called `base`, and what the verbs need beside it.
struct Place(tempfile::TempDir);

impl Place {
    fn new(config: impl FnOnce(&mut Value), tokenizer: impl FnOnce(&mut Value)) -> Self {
        let place = tempfile::tempdir().unwrap();
        let base = place.path().join("base");
        std::fs::create_dir(&base).unwrap();
        let read = |path: PathBuf| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
        let mut told = read(fixture("families/llama-gelu").join("config.json"));
        config(&mut told);
        std::fs::write(base.join("config.json"), told.to_string()).unwrap();
        let mut words = read(fixture("chat").join("tokenizer.json"));
        tokenizer(&mut words);
        std::fs::write(base.join("tokenizer.json"), words.to_string()).unwrap();
        std::fs::copy(fixture("chat").join("tokenizer_config.json"), base.join("tokenizer_config.json")).unwrap();
        std::fs::copy(fixture("families/llama-gelu").join("model.safetensors"), base.join("model.safetensors"))
            .unwrap();
        std::fs::write(place.path().join("text.txt"), "two and two\n\none and one\n\nfour\n".repeat(20)).unwrap();
        let recipe = "name = \"r\"\ndevice = \"cpu\"\n[model]\nbase = \"base\"\ntask = \"causal-lm\"\n[data]\ntrain = \"text.txt\"\n\
                      max_length = 16\n";
        std::fs::write(place.path().join("r.toml"), recipe).unwrap();
        Self(place)
    }

    /// Exit code, and what was said, of a process that may map so much memory.
    fn retune(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new("sh")
            .args(["-c", &format!("ulimit -v {MEMORY}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_retune")])
            .args(arguments)
            .current_dir(self.0.path())
            .env("RETUNE_CACHE", self.0.path().join("cache"))
            .env("RAYON_NUM_THREADS", "2")
            .env("NO_COLOR", "1")
            .env("COLUMNS", "400")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

fn verbs() -> Vec<Vec<String>> {
    let adapter = fixture("peft/lora").display().to_string();
    [
        "model inspect base",
        "predict base text",
        "generate base --prompt text",
        "chat base",
        "plan r.toml",
        "plan r.toml --without-data",
        "train r.toml",
        "evaluate r.toml --model base --data text.txt",
        &format!("merge {adapter} --base base --out merged"),
    ]
    .map(|line| line.split(' ').map(str::to_owned).collect())
    .into()
}

#[test]
fn every_verb_tells_file_and_key_of_a_config_without_bounds() {
    let refused: [(&str, Value, &str); 5] = [
        ("num_hidden_layers", json!(1_000_000_000), "`num_hidden_layers`: 1000000000 is more than any model has"),
        (
            "num_hidden_layers",
            json!(9_000_000_000_000_000_000u64),
            "`num_hidden_layers`: 9000000000000000000 is more than",
        ),
        ("hidden_size", json!(1u64 << 32), "`hidden_size`: 4294967296 is more than any model has"),
        ("vocab_size", json!(-1), "`vocab_size`: expected a whole number, found -1"),
        ("max_position_embeddings", json!(0.5), "`max_position_embeddings`: expected a whole number, found 0.5"),
    ];
    for (key, value, wanted) in refused {
        let place = Place::new(|config| config[key] = value, |_| ());
        for verb in verbs() {
            let arguments: Vec<&str> = verb.iter().map(String::as_str).collect();
            let (code, told) = place.retune(&arguments);
            assert_eq!(code, Some(1), "{verb:?}: {told}");
            assert!(told.contains("config.json") && told.contains(wanted), "{verb:?}: {told}");
            assert!(!told.contains("panicked"), "{verb:?}: {told}");
        }
    }
}

#[test]
fn every_verb_that_reads_text_tells_the_file_of_a_tokenizer_without_bounds() {
    let rule = json!({"type": "Replace", "pattern": {"String": "o"}, "content": "oo"});
    let growing = json!({"type": "Sequence", "normalizers": vec![rule; 40]});
    let empty = json!({"type": "FixedLength", "length": 0});
    for (key, value, wanted) in [
        ("normalizer", growing, "`normalizer` may make 1099511627776 bytes of one"),
        ("pre_tokenizer", empty, "the library that reads it gave up"),
    ] {
        let place = Place::new(|_| (), |tokenizer| tokenizer[key] = value);
        for verb in ["generate base --prompt text", "chat base", "plan r.toml", "train r.toml", "predict base text"] {
            let arguments: Vec<&str> = verb.split(' ').collect();
            let (code, told) = place.retune(&arguments);
            assert_eq!(code, Some(1), "{verb}: {told}");
            // Of a language model predict tells that, and needs no tokenizer for it.
            if !verb.starts_with("predict") {
                assert!(told.contains("tokenizer.json") && told.contains(wanted), "{verb}: {told}");
            }
            assert!(!told.contains("panicked"), "{verb}: {told}");
        }
    }
}
