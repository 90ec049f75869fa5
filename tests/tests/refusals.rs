//! What cannot work is refused before any training, with one clear complaint each.

#![allow(clippy::unwrap_used, clippy::panic)]

mod tiny;

use tiny::{Tiny, plugin, reheaded};

/// Runs the recipe, expects a refusal, and keeps what it said.
fn refused(name: &str, tiny: &Tiny) {
    let said = tiny.retune(&["run", "recipe.toml", "-qq", "--output", "out"]);
    assert_eq!(said.code, Some(1), "{name}\n{}{}", said.out, said.err);
    assert!(!tiny.path().join("out").exists(), "{name}: nothing was begun");
    assert!(!said.err.contains("panicked"), "{}", said.err);
    insta::assert_snapshot!(name, said.err);
}

fn replaced(tiny: &Tiny, from: &str, to: &str) {
    assert!(Tiny::SOUND.contains(from));
    tiny.write("recipe.toml", &Tiny::SOUND.replace(from, to));
}

#[test]
fn a_misspelt_key() {
    let tiny = Tiny::new();
    replaced(&tiny, "batch_size", "bach_size");
    refused("a_misspelt_key", &tiny);
}

#[test]
fn a_missing_file() {
    let tiny = Tiny::new();
    replaced(&tiny, "train.csv", "trian.csv");
    refused("a_missing_file", &tiny);
}

#[test]
fn a_label_that_is_not_in_the_set() {
    let tiny = Tiny::new();
    let test = std::fs::read_to_string(tiny.path().join("test.csv")).unwrap();
    tiny.write("test.csv", &format!("{test}\"cat, fine\",anmial\n"));
    tiny.recipe("");
    refused("a_label_that_is_not_in_the_set", &tiny);
}

#[test]
fn an_empty_data_set() {
    let tiny = Tiny::new();
    tiny.write("train.csv", "text,label\n");
    tiny.recipe("");
    refused("an_empty_data_set", &tiny);
}

#[test]
fn a_column_that_is_not_there() {
    let tiny = Tiny::new();
    replaced(&tiny, "max_length = 16", "max_length = 16\ncolumns = { text = \"txt\", label = \"label\" }");
    refused("a_column_that_is_not_there", &tiny);
}

#[test]
fn a_glob_that_matches_no_layer() {
    let tiny = Tiny::new();
    tiny.recipe("[strategy]\nfreeze = [\"embeddings.**\", \"encoder.layers.0.**\"]\n");
    refused("a_glob_that_matches_no_layer", &tiny);
}

#[test]
fn everything_frozen() {
    let tiny = Tiny::new();
    tiny.recipe("[strategy]\nfreeze = [\"**\"]\n");
    refused("everything_frozen", &tiny);
}

#[test]
fn a_truncated_weights_file() {
    let tiny = Tiny::new();
    tiny.recipe("");
    let trained = tiny.retune(&["train", "recipe.toml", "-qq", "--output", "first"]);
    assert_eq!(trained.code, Some(0), "{}", trained.err);
    let weights = tiny.path().join("first/model/model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    replaced(&tiny, "config = \"base/config.json\"\ntokenizer = \"base\"", "base = \"first/model\"");
    refused("a_truncated_weights_file", &tiny);
}

#[test]
fn broken_weights_are_found_before_any_row_is_read() {
    let tiny = Tiny::new();
    tiny.recipe("");
    let trained = tiny.retune(&["train", "recipe.toml", "-qq", "--output", "first"]);
    assert_eq!(trained.code, Some(0), "{}", trained.err);
    let file = tiny.path().join("first/model/model.safetensors");
    let whole = std::fs::read(&file).unwrap();
    // Whoever reads the rows finds that a column is missing.
    tiny.write("train.csv", "body,label\ncat,animal\n");
    replaced(&tiny, "config = \"base/config.json\"\ntokenizer = \"base\"", "base = \"first/model\"");
    let name = "bert.encoder.layer.1.output.dense.weight";
    for (what, bytes) in [
        ("cut_short", whole[..whole.len() - 1].to_vec()),
        ("without_a_tensor", reheaded(&whole, |header| header.replace(name, &name.replace("weight", "kernel")))),
        ("of_another_shape", reheaded(&whole, |header| header.replace("[16,32]", "[32,16]"))),
    ] {
        std::fs::write(&file, bytes).unwrap();
        refused(&format!("weights_{what}"), &tiny);
    }
    std::fs::write(&file, whole).unwrap();
    let said = tiny.retune(&["run", "recipe.toml", "-qq", "--output", "out"]).err;
    assert!(said.contains("has no column `text`"), "whole weights let the rows be read: {said}");
}

