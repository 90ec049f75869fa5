//! Small language models in a folder, and a terminal to talk to them in.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod terminal;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use retune_data::Tokenization;
use retune_roles::{Task, Tokenizer as _};
use retune_tensor::Device;
use retune_train::model::{Base, ExportForm, Model};
use serde_json::json;
use tempfile::TempDir;

pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// A folder with two models, `tuned` and `base`, of 160 positions, and `plain`, which has no chat template.
pub fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = fixtures().join("chat");
    let vocabulary = Tokenization::open(&tokenizer).unwrap().vocab_size();
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocabulary, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 64, "max_position_embeddings": 160, "hidden_act": "silu",
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "initializer_range": 0.3, "tie_word_embeddings": true, "torch_dtype": "float32"
    });
    let path = folder.path().join("config.json");
    std::fs::write(&path, config.to_string()).unwrap();
    for (name, seed, template) in [("base", 1, true), ("tuned", 2, true), ("plain", 3, false)] {
        let (model, _) = Model::load(&Base::Config(path.clone()), &Task::CausalLm, seed, &Device::flex()).unwrap();
        let template = template.then(|| tokenizer.join("chatml.jinja"));
        model.export_as(ExportForm::Whole, &folder.path().join(name), Some(&tokenizer), template.as_deref()).unwrap();
    }
    folder
}

/// The program, in `folder`.
pub fn command(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retune"));
    command.current_dir(folder.path()).env("RETUNE_CACHE", folder.path().join("cache"));
    command
}

pub fn retune(folder: &TempDir, arguments: &[&str], input: &str) -> Said {
    let mut child = command(folder)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A verb that is refused reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}
