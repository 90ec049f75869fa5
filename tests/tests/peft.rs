//! Adapters of whole runs: what they leave, who reads it, and how one goes on.

#![allow(clippy::unwrap_used, clippy::panic)]

mod tiny;

use serde_json::Value;
use tiny::Tiny;

/// A base that has learnt a little, in `first/model`, and a recipe that goes on from it with `more`.
fn recipe(tiny: &Tiny, name: &str, more: &str) {
    if !tiny.path().join("first").exists() {
        tiny.write("first.toml", &Tiny::SOUND.replace("epochs = 6", "epochs = 1"));
        let said = tiny.retune(&["train", "first.toml", "-qq", "--output", "first"]);
        assert_eq!(said.code, Some(0), "{}", said.err);
    }
    let sound = Tiny::SOUND.replace("config = \"base/config.json\"\ntokenizer = \"base\"", "base = \"first/model\"");
    tiny.write(name, &format!("{}{more}", sound.replace("epochs = 6", "epochs = 2")));
}

fn json(tiny: &Tiny, arguments: &[&str]) -> Value {
    let said = tiny.retune(arguments);
    assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.err);
    serde_json::from_str(&said.out).unwrap()
}

fn loss(values: &Value) -> f64 {
    values["values"]["loss"].as_f64().unwrap()
}

const ADAPTER: &str = "[adapter]\nr = 4\nlora_alpha = 16\n";

