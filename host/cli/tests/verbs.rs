//! The binary as a user calls it: verbs that need neither a model nor a plugin.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

use tempfile::TempDir;

struct Said {
    code: i32,
    out: String,
    err: String,
}

fn retune(folder: &TempDir, arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_retune"))
        .current_dir(folder.path())
        .env("RETUNE_CACHE", folder.path().join("cache"))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_ready_recipe_can_be_listed_shown_and_checked() {
    let folder = folder();
    let list = retune(&folder, &["recipe", "list"]);
    assert_eq!(list.code, 0);
    assert!(list.out.lines().any(|line| line.starts_with("quickstart ")), "{}", list.out);
    let shown = retune(&folder, &["recipe", "show", "quickstart"]);
    assert_eq!(shown.code, 0);
    std::fs::write(folder.path().join("mine.toml"), &shown.out).unwrap();
    let checked = retune(&folder, &["recipe", "check", "mine.toml"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert!(checked.out.contains("gradient_accumulation_steps = 1"), "defaults are filled in");
}

#[test]
fn a_key_set_on_the_command_line_wins_and_its_origin_is_told() {
    let folder = folder();
    let shown = retune(&folder, &["recipe", "show", "quickstart"]);
    std::fs::write(folder.path().join("mine.toml"), &shown.out).unwrap();
    let checked = retune(&folder, &["recipe", "check", "mine.toml", "--set", "training.epochs=17"]);
    assert!(checked.out.contains("epochs = 17"), "{}{}", checked.out, checked.err);
    let told = retune(&folder, &["recipe", "show", "mine.toml", "--origin", "--set", "seed=7"]);
    let line = |key: &str| told.out.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(line("seed = 7").ends_with("# --set"), "{}", told.out);
    assert!(line("training.epochs = 5").contains("# mine.toml:"), "{}", told.out);
    for verb in ["run", "train", "prepare"] {
        let said = retune(&folder, &[verb, "mine.toml", "--set", "training.epoch=1"]);
        assert_eq!(said.code, 1);
        assert!(said.err.contains("[--set:1:1]") && said.err.contains("did you mean `epochs`?"), "{}", said.err);
    }
    let schema = retune(&folder, &["recipe", "schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema.out).unwrap();
    assert_eq!(schema["properties"]["seed"]["default"], 42);
}

#[test]
fn a_recipe_that_is_not_there_is_refused_with_the_nearest() {
    let said = retune(&folder(), &["recipe", "show", "quikstart"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("did you mean `quickstart`?"), "{}", said.err);
    let said = retune(&folder(), &["run", "quickstart"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("retune recipe show quickstart > quickstart.toml"), "{}", said.err);
}

#[test]
fn the_reference_of_keys_can_be_narrowed_to_a_section() {
    let all = retune(&folder(), &["recipe", "keys"]);
    let one = retune(&folder(), &["recipe", "keys", "training.optimizer"]);
    assert!(all.out.contains("[training.optimizer]") && all.out.contains("[data]"));
    assert!(one.out.contains("learning_rate") && !one.out.contains("[data]"));
    let wrong = retune(&folder(), &["recipe", "keys", "traning"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("did you mean `training`?"));
}

#[test]
fn doctor_says_what_is_there_and_what_is_missing() {
    let said = retune(&folder(), &["doctor", "--json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let found: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let findings = found["findings"].as_array().unwrap();
    for what in ["retune", "processor", "memory", "cache", "plugins", "CUDA", "device"] {
        assert!(findings.iter().any(|f| f["what"] == what), "{what}");
    }
    let cuda = findings.iter().find(|f| f["what"] == "CUDA").unwrap();
    let remedies = cuda["remedy"].as_array().unwrap();
    assert_eq!(cuda["state"] == "missing", !remedies.is_empty(), "whatever is missing has a remedy");
}

#[test]
fn a_cache_that_cannot_be_written_is_told_and_breaks_nothing() {
    let folder = folder();
    std::fs::write(folder.path().join("cache"), "a file").unwrap();
    let said = retune(&folder, &["doctor"]);
    assert_eq!(said.code, 0);
    assert!(said.out.contains("set RETUNE_CACHE to a directory that can"), "{}", said.out);
}

#[test]
fn a_plugin_that_is_missing_or_no_component_is_refused() {
    let folder = folder();
    std::fs::write(folder.path().join("focal.wasm"), "hello").unwrap();
    let missing = retune(&folder, &["plugin", "inspect", "focl.wasm"]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.err.contains("`focl.wasm` does not exist") && missing.err.contains("focal.wasm"),
        "{}",
        missing.err
    );
    let text = retune(&folder, &["plugin", "inspect", "focal.wasm"]);
    assert_eq!(text.code, 1);
    assert!(text.err.contains("is not a WebAssembly component"), "{}", text.err);
}

#[test]
fn a_command_line_that_cannot_be_read_has_exit_code_2() {
    assert_eq!(retune(&folder(), &["runn"]).code, 2);
    assert_eq!(retune(&folder(), &["run", "a.toml", "--device", "gpux"]).code, 2);
    assert_eq!(retune(&folder(), &["run", "a.toml", "--resume", "--dry-run"]).code, 2);
}

#[test]
fn a_directory_without_a_run_is_refused() {
    let folder = folder();
    for arguments in [["report", "."], ["evaluate", "."]] {
        let said = retune(&folder, &arguments);
        assert_eq!(said.code, 1);
        assert!(said.err.contains("holds no run"), "{}", said.err);
    }
}

#[test]
fn a_folder_for_a_recipe_and_a_recipe_for_a_model_are_refused_by_what_they_are() {
    let folder = folder();
    let run = folder.path().join("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::write(run.join("recipe.toml"), "").unwrap();
    std::fs::write(run.join("manifest.json"), "").unwrap();
    let said = retune(&folder, &["run", "run"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("`run` is a folder, not a file"), "{}", said.err);
    assert!(said.err.contains("`retune run --resume run` goes on with it"), "{}", said.err);
    let said = retune(&folder, &["predict", "run/recipe.toml", "a text"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("`run/recipe.toml` is a file, not a folder"), "{}", said.err);
}

#[test]
fn data_for_a_recipe_is_refused_in_a_few_lines() {
    let folder = folder();
    std::fs::write(folder.path().join("train.csv"), "text,label\n".repeat(100)).unwrap();
    let said = retune(&folder, &["run", "train.csv"]);
    assert_eq!(said.code, 1);
    assert_eq!(said.err.matches("this is not TOML").count(), 3, "{}", said.err);
}

#[test]
fn standard_error_has_no_colour_when_it_is_no_terminal() {
    let said = retune(&folder(), &["run", "nowhere.toml"]);
    assert!(!said.err.contains('\u{1b}'));
}
