//! A whole run in miniature: a BERT of six thousand parameters, a tokenizer of
//! sixteen words, a hundred rows of three kinds. Each test file uses a part of it.

#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use tempfile::TempDir;

/// Words that tell a row's label, by label.
const KINDS: [(&str, [&str; 3]); 3] =
    [("animal", ["cat", "dog", "bird"]), ("colour", ["red", "green", "blue"]), ("sky", ["sun", "moon", "star"])];
const FILLERS: [&str; 3] = ["good", "bad", "fine"];

/// A folder with a recipe and everything it names.
pub struct Tiny {
    folder: TempDir,
}

/// What a call of the binary said.
pub struct Said {
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error, with the folder and the plugins' place written as `<here>` and `<plugins>`.
    pub err: String,
}

/// The workspace's root.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

/// A built plugin, `focal` or `hostile/loops`.
pub fn plugin(name: &str) -> PathBuf {
    let path = workspace().join("target/plugins").join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is missing: run `cargo xtask plugins` first", path.display());
    path
}

/// The binary under test.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps");
    let path = folder.join(format!("retune{}", std::env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "{} is missing: run `cargo build -p retune` first", path.display());
    path
}

impl Tiny {
    /// Everything in its place, and no recipe yet.
    pub fn new() -> Self {
        let tiny = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let vocabulary: Vec<&str> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
            .into_iter()
            .chain(KINDS.iter().flat_map(|k| k.1))
            .chain(FILLERS)
            .collect();
        tiny.write("base/config.json", &config(vocabulary.len()).to_string());
        tiny.write("base/tokenizer.json", &tokenizer(&vocabulary).to_string());
        tiny.write(
            "base/tokenizer_config.json",
            &json!({"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"})
                .to_string(),
        );
        tiny.write("train.csv", &rows(120, 1));
        tiny.write("test.csv", &rows(30, 2));
        tiny
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, with its folders.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder can be made");
        std::fs::write(path, text).expect("a file can be written");
    }

    /// Writes `recipe.toml` from its sections; `[model]`, `[data]` and `[training]` have what a tiny run needs.
    pub fn recipe(&self, more: &str) {
        self.write("recipe.toml", &format!("{}{more}", Self::SOUND));
    }

    /// A recipe without roles of its own.
    pub const SOUND: &str = "name = \"tiny\"\nseed = 7\ndevice = \"cpu\"\n\n[model]\nconfig = \"base/config.json\"\ntokenizer = \"base\"\n\
        task = \"sequence-classification\"\n\n[data]\ntrain = \"train.csv\"\nvalidation = { split = 0.2 }\ntest = \"test.csv\"\nmax_length = 16\n\n\
        [training]\nepochs = 6\nbatch_size = 8\noptimizer = { learning_rate = 1e-2 }\n";