#[test]
fn a_run_leaves_an_adapter_that_every_verb_reads_and_that_merges() {
    let tiny = Tiny::new();
    recipe(&tiny, "r.toml", &format!("{ADAPTER}[export]\ndirectory = \"whole\"\nformat = \"merged\"\n"));
    let summary = json(&tiny, &["run", "r.toml", "--json", "--output", "out"]);
    let names = |folder: &str| {
        let entries = std::fs::read_dir(tiny.path().join(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let tokenizer = ["tokenizer.json", "tokenizer_config.json"];
    assert_eq!(
        names("out/model"),
        [&["adapter_config.json", "adapter_model.safetensors", "model_config.json"][..], &tokenizer].concat()
    );
    assert_eq!(names("whole"), [&["config.json", "model.safetensors"][..], &tokenizer].concat());

    let measured = json(&tiny, &["evaluate", "out", "--json"]);
    assert_eq!(loss(&measured), loss(&summary["test"]), "the adapter is the model that was measured");
    let texts = ["predict", "out", "cat good", "red bad", "moon fine", "--json"];
    let of_run = tiny.retune(&texts);
    assert_eq!(of_run.code, Some(0), "{}", of_run.err);
    assert!(of_run.out.contains("animal") && of_run.out.contains("sky"), "labels are known: {}", of_run.out);
    let alone = tiny.retune(&[&["predict", "out/model"][..], &texts[2..]].concat());
    assert_eq!(alone.out, of_run.out, "{}", alone.err);

    let said = tiny.retune(&["merge", "out", "--out", "merged"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(names("merged"), names("whole"));
    let read = |folder: &str| std::fs::read(tiny.path().join(folder).join("model.safetensors")).unwrap();
    assert_eq!(read("merged"), read("whole"));
    let merged = json(&tiny, &["evaluate", "r.toml", "--model", "merged", "--json"]);
    assert!((loss(&merged) - loss(&measured)).abs() < 1e-5, "{} and {}", loss(&merged), loss(&measured));

    // Whoever moves the base says where it is.
    std::fs::rename(tiny.path().join("first"), tiny.path().join("moved")).unwrap();
    let lost = tiny.retune(&["predict", "out/model", "cat"]);
    assert!(lost.code == Some(1) && lost.err.contains("--base DIR"), "{}", lost.err);
    let found = tiny.retune(&[&["predict", "out/model", "--base", "moved/model"][..], &texts[2..]].concat());
    assert_eq!(found.out, of_run.out, "{}", found.err);
}

#[test]
fn a_run_goes_on_from_an_adapter_where_that_was() {
    let tiny = Tiny::new();
    recipe(&tiny, "one.toml", &format!("{ADAPTER}target_modules = [\"query\", \"value\"]\n"));
    let one = json(&tiny, &["run", "one.toml", "--json", "--output", "one"]);
    recipe(&tiny, "two.toml", "[adapter]\nfrom = \"one/model\"\n");
    let two = json(&tiny, &["run", "two.toml", "--json", "--output", "two"]);
    assert_eq!(loss(&two["before"]), loss(&one["after"]), "it begins where the other ended");
    assert_ne!(loss(&two["after"]), loss(&two["before"]), "and learns");
    let settings = |run: &str| -> Value {
        serde_json::from_slice(&std::fs::read(tiny.path().join(run).join("model/adapter_config.json")).unwrap())
            .unwrap()
    };
    assert_eq!(settings("two"), settings("one"));
    let manifest = std::fs::read_to_string(tiny.path().join("two/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["adapter"].as_array().unwrap().len(), 2, "digests of its files");
    // The kept recipe has every default written down, and says the same.
    assert_eq!(tiny.retune(&["run", "--resume", "two", "-qq"]).code, Some(0));

    let mut told = Vec::new();
    for more in ["r = 2", "target_modules = [\"key\"]", "method = \"dora\""] {
        recipe(&tiny, "not.toml", &format!("[adapter]\nfrom = \"one/model\"\n{more}\n"));
        let said = tiny.retune(&["run", "not.toml", "-qq", "--dry-run"]);
        told.push(format!("{more}\n{}", said.err));
    }
    recipe(&tiny, "not.toml", "[adapter]\nfrom = \"first/model\"\n");
    told.push(tiny.retune(&["run", "not.toml", "-qq", "--dry-run"]).err);
    recipe(&tiny, "not.toml", "[export]\ndirectory = \"x\"\nformat = \"merged\"\n");
    told.push(tiny.retune(&["run", "not.toml", "-qq", "--dry-run"]).err);
    // Other bytes than the run began with.
    let path = tiny.path().join("one/model/adapter_config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"lora_dropout\": 0.0", "\"lora_dropout\": 0.1")).unwrap();
    let changed = tiny.retune(&["run", "--resume", "two", "-qq"]).err;
    assert!(
        changed.contains("adapter_config.json` is not what the run in") && changed.contains("began with"),
        "{changed}"
    );
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_run_that_starts_from_a_part_of_its_base_leaves_an_adapter_of_twice_the_rank_for_the_base_as_it_is() {
    let tiny = Tiny::new();
    recipe(&tiny, "plain.toml", ADAPTER);
    recipe(&tiny, "r.toml", &format!("{ADAPTER}init_lora_weights = \"pissa\"\nlora_dropout = 0.1\n"));
    let [plain, summary] = ["plain", "r"]
        .map(|name| json(&tiny, &["run", &format!("{name}.toml"), "--json", "--output", &format!("{name}-out")]));
    assert_eq!(loss(&summary["before"]), loss(&plain["before"]), "it begins where its base is");
    assert!(loss(&summary["after"]) < loss(&summary["before"]), "{summary}");
    let settings: Value =
        serde_json::from_slice(&std::fs::read(tiny.path().join("r-out/model/adapter_config.json")).unwrap()).unwrap();
    assert_eq!((&settings["r"], &settings["lora_alpha"]), (&Value::from(8), &Value::from(32)));
    assert_eq!(settings["init_lora_weights"], Value::Bool(true));

    let measured = json(&tiny, &["evaluate", "r-out", "--json"]);
    assert!((loss(&measured) - loss(&summary["test"])).abs() < 1e-5, "{measured}\n{summary}");
    assert_eq!(tiny.retune(&["merge", "r-out", "--out", "merged"]).code, Some(0));
    let merged = json(&tiny, &["evaluate", "r.toml", "--model", "merged", "--json"]);
    assert!((loss(&merged) - loss(&measured)).abs() < 1e-5, "{merged}");

    // As it is written, so it goes on: all of it learns.
    recipe(&tiny, "on.toml", "[adapter]\nfrom = \"r-out/model\"\n");
    let on = json(&tiny, &["run", "on.toml", "--json", "--output", "on"]);
    assert!((loss(&on["before"]) - loss(&summary["after"])).abs() < 1e-5, "{on}");
    recipe(&tiny, "not.toml", "[adapter]\nfrom = \"r-out/model\"\ninit_lora_weights = \"pissa\"\n");
    insta::assert_snapshot!(tiny.retune(&["run", "not.toml", "-qq", "--dry-run"]).err);
}

#[test]
fn texts_are_continued_by_an_adapter_as_by_the_merged_model() {
    let tiny = Tiny::new();
    tiny.language_model("");
    assert_eq!(tiny.retune(&["train", "lm.toml", "-qq", "--output", "first"]).code, Some(0));
    let first = std::fs::read_to_string(tiny.path().join("lm.toml")).unwrap();
    let base = first.replace("config = \"lm/config.json\"\ntokenizer = \"lm\"", "base = \"first/model\"");
    let adapter = "[adapter]\nmethod = \"dora\"\nr = 4\nmodules_to_save = \"embed_tokens\"\n";
    tiny.write("lora.toml", &format!("{base}{adapter}"));
    let said = tiny.retune(&["train", "lora.toml", "-qq", "--output", "out"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(tiny.retune(&["merge", "out", "--out", "merged"]).code, Some(0));
    let asked = |model: &[&str]| {
        let rest = ["--raw", "--prompt", "cat good", "--max-new-tokens", "12", "--json"];
        json(&tiny, &[&["generate"], model, &rest[..]].concat())["ids"].clone()
    };
    let of_run = asked(&["out"]);
    assert_eq!(of_run, asked(&["merged"]));
    assert_eq!(of_run, asked(&["out/model", "--base", "first/model"]));
    assert!(!of_run.as_array().unwrap().is_empty());
}
