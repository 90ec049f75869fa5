//! What should not matter to what is learnt, through the binary: the side a tokenizer pads on, whether rows share sequences,
//! whether blocks are recomputed.

#![allow(clippy::unwrap_used, clippy::panic)]

mod tiny;

use std::fs;

use serde_json::{Value, json};
use tiny::Tiny;

/// Steps of a run: loss, gradient norm, rows and tokens of each.
fn steps(tiny: &Tiny, out: &str) -> Vec<(f64, f64, u64, u64)> {
    let log = fs::read_to_string(tiny.path().join(out).join("events.jsonl")).unwrap();
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let number = |event: &Value, key: &str| event[key].as_f64().unwrap();
    let whole = |event: &Value, key: &str| event[key].as_u64().unwrap();
    events
        .filter(|event| event["event"] == "step")
        .map(|e| (number(&e, "loss"), number(&e, "grad_norm"), whole(&e, "rows"), whole(&e, "tokens")))
        .collect()
}

/// Trains `recipe` with keys set, and gives the weights it ends with.
fn train(tiny: &Tiny, recipe: &str, out: &str, set: &[&str]) -> Vec<u8> {
    let mut arguments = vec!["train", recipe, "--output", out];
    arguments.extend(set.iter().flat_map(|key| ["--set", key]));
    let said = tiny.retune(&arguments);
    assert_eq!(said.code, Some(0), "{out}: {}", said.err);
    fs::read(tiny.path().join(out).join("model/model.safetensors")).unwrap()
}

/// The tokenizer in `folder` pads on this side, in both of the files that can say so.
fn pads_on(tiny: &Tiny, folder: &str, side: &str) {
    let read = |name: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(tiny.path().join(folder).join(name)).unwrap()).unwrap()
    };
    let mut config = read("tokenizer_config.json");
    config["padding_side"] = json!(side.to_lowercase());
    tiny.write(&format!("{folder}/tokenizer_config.json"), &config.to_string());
    let mut tokenizer = read("tokenizer.json");
    tokenizer["padding"] = json!({
        "strategy": "BatchLongest", "direction": side, "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "[PAD]"
    });
    tiny.write(&format!("{folder}/tokenizer.json"), &tokenizer.to_string());
}

#[test]
fn the_side_a_tokenizer_pads_on_changes_neither_losses_nor_gradients_nor_weights() {
    let tiny = Tiny::new();
    tiny.recipe("dropout = true\nmax_steps = 6\n");
    tiny.language_model("max_steps = 6\n");
    for (folder, recipe) in [("base", "recipe.toml"), ("lm", "lm.toml")] {
        let [left, right] = ["Left", "Right"].map(|side| {
            pads_on(&tiny, folder, side);
            let out = format!("{folder}-{side}");
            (train(&tiny, recipe, &out, &["data.layout=\"rows\""]), steps(&tiny, &out))
        });
        assert_eq!(left.1.len(), 6);
        assert_eq!(left.1, right.1, "{folder}");
        assert!(left.0 == right.0, "{folder}: the weights differ");
    }
}

#[test]
fn a_step_over_all_rows_is_the_same_packed_or_not_and_recomputed_or_not() {
    let tiny = Tiny::new();
    tiny.language_model("");
    // So many rows that all are in one window, whose order then does not matter.
    let all = ["training.batch_size=300", "training.max_steps=4", "data.layout=\"rows\""];
    let packed = ["training.batch_size=300", "training.max_steps=4", "data.layout=\"packed\"", "data.max_length=64"];
    train(&tiny, "lm.toml", "apart", &all);
    let weights = train(&tiny, "lm.toml", "packed", &packed);
    let (apart, together) = (steps(&tiny, "apart"), steps(&tiny, "packed"));
    assert_eq!((apart.len(), together.len()), (4, 4));
    for (apart, packed) in apart.iter().zip(&together) {
        assert_eq!((apart.2, apart.3), (packed.2, packed.3), "rows and tokens");
        assert!((apart.0 - packed.0).abs() < 1e-5 && (apart.1 - packed.1).abs() < 1e-5, "{apart:?} {packed:?}");
    }
    let recomputing = [&packed[..], &["training.gradient_checkpointing=true"]].concat();
    let recomputed = train(&tiny, "lm.toml", "recomputed", &recomputing);
    assert!(weights == recomputed && together == steps(&tiny, "recomputed"));

    let said = tiny.retune(&["prepare", "lm.toml", "--json", "--set", packed[2], "--set", packed[3]]);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    let [train, validation] = [0, 1].map(|split| report["splits"][split].clone());
    assert!(train["examples"].as_u64().unwrap() * 5 < train["rows"].as_u64().unwrap(), "{train}");
    assert!(train["fill"].as_f64().unwrap() > 0.9 && train["longest"].as_u64().unwrap() <= 64, "{train}");
    assert_eq!(validation["examples"], validation["rows"], "what is evaluated is not packed");

    let shown = tiny.retune(&["data", "show", "lm.toml", "--rows", "1", "--set", packed[2], "--set", packed[3]]);
    let borders = shown.out.lines().filter(|line| line.starts_with("-- text.txt:")).count();
    assert!(borders > 5 && shown.out.contains(&format!("{borders} rows packed")), "{}", shown.out);
}

#[test]
fn resume_check_finds_the_same_bytes_and_says_so() {
    let tiny = Tiny::new();
    tiny.language_model("");
    let said = tiny.retune(&[
        "resume-check",
        "lm.toml",
        "--steps",
        "12",
        "--kills",
        "2",
        "--json",
        "--set",
        "data.layout=\"packed\"",
        "--set",
        "export.directory=\"elsewhere\"",
    ]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    let checked: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&checked["ok"], &checked["steps"]), (&json!(true), &json!(12)), "{checked}");
    assert_eq!(checked["runs"].as_array().unwrap().len(), 2);
    assert!(checked["events"].as_u64().unwrap() >= 12 && checked["files"].as_u64().unwrap() > 6, "{checked}");
    assert!(!tiny.path().join("elsewhere").exists() && !tiny.path().join("runs").exists(), "nothing is left behind");

    let said = tiny.retune(&["resume-check", "lm.toml", "--set", "data.train=\"nowhere.txt\""]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("a run of this recipe fails by itself") && said.err.contains("nowhere.txt"),
        "{}",
        said.err
    );
}
