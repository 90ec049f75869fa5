//! Adapters in whole runs: plugins in every role, refusals, and what becomes of the base.

#![allow(clippy::unwrap_used, clippy::panic)]

mod tiny;

use std::path::PathBuf;

use serde_json::Value;
use tiny::{Tiny, plugin};

/// A tiny language model that was trained a little, to be a base; and its folder.
fn base(tiny: &Tiny) -> PathBuf {
    tiny.language_model("");
    let trained = tiny.retune(&["train", "lm.toml", "-qq", "--output", "first"]);
    assert_eq!(trained.code, Some(0), "{}", trained.err);
    tiny.path().join("first/model")
}

/// The recipe that goes on from it with `more`.
fn recipe(tiny: &Tiny, more: &str) {
    let first = std::fs::read_to_string(tiny.path().join("lm.toml")).unwrap();
    let adapted = first.replace("config = \"lm/config.json\"\ntokenizer = \"lm\"", "base = \"first/model\"");
    tiny.write("adapted.toml", &format!("{adapted}{more}"));
}

fn events(tiny: &Tiny, output: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(tiny.path().join(output).join("events.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_policy_plugin_unfreezes_adapter_layers_top_down_while_a_loss_plugin_trains_them() {
    let tiny = Tiny::new();
    base(&tiny);
    for loss in ["focal", "label-smoothing"] {
        recipe(
            &tiny,
            &format!(
                "[adapter]\nr = 4\nlora_alpha = 16\nlora_dropout = 0.1\n[[strategy.policy]]\nplugin = \"{}\"\nconfig = {{ every_epochs = 1 }}\n\
                 [loss]\nplugin = \"{}\"\n",
                plugin("gradual-unfreezing").display(),
                plugin(loss).display()
            ),
        );
        let said = tiny.retune(&["run", "adapted.toml", "--json", "--output", loss]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        let summary: Value = serde_json::from_str(&said.out).unwrap();
        let value = |when: &str| summary[when]["values"]["loss"].as_f64().unwrap();
        assert!(value("after") < value("before"), "{loss}: {summary}");

        // The layers that learn, each time they change: first the top block's, then all.
        let learning = |event: &Value| -> Vec<String> {
            let layers = event["layers"].as_array().unwrap().iter();
            layers.filter(|l| l["trainable"] == true).map(|l| l["name"].as_str().unwrap().to_owned()).collect()
        };
        let changes: Vec<Vec<String>> =
            events(&tiny, loss).iter().filter(|event| event["event"] == "layers").map(learning).collect();
        let first = changes.iter().find(|layers| layers.len() < 4).unwrap_or_else(|| panic!("{changes:?}"));
        assert_eq!(first, &["model.layers.1.self_attn", "model.layers.1.mlp"], "{loss}");
        let last = changes.last().unwrap();
        assert_eq!(last.len(), 4, "{loss}: {last:?}");
        assert!(last.iter().all(|name| name.starts_with("model.layers.")), "{last:?}");
    }
    let manifest = std::fs::read(tiny.path().join("focal/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    // Rank 4 beside seven projections of 16 and 32 in two blocks: r (in + out) each.
    let adapters = 2 * 4 * (4 * (16 + 16) + 3 * (16 + 32));
    let parameters = manifest["model"]["parameters"].as_u64().unwrap();
    assert_eq!(parameters, adapters + 2 * (4 * 16 * 16 + 3 * 16 * 32 + 2 * 16) + 16 + 2 * 16 * 16);
    assert_eq!(manifest["model"]["trainable"], adapters / 2, "the policy holds one block back at the start");
}

#[test]
fn a_dry_run_tells_the_share_that_learns() {
    let tiny = Tiny::new();
    base(&tiny);
    recipe(&tiny, "[adapter]\nmethod = \"dora\"\nr = 2\n");
    let said = tiny.retune(&["run", "adapted.toml", "--dry-run"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let line = said.out.lines().find(|line| line.starts_with("adapter ")).unwrap_or_else(|| panic!("{}", said.out));
    assert!(line.contains("dora, rank 2, on 14 modules") && line.contains(" parameters learn ("), "{line}");
    recipe(&tiny, "[adapter]\nr = 2\ninit_lora_weights = \"pissa_niter_4\"\n");
    let said = tiny.retune(&["run", "adapted.toml", "--dry-run"]);
    assert!(said.out.contains("lora started by pissa_niter_4, rank 2, on 14 modules"), "{}{}", said.out, said.err);
}

#[test]
fn adapters_that_cannot_be_are_refused_before_any_row_is_read() {
    let tiny = Tiny::new();
    base(&tiny);
    for (name, more) in [
        ("a_target_that_matches_nothing", "[adapter]\ntarget_modules = [\"q_porj\"]\n"),
        ("a_rank_pattern_that_matches_nothing", "[adapter]\nrank_pattern = { kproj = 4 }\n"),
        (
            "an_alpha_pattern_that_matches_nothing",
            "[adapter]\ntarget_modules = \"q_proj\"\nalpha_pattern = { k_proj = 4 }\n",
        ),
        ("modules_to_save_that_match_nothing", "[adapter]\nmodules_to_save = \"lm_hed\"\n"),
        ("dora_on_a_table", "[adapter]\nmethod = \"dora\"\ntarget_modules = [\"q_proj\", \"embed_tokens\"]\n"),
        ("new_weights_below_an_adapter", "[adapter]\n[strategy]\nreinitialize = [{ layers = \"layers.1.mlp\" }]\n"),
        ("a_freeze_of_all_adapters", "[adapter]\n[strategy]\nfreeze = \"layers.*\"\n"),
        ("more_singular_vectors_than_there_are", "[adapter]\nr = 17\ninit_lora_weights = \"pissa\"\n"),
        (
            "a_start_that_tables_do_not_have",
            "[adapter]\ninit_lora_weights = \"pissa\"\ntarget_modules = \"embed_tokens\"\n",
        ),
    ] {
        recipe(&tiny, more);
        let said = tiny.retune(&["run", "adapted.toml", "-qq", "--output", "out"]);
        assert_eq!(said.code, Some(1), "{name}\n{}{}", said.out, said.err);
        assert!(!tiny.path().join("out").exists(), "{name}: nothing was begun");
        insta::assert_snapshot!(name, said.err);
    }
}
