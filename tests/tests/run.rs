//! `retune run` end to end: four sandboxed plugins on a tiny model, resumption, prediction.

#![allow(clippy::unwrap_used, clippy::panic)]

mod tiny;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tiny::{Tiny, plugin};

fn four_roles() -> String {
    let p = |name: &str| plugin(name).display().to_string();
    format!(
        "[[data.preprocess]]\nplugin = \"{}\"\n[[strategy.policy]]\nplugin = \"{}\"\n[loss]\nplugin = \"{}\"\nconfig = {{ gamma = 1.0 }}\n\
         [evaluation]\nmetrics = [\"accuracy\", {{ plugin = \"{}\" }}]\nbest = {{ metric = \"macro_f1\" }}\n",
        p("text-clean"),
        p("gradual-unfreezing"),
        p("focal"),
        p("classification-report")
    )
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The files of a folder with their bytes, by name.
fn bytes_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_run_with_a_plugin_in_every_role_learns_and_leaves_a_whole_run_directory() {
    let tiny = Tiny::new();
    tiny.recipe(&four_roles());
    let said = tiny.retune(&["run", "recipe.toml", "--json", "--output", "out"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let summary: Value = serde_json::from_str(&said.out).unwrap();
    let accuracy = |when: &str| summary[when]["values"]["accuracy"].as_f64().unwrap();
    assert!(accuracy("after") > accuracy("before") + 0.2, "{summary}");
    assert!(accuracy("test") > 0.5, "{summary}");
    assert!(summary["test"]["values"]["macro_f1"].is_f64(), "the plugin's metric is there");

    let out = tiny.path().join("out");
    for name in [
        "recipe.toml",
        "manifest.json",
        "events.jsonl",
        "report.html",
        "model/config.json",
        "model/model.safetensors",
        "model/tokenizer.json",
    ] {
        assert!(out.join(name).is_file(), "{name}");
    }
    let manifest = json_of(&out.join("manifest.json"));
    let roles: Vec<&str> = manifest["roles"].as_array().unwrap().iter().map(|r| r["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["preprocessor", "loss", "policy", "metric", "metric"]);
    assert!(
        manifest["roles"].as_array().unwrap().iter().filter(|r| !r["plugin"].is_null()).all(|r| r["plugin"]["sha256"]
            .as_str()
            .unwrap()
            .len()
            == 64)
    );
    let events = std::fs::read_to_string(out.join("events.jsonl")).unwrap();
    let names: Vec<String> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].as_str().unwrap().to_owned())
        .collect();
    let position = |name: &str| names.iter().position(|n| n == name).unwrap_or_else(|| panic!("no {name}"));
    assert!(position("measured") < position("run_start") && position("run_end") < names.len() - 1);
    assert_eq!(names.iter().filter(|n| *n == "step").count(), 72);
    for name in ["data", "layers", "policy_change", "evaluation", "checkpoint", "exported", "finished"] {
        position(name);
    }
    let start = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let start = start.into_iter().find(|event| event["event"] == "run_start").unwrap();
    assert_eq!(manifest["model"]["trainable"], start["trainable_parameters"], "the policy froze all but the head");
    assert!(manifest["model"]["trainable"].as_u64() < manifest["model"]["parameters"].as_u64());
    let report = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("frozen, steps 1 to") && report.contains("Confusion matrix"));
}

#[test]
fn the_resolved_recipe_gives_the_same_model_again() {
    let tiny = Tiny::new();
    tiny.recipe(&four_roles());
    assert_eq!(tiny.retune(&["run", "recipe.toml", "-q", "--output", "one"]).code, Some(0));
    let again = tiny.retune(&["run", "one/recipe.toml", "-q", "--output", "two"]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert!(bytes_of(&tiny.path().join("one/model")) == bytes_of(&tiny.path().join("two/model")), "the models differ");
}

#[test]
fn a_killed_run_goes_on_and_ends_with_the_same_bytes() {
    let tiny = Tiny::new();
    tiny.recipe(&format!("checkpoint = {{ every_steps = 5 }}\n{}", four_roles()));
    assert_eq!(tiny.retune(&["run", "recipe.toml", "-q", "--output", "whole"]).code, Some(0));

    let mut child = tiny
        .command(&["run", "recipe.toml", "--output", "killed"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let seen = lines.map_while(Result::ok).any(|line| line.starts_with("evaluate  step 36"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(seen, "the run came as far as step 36");

    let resumed = tiny.retune(&["run", "--resume", "killed"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    assert!(resumed.err.contains("resume    from the checkpoint of step"), "{}", resumed.err);
    assert!(
        bytes_of(&tiny.path().join("whole/model")) == bytes_of(&tiny.path().join("killed/model")),
        "the models differ"
    );
    assert!(resumed.out.contains("before"), "the summary still knows the values from before: {}", resumed.out);
    let report = std::fs::read_to_string(tiny.path().join("killed/report.html")).unwrap();
    assert!(report.contains("Resumed from the checkpoint of step"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_cleanly_and_says_how_to_go_on() {
    let tiny = Tiny::new();
    let long = Tiny::SOUND.replace("epochs = 6", "epochs = 100000");
    tiny.write("recipe.toml", &format!("{long}checkpoint = {{ every_steps = 5 }}\n{}", four_roles()));
    let mut child = tiny
        .command(&["run", "recipe.toml", "--output", "out"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut err = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok) {
        if line.starts_with("evaluate  step 24,") {
            let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
            assert!(sent.success());
        }
        err.push_str(&line);
        err.push('\n');
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(
        err.contains("stopped after step") && err.contains("is intact; go on from it with `retune run --resume out`"),
        "{err}"
    );
}

#[test]
fn another_recipe_cannot_go_on_with_a_run() {
    let tiny = Tiny::new();
    tiny.recipe("");
    assert_eq!(tiny.retune(&["run", "recipe.toml", "-q"]).code, Some(0));
    let changed = std::fs::read_to_string(tiny.path().join("recipe.toml")).unwrap().replace("epochs = 6", "epochs = 7");
    tiny.write("recipe.toml", &changed);
    let said = tiny.retune(&["run", "recipe.toml", "--resume"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("epochs = 6") && said.err.contains("epochs = 7"), "{}", said.err);
    let used = tiny.retune(&["run", "recipe.toml", "--output", "runs/tiny-1"]);
    assert_eq!(used.code, Some(1));
    assert!(used.err.contains("add --resume"), "{}", used.err);
}

#[test]
fn a_run_that_another_process_trains_is_left_alone() {
    let tiny = Tiny::new();
    tiny.recipe("checkpoint = { every_steps = 20 }\n");
    assert_eq!(tiny.retune(&["run", "recipe.toml", "-q", "--output", "out"]).code, Some(0));
    let events = std::fs::read(tiny.path().join("out/events.jsonl")).unwrap();
    // What the other process would hold.
    let lock = std::fs::File::options().write(true).open(tiny.path().join("out/.lock")).unwrap();
    lock.try_lock().unwrap();
    let refused = tiny.retune(&["run", "--resume", "out"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("another process is training in `out`"), "{}", refused.err);
    assert!(refused.err.contains("wait until it ends"), "{}", refused.err);
    assert_eq!(std::fs::read(tiny.path().join("out/events.jsonl")).unwrap(), events);
    assert_eq!(tiny.retune(&["evaluate", "out", "-q"]).code, Some(0), "reading disturbs nobody");
    drop(lock);
    let resumed = tiny.retune(&["run", "--resume", "out", "-q"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
}

#[test]
fn a_run_goes_on_with_the_rows_it_began_with_or_not_at_all() {
    let tiny = Tiny::new();
    tiny.recipe("");
    assert_eq!(tiny.retune(&["run", "recipe.toml", "-q", "--output", "out"]).code, Some(0));
    let before = std::fs::read(tiny.path().join("out/manifest.json")).unwrap();
    let test = std::fs::read_to_string(tiny.path().join("test.csv")).unwrap();
    tiny.write("test.csv", &format!("{test}cat,animal\n"));
    let said = tiny.retune(&["run", "--resume", "out"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("test.csv` is not what the run in `out` began with"), "{}", said.err);
    assert_eq!(std::fs::read(tiny.path().join("out/manifest.json")).unwrap(), before);
}

#[test]
fn a_model_is_kept_when_the_test_set_cannot_be_measured() {
    let tiny = Tiny::new();
    // Without a validation set the metric, which may read nothing, is first asked on the test set.
    let sound = Tiny::SOUND.replace("validation = { split = 0.2 }\n", "");
    let metric = plugin("classification-report");
    tiny.write(
        "recipe.toml",
        &format!(
            "{sound}[evaluation]\nmetrics = [{{ plugin = \"{}\", limits = {{ readback_mib = 0 }} }}]\n",
            metric.display()
        ),
    );
    let said = tiny.retune(&["run", "recipe.toml", "--output", "out"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("the model is in `out/model`"), "{}", said.err);
    let predicted = tiny.retune(&["predict", "out/model", "cat fine"]);
    assert_eq!(predicted.code, Some(0), "{}", predicted.err);
}

#[test]
fn a_trained_model_is_measured_without_what_it_was_trained_on() {
    let tiny = Tiny::new();
    tiny.recipe(&four_roles());
    assert_eq!(tiny.retune(&["run", "recipe.toml", "-q", "--output", "out"]).code, Some(0));
    tiny.write("more.csv", "text,label\ncat fine,animal\n \u{a0} ,sky\nthe moon,sky\n");
    for gone in ["train.csv", "test.csv", "base/config.json", "base/tokenizer.json"] {
        std::fs::remove_file(tiny.path().join(gone)).unwrap();
    }
    let said = tiny.retune(&["evaluate", "out", "--data", "more.csv"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.starts_with("more.csv: 2 rows, 1 of 3 left out"), "{}", said.out);
    assert!(said.err.contains("2 of 3 rows; dropped 1"), "{}", said.err);
}

#[test]
fn an_export_never_replaces_what_a_run_starts_from_or_what_is_not_a_model() {
    let tiny = Tiny::new();
    for (directory, reason) in [("base", "is what the run starts from"), (".", "which an export would delete")] {
        tiny.recipe(&format!("[export]\ndirectory = \"{directory}\"\n"));
        let said = tiny.retune(&["run", "recipe.toml"]);
        assert_eq!(said.code, Some(1));
        assert!(said.err.contains(reason) && said.err.contains("directory = "), "{}", said.err);
        assert!(!tiny.path().join("runs").exists(), "nothing was trained");
    }
    assert!(tiny.path().join("train.csv").is_file());
}

#[test]
fn a_model_of_pairs_is_asked_with_pairs() {
    let tiny = Tiny::new();
    let pairs = |name: &str| {
        let text =
            std::fs::read_to_string(tiny.path().join(name)).unwrap().replacen("text,label", "first,second,label", 1);
        let rows: Vec<String> = text
            .lines()
            .map(|line| if line.starts_with("first") { line.to_owned() } else { line.replacen(',', ",fine,", 1) })
            .collect();
        tiny.write(name, &(rows.join("\n") + "\n"));
    };
    pairs("train.csv");
    pairs("test.csv");
    tiny.write(
        "recipe.toml",
        &Tiny::SOUND.replace("max_length", "columns = { text = \"first\", text_pair = \"second\" }\nmax_length"),
    );
    let run = tiny.retune(&["run", "recipe.toml", "-q", "--output", "out"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let alone = tiny.retune(&["predict", "out", "cat"]);
    assert_eq!(alone.code, Some(1));
    assert!(alone.err.contains("write `first` and `second` with a tab between them"), "{}", alone.err);
    let pair = tiny.retune(&["predict", "out", "cat\tfine"]);
    assert_eq!(pair.code, Some(0), "{}", pair.err);
    assert!(pair.out.contains("cat\tfine"), "{}", pair.out);
}

#[test]
fn a_dry_run_shows_the_plan_and_leaves_nothing_behind() {
    let tiny = Tiny::new();
    tiny.recipe(&four_roles());
    let said = tiny.retune(&["run", "recipe.toml", "--dry-run"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    for part in [
        "bert, 6.1 K parameters",
        "3: animal, colour, sky",
        "focal (plugin",
        "accuracy (built in)",
        "72 of 8 rows",
        "memory",
    ] {
        assert!(said.out.contains(part), "{part} in\n{}", said.out);
    }
    assert!(!tiny.path().join("runs").exists());
}

#[test]
fn a_trained_model_predicts_and_is_measured_again() {
    let tiny = Tiny::new();
    tiny.recipe(&four_roles());
    let run = tiny.retune(&["run", "recipe.toml", "--json", "-q", "--output", "out"]);
    let summary: Value = serde_json::from_str(&run.out).unwrap();

    let measured = tiny.retune(&["evaluate", "out", "--json", "-q"]);
    assert_eq!(measured.code, Some(0), "{}", measured.err);
    let measured: Value = serde_json::from_str(&measured.out).unwrap();
    let close = |a: &Value, b: &Value| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-6;
    for name in ["loss", "accuracy", "macro_f1"] {
        assert!(close(&measured["values"][name], &summary["test"]["values"][name]), "{name}: {measured}");
    }

    let said = tiny.retune(&["predict", "out", "--json", "cat fine", "the moon"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let lines: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    for line in &lines {
        let sum: f64 = line["probabilities"].as_object().unwrap().values().map(|p| p.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-9);
        assert_eq!(line["probabilities"][line["label"].as_str().unwrap()], line["probability"]);
    }

    let dropped = tiny.retune(&["predict", "out", "cat", "   ", "<br>", "sun"]);
    assert_eq!(dropped.code, Some(0), "{}", dropped.err);
    let lines: Vec<&str> = dropped.out.lines().collect();
    assert!(lines.len() == 4 && lines[1].ends_with("–  (no text)"), "{}", dropped.out);
    assert!(lines[2].contains("(dropped: a preprocessor refused it"), "{}", dropped.out);
    assert!(lines[3].ends_with("sun"));
}

#[test]
fn prepare_accounts_for_every_row_and_finds_its_work_again() {
    let tiny = Tiny::new();
    tiny.recipe(&format!("[[data.preprocess]]\nplugin = \"{}\"\n", plugin("dedup").display()));
    let said = tiny.retune(&["prepare", "recipe.toml", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    let train = &report["sources"][0];
    let dropped: u64 = train["dropped"].as_array().unwrap().iter().map(|d| d["count"].as_u64().unwrap()).sum();
    assert!(dropped > 0, "rows of so few words repeat");
    assert_eq!(train["read"].as_u64().unwrap(), train["rows"].as_u64().unwrap() + dropped);
    let again: Value = serde_json::from_str(&tiny.retune(&["prepare", "recipe.toml", "--json"]).out).unwrap();
    assert_eq!(again["sources"][0]["cache"]["state"], "hit");
}

#[test]
fn rows_of_two_texts_are_compared_in_both_and_in_their_labels() {
    let tiny = Tiny::new();
    let columns = "columns = { text = \"first\", text_pair = \"second\" }\nmax_length";
    tiny.write(
        "recipe.toml",
        &format!(
            "{}[[data.preprocess]]\nplugin = \"{}\"\nconfig = {{ near = false }}\n",
            Tiny::SOUND.replace("max_length", columns).replace("test = \"test.csv\"\n", ""),
            plugin("dedup").display()
        ),
    );
    // Thirty premises with four hypotheses each; then a copy, and one with another label.
    let rows = (0..120).map(|n| format!("{n},red cat {},blue dog {},{}\n", n / 4, n % 4, ["a", "b"][n % 2]));
    let more = "120,Red cat 0,blue dog 0,a\n121,red cat 0,blue dog 1,a\n";
    tiny.write("train.csv", &format!("id,first,second,label\n{}{more}", rows.collect::<String>()));
    let said = tiny.retune(&["prepare", "recipe.toml", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("train.csv:123 is labelled `a`, the same text before it `b`"), "{}", said.err);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    let dropped = report["sources"][0]["dropped"].as_array().unwrap();
    let dropped: Vec<_> = dropped.iter().map(|d| (&d["reason"], &d["count"], &d["keys"])).collect();
    let told = |reason: &str, key: &str| (json!(reason), json!(1), json!([key]));
    let expected = [told("duplicate", "train.csv:122"), told("label-conflict", "train.csv:123")];
    assert_eq!(dropped, expected.iter().map(|(a, b, c)| (a, b, c)).collect::<Vec<_>>());
}

#[test]
fn a_language_model_learns_from_plain_text_with_a_plugins_loss_and_metric() {
    let tiny = Tiny::new();
    let p = |name: &str| plugin(name).display().to_string();
    tiny.language_model(&format!(
        "[loss]\nplugin = \"{}\"\n[evaluation]\nmetrics = [\"accuracy\", \"{}\"]\n",
        p("label-smoothing"),
        p("perplexity")
    ));
    let said = tiny.retune(&["run", "lm.toml", "--json", "-q", "--output", "out"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let summary: Value = serde_json::from_str(&said.out).unwrap();
    let perplexity = |when: &str| summary[when]["values"]["perplexity"].as_f64().unwrap();
    assert!(perplexity("before") > 12.0 && perplexity("after") < 8.0, "{summary}");
    let measured = tiny.retune(&["evaluate", "out", "--data", "lm/text.txt", "-q"]);
    assert_eq!(measured.code, Some(0), "{}", measured.err);
    let predicted = tiny.retune(&["predict", "out", "cat"]);
    assert_eq!(predicted.code, Some(1));
    assert!(predicted.err.contains("sequence-classification"), "{}", predicted.err);
}

#[test]
fn prepared_rows_are_kept_listed_and_removed() {
    let tiny = Tiny::new();
    tiny.recipe("");
    assert_eq!(tiny.retune(&["prepare", "recipe.toml", "-q"]).code, Some(0));
    let listed = tiny.retune(&["cache", "list"]);
    assert_eq!((listed.code, listed.out.lines().count()), (Some(0), 3), "{}", listed.out);
    assert!(listed.out.contains(": 2 files, "), "{}", listed.out);
    let json: Value = serde_json::from_str(&tiny.retune(&["cache", "list", "--json"]).out).expect("JSON");
    assert_eq!(json["files"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["limit"], 10_u64 << 30);
    let smallest = json["files"].as_array().into_iter().flatten().filter_map(|file| file["bytes"].as_u64()).min();
    let size = smallest.expect("a size").to_string();
    assert!(tiny.retune(&["cache", "prune", "--size", &size]).out.starts_with("removed 1 file"));
    assert!(tiny.retune(&["cache", "clear"]).out.starts_with("removed 1 file"));
    assert!(tiny.retune(&["cache", "list"]).out.contains(": 0 files, "));
    let wrong =
        tiny.said(tiny.command(&["cache", "list"]).env("RETUNE_CACHE_SIZE", "much").output().expect("it starts"));
    assert!(wrong.err.contains("RETUNE_CACHE_SIZE is `much`: expected a size"), "{}", wrong.err);
}

#[test]
fn a_loss_times_zero_is_told_once_and_by_its_name() {
    let tiny = Tiny::new();
    tiny.recipe(&format!("[loss]\nplugin = \"{}\"\n", plugin("hostile/vanishes").display()));
    let said = tiny.retune(&["run", "recipe.toml", "-q", "--output", "out"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let told: Vec<&str> = said.err.lines().filter(|line| line.contains("was exactly zero everywhere")).collect();
    assert!(told.len() == 1 && told[0].starts_with("warning   the gradient of loss vanishes"), "{}", said.err);
    let report = std::fs::read_to_string(tiny.path().join("out/report.html")).unwrap();
    assert!(report.contains("was exactly zero everywhere in the first 3 steps"), "it stands in the report");
}