    /// Adds a tiny Llama and a text, and the recipe that trains one on the other.
    pub fn language_model(&self, more: &str) {
        let vocabulary: Vec<&str> = ["[PAD]", "[UNK]", "<s>", "</s>"]
            .into_iter()
            .chain(KINDS.iter().flat_map(|k| k.1))
            .chain(FILLERS)
            .collect();
        let mut tokens = tokenizer(&vocabulary);
        tokens["post_processor"] = serde_json::Value::Null;
        self.write("lm/tokenizer.json", &tokens.to_string());
        self.write(
            "lm/tokenizer_config.json",
            &json!({"pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": "<s>", "eos_token": "</s>"}).to_string(),
        );
        let config = json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocabulary.len(), "hidden_size": 16, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64, "hidden_act": "silu",
            "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "tie_word_embeddings": false,
            "initializer_range": 0.02
        });
        self.write("lm/config.json", &config.to_string());
        let lines: Vec<String> =
            rows(300, 3).lines().skip(1).map(|row| row.split(',').next().unwrap_or_default().to_owned()).collect();
        self.write("lm/text.txt", &lines.join("\n\n"));
        self.write(
            "lm.toml",
            &format!(
                "name = \"lm\"\ndevice = \"cpu\"\n[model]\nconfig = \"lm/config.json\"\ntokenizer = \"lm\"\ntask = \"causal-lm\"\n[data]\n\
                 train = \"lm/text.txt\"\nvalidation = {{ split = 0.1 }}\nmax_length = 16\n[training]\nepochs = 3\nbatch_size = 8\n\
                 optimizer = {{ learning_rate = 1e-2 }}\n{more}"
            ),
        );
    }

    /// A call of the binary, not yet made.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .current_dir(self.path())
            .env("RETUNE_CACHE", self.path().join("cache"))
            .env_remove("RUST_BACKTRACE")
            .env_remove("RETUNE_LOG")
            .args(arguments);
        command
    }

    /// Calls the binary.
    pub fn retune(&self, arguments: &[&str]) -> Said {
        self.said(self.command(arguments).output().expect("the binary starts"))
    }

    /// What a finished call said.
    pub fn said(&self, output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Said { code: output.status.code(), out: text(output.stdout), err: self.placeless(&text(output.stderr)) }
    }

    /// Paths that differ from machine to machine, made equal.
    fn placeless(&self, text: &str) -> String {
        let plugins = workspace().join("target/plugins");
        let here = self.path().canonicalize().expect("the folder is there");
        let placeless = text
            .replace(&plugins.display().to_string(), "<plugins>")
            .replace(&here.display().to_string(), "<here>")
            .replace(&self.path().display().to_string(), "<here>");
        placeless.lines().map(|line| if line.contains('·') { markless(line) } else { line.to_owned() } + "\n").collect()
    }
}

fn config(vocabulary: usize) -> serde_json::Value {
    json!({
        "architectures": ["BertModel"], "model_type": "bert", "vocab_size": vocabulary, "hidden_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64, "type_vocab_size": 2, "hidden_act": "gelu",
        "layer_norm_eps": 1e-12, "pad_token_id": 0, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02
    })
}

fn tokenizer(vocabulary: &[&str]) -> serde_json::Value {
    let special = |id: usize, text: &str| json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let piece = |id: &str| json!({"SpecialToken": {"id": id, "type_id": 0}});
    let ids: serde_json::Map<String, serde_json::Value> =
        vocabulary.iter().enumerate().map(|(id, word)| ((*word).to_owned(), json!(id))).collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": vocabulary[..4].iter().enumerate().map(|(id, text)| special(id, text)).collect::<Vec<_>>(),
        "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [piece("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, piece("[SEP]")],
            "pair": [piece("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, piece("[SEP]"), {"Sequence": {"id": "B", "type_id": 1}}, piece("[SEP]")],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}
            }
        },
        "model": {"type": "WordLevel", "vocab": ids, "unk_token": "[UNK]"}
    })
}

/// A small deterministic stream.
pub struct Draw(pub u32);

impl Draw {
    /// The next number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % bound
    }
}

/// Rows whose first word tells the label; the rest is filling.
fn rows(count: u32, seed: u32) -> String {
    let mut draw = Draw(seed);
    let mut text = String::from("text,label\n");
    for _ in 0..count {
        let (label, words) = KINDS[draw.below(KINDS.len())];
        text.push_str(words[draw.below(words.len())]);
        for _ in 0..=draw.below(4) {
            text.push(' ');
            text.push_str(FILLERS[draw.below(FILLERS.len())]);
        }
        text.push_str(&format!(",{label}\n"));
    }
    text
}

/// The bytes of a safetensors file with the header that `change` makes of its own, and the same values.
pub fn reheaded(weights: &[u8], change: impl Fn(&str) -> String) -> Vec<u8> {
    let end = 8 + u64::from_le_bytes(weights[..8].try_into().expect("a safetensors file")) as usize;
    let header = std::str::from_utf8(&weights[8..end]).expect("a safetensors file");
    let changed = change(header);
    assert!(changed != header, "the header has what is changed");
    [&(changed.len() as u64).to_le_bytes(), changed.as_bytes(), &weights[end..]].concat()
}

/// The marks under a line of a recipe, without their length: that is the length of a path.
fn markless(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars() {
        if !(out.ends_with(c) && (c == '─' || c == ' ')) {
            out.push(c);
        }
    }
    out
}