#[test]
fn a_tokenizer_that_does_not_fit_the_model() {
    let tiny = Tiny::new();
    let config = std::fs::read_to_string(tiny.path().join("base/config.json")).unwrap();
    tiny.write("base/config.json", &config.replace("\"vocab_size\":16", "\"vocab_size\":12"));
    tiny.recipe("");
    refused("a_tokenizer_that_does_not_fit_the_model", &tiny);
}

#[test]
fn rows_longer_than_the_model_has_positions() {
    let tiny = Tiny::new();
    replaced(&tiny, "max_length = 16", "max_length = 128");
    refused("rows_longer_than_the_model_has_positions", &tiny);
}

#[test]
fn a_plugin_that_is_not_there() {
    let tiny = Tiny::new();
    std::fs::copy(plugin("focal"), tiny.path().join("focal.wasm")).unwrap();
    tiny.recipe("[loss]\nplugin = \"focl.wasm\"\n");
    refused("a_plugin_that_is_not_there", &tiny);
}

#[test]
fn a_plugin_in_the_wrong_role() {
    let tiny = Tiny::new();
    tiny.recipe(&format!("[evaluation]\nmetrics = [\"{}\"]\n", plugin("focal").display()));
    refused("a_plugin_in_the_wrong_role", &tiny);
}

#[test]
fn an_unknown_config_key_of_a_plugin() {
    let tiny = Tiny::new();
    std::fs::copy(plugin("focal"), tiny.path().join("focal.wasm")).unwrap();
    tiny.recipe("[loss]\nplugin = \"focal.wasm\"\nconfig = { gama = 2.0 }\n");
    refused("an_unknown_config_key_of_a_plugin", &tiny);
}

#[test]
fn an_impossible_config_value_of_a_plugin() {
    let tiny = Tiny::new();
    std::fs::copy(plugin("focal"), tiny.path().join("focal.wasm")).unwrap();
    tiny.recipe("[loss]\nplugin = \"focal.wasm\"\nconfig = { gamma = \"two\" }\n");
    refused("an_impossible_config_value_of_a_plugin", &tiny);
}

#[test]
fn an_unknown_limit() {
    let tiny = Tiny::new();
    std::fs::copy(plugin("focal"), tiny.path().join("focal.wasm")).unwrap();
    tiny.recipe("[loss]\nplugin = \"focal.wasm\"\nlimits = { deadline = 5 }\n");
    refused("an_unknown_limit", &tiny);
}

#[test]
fn several_wrong_limits() {
    let tiny = Tiny::new();
    std::fs::copy(plugin("focal"), tiny.path().join("focal.wasm")).unwrap();
    tiny.recipe("[loss]\nplugin = \"focal.wasm\"\n[loss.limits]\nmemory_mib = 0\ndeadline_ms = \"5 s\"\ncopymib = 8\n");
    refused("several_wrong_limits", &tiny);
}

#[test]
fn an_unknown_builtin() {
    let tiny = Tiny::new();
    tiny.recipe("[evaluation]\nmetrics = [\"acuracy\"]\n");
    refused("an_unknown_builtin", &tiny);
}

#[test]
fn a_best_value_that_no_metric_gives() {
    let tiny = Tiny::new();
    tiny.recipe("[evaluation]\nbest = { metric = \"acuracy\" }\n");
    refused("a_best_value_that_no_metric_gives", &tiny);
}

#[test]
fn several_missing_things_at_once() {
    let tiny = Tiny::new();
    let sound = Tiny::SOUND.replace("train.csv", "trian.csv").replace("tokenizer = \"base\"", "tokenizer = \"bse\"");
    tiny.write(
        "recipe.toml",
        &format!("{sound}[loss]\nplugin = \"focal.wasm\"\n[evaluation]\nmetrics = [\"acuracy\"]\n"),
    );
    refused("several_missing_things_at_once", &tiny);
}
