//! `retune merge`: what it writes, and what it refuses.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

use safetensors::{Dtype, SafeTensors};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name).canonicalize().unwrap()
}

/// Exit code, standard output and what was said on standard error, with the folder's name replaced.
fn retune(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_retune"))
        .current_dir(folder)
        .env("RETUNE_CACHE", folder.join("cache"))
        .env("NO_COLOR", "1")
        .args(arguments)
        .output()
        .unwrap();
    let fixtures = fixture("").display().to_string();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&fixtures, "FIXTURES");
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_merged_model_has_the_names_and_formats_of_its_base_and_other_values_where_the_adapter_sits() {
    let folder = tempfile::tempdir().unwrap();
    let (adapter, base) = (fixture("peft/lora"), fixture("families/llama-gelu"));
    let (code, out, err) = retune(folder.path(), &["merge", adapter.to_str().unwrap(), "--out", "merged"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("merged: 4 matrices"), "{out}");
    let read = |folder: &Path| std::fs::read(folder.join("model.safetensors")).unwrap();
    let (before, after) = (read(&base), read(&folder.path().join("merged")));
    let (before, after) = (SafeTensors::deserialize(&before).unwrap(), SafeTensors::deserialize(&after).unwrap());
    assert_eq!(before.len(), after.len());
    for (name, tensor) in before.iter() {
        let merged = after.tensor(name).unwrap();
        assert_eq!((merged.dtype(), merged.shape()), (Dtype::BF16, tensor.shape()), "{name}");
        let adapted = name.contains("q_proj.weight") || name.contains("v_proj.weight");
        assert_eq!(merged.data() != tensor.data(), adapted, "{name}");
    }
    let config = |folder: &Path| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap()
    };
    let (before, after) = (config(&base), config(&folder.path().join("merged")));
    assert_eq!((&after["architectures"], &after["hidden_act"]), (&before["architectures"], &before["hidden_act"]));
    assert_eq!(after["torch_dtype"], "bfloat16");
    // Nobody can tell whose model lies there.
    let (code, _, err) = retune(folder.path(), &["merge", adapter.to_str().unwrap(), "--out", "merged"]);
    assert!(code == 1 && err.contains("`merged` is there already, and is not empty"), "{err}");
}

#[test]
fn what_cannot_be_merged_or_would_be_lost_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("notes")).unwrap();
    std::fs::write(folder.path().join("notes/todo.txt"), "").unwrap();
    let [lora, llama, gpt2, bert] = ["peft/lora", "families/llama-gelu", "families/gpt2", "bert-tiny"].map(fixture);
    let [lora, llama, gpt2, bert] = [&lora, &llama, &gpt2, &bert].map(|path| path.to_str().unwrap());
    let told = [
        vec![lora, "--out", "notes"],
        vec![lora, "--out", llama],
        vec![lora, "--out", lora],
        vec![lora, "--base", gpt2, "--out", "merged"],
        vec![lora, "--base", "nowhere", "--out", "merged"],
        vec![bert, "--out", "merged"],
        vec!["nowhere", "--out", "merged"],
    ]
    .map(|arguments| {
        let (code, out, err) = retune(folder.path(), &[vec!["merge"], arguments].concat());
        assert_eq!((code, out.as_str()), (1, ""));
        err
    });
    assert!(!folder.path().join("merged").exists());
    insta::assert_snapshot!(told.join("\n"));
}
