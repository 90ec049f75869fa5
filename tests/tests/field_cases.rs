//! Checkpoints as they are found in the field, evaluated as `transformers` 5.24 evaluates them: the
//! losses are its own, in float32, on the same rows.

#![allow(clippy::unwrap_used, clippy::panic)]

mod tiny;

use serde_json::Value;
use tiny::{Tiny, workspace};

/// What `retune evaluate` says of a model in the fixtures, on a file beside it: the loss, and standard error.
fn evaluated(model: &str, task: &str, rows: &str) -> (f64, String) {
    let tiny = Tiny::new();
    let cases = workspace().join("tests/fixtures/cases");
    let model = cases.join(model).display().to_string();
    tiny.write(
        "recipe.toml",
        &format!("device = \"cpu\"\n[model]\nbase = \"{model}\"\ntask = \"{task}\"\n[data]\ntrain = \"none.jsonl\"\nmax_length = 32\nlayout = \"rows\"\n"),
    );
    let rows = cases.join(rows).display().to_string();
    let said = tiny.retune(&["evaluate", "recipe.toml", "--model", &model, "--data", &rows, "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let found: Value = serde_json::from_str(&said.out).unwrap();
    (found["values"]["loss"].as_f64().unwrap(), said.err)
}

fn assert_close(loss: f64, expected: f64) {
    assert!((loss - expected).abs() < 1e-4, "{loss} is not {expected}");
}

#[test]
fn a_bert_tokenizer_without_a_post_processor_adds_its_special_tokens() {
    // 2.239 without them.
    assert_close(evaluated("nopost-clf", "sequence-classification", "reviews.jsonl").0, 1.5652);
}

#[test]
fn an_option_that_only_tokenizer_config_has_is_followed() {
    // 1.565 without `strip_accents`.
    assert_close(evaluated("accents-clf", "sequence-classification", "reviews.jsonl").0, 1.5543);
}

#[test]
fn a_head_that_is_stored_beside_tied_embeddings_is_the_one_that_is_used() {
    // 5.647 with the token table in its place.
    assert_close(evaluated("tiedother", "causal-lm", "texts.jsonl").0, 5.5784);
}
