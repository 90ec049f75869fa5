//! The run directory and the command line around it: who takes which place, what may change between a
//! stop and a resume, what a signal does. Nothing here needs a plugin.

#![allow(clippy::unwrap_used, clippy::panic)]

mod tiny;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;
use tiny::{Tiny, reheaded};

/// A tiny project, and the recipe `recipe.toml` in it.
fn project(more: &str) -> Tiny {
    let tiny = Tiny::new();
    tiny.recipe(more);
    tiny
}

/// The events of a run, by name.
fn events(run: &Path, name: &str) -> Vec<Value> {
    let log = std::fs::read_to_string(run.join("events.jsonl")).unwrap();
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event"] == name).collect()
}

#[test]
fn two_runs_of_one_recipe_started_at_once_get_a_directory_each() {
    let tiny = project("");
    let start = || tiny.command(&["run", "recipe.toml", "-qq"]).stdout(Stdio::null()).spawn().unwrap();
    let both = [start(), start()];
    for mut child in both {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    for number in 1..=2 {
        assert!(tiny.path().join(format!("runs/tiny-{number}/model/model.safetensors")).is_file(), "{number}");
    }
}

#[cfg(unix)]
#[test]
fn a_stopped_run_goes_on_in_a_project_that_was_moved() {
    let tiny = Tiny::new();
    let long = Tiny::SOUND.replace("epochs = 6", "epochs = 100000");
    tiny.write("recipe.toml", &format!("{long}checkpoint = {{ every_steps = 3 }}\n"));
    let mut child = start(&tiny, &["run", "recipe.toml"]);
    let said = interrupt_at(&mut child, "evaluate  step 24,", "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    let moved = tiny.path().join("elsewhere");
    std::fs::create_dir(&moved).unwrap();
    for part in ["base", "runs", "recipe.toml", "train.csv", "test.csv"] {
        std::fs::rename(tiny.path().join(part), moved.join(part)).unwrap();
    }
    for arguments in [["run", "recipe.toml", "--resume"], ["run", "--resume", "runs/tiny-1"]] {
        let mut child =
            tiny.command(&arguments).current_dir(&moved).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let said = interrupt_at(&mut child, "resume    from the checkpoint of step", "-TERM");
        assert_eq!(child.wait().unwrap().code(), Some(143), "{said}");
    }
}

#[test]
fn a_resumed_run_may_use_another_device_and_tests_once() {
    let tiny = project("");
    assert_eq!(tiny.retune(&["run", "recipe.toml", "-q", "--output", "out"]).code, Some(0));
    let changed = std::fs::read_to_string(tiny.path().join("recipe.toml")).unwrap().replace("\"cpu\"", "\"auto\"");
    tiny.write("recipe.toml", &changed);
    let said = tiny.retune(&["run", "recipe.toml", "--resume", "--output", "out", "--device", "cpu"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let whens: Vec<Value> =
        events(&tiny.path().join("out"), "measured").into_iter().map(|event| event["when"].clone()).collect();
    assert_eq!(whens, ["before", "after", "test"], "a finished run that is resumed evaluates nothing again");
    assert!(said.out.contains("test on"), "and still tells what was found: {}", said.out);
}

fn start(tiny: &Tiny, arguments: &[&str]) -> Child {
    tiny.command(arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

/// Reads standard error to its end, and sends `signal` at the first line that begins with `at`.
fn interrupt_at(child: &mut Child, at: &str, signal: &str) -> String {
    let mut said = String::new();
    let mut sent = false;
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok) {
        if !sent && line.starts_with(at) {
            sent =
                std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success();
        }
        said.push_str(&line);
        said.push('\n');
    }
    assert!(sent, "no line began with `{at}`:\n{said}");
    said
}

#[cfg(unix)]
#[test]
fn a_signal_is_answered_at_once_and_tells_the_step_and_the_verb() {
    let tiny = Tiny::new();
    let long = Tiny::SOUND.replace("epochs = 6", "epochs = 100000\nlogging_steps = 100000");
    tiny.write("recipe.toml", &format!("{long}checkpoint = {{ every_steps = 2 }}\n"));
    let mut child = start(&tiny, &["train", "recipe.toml", "--output", "out"]);
    let said = interrupt_at(&mut child, "evaluate  step 24,", "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143), "{said}");
    assert!(said.contains("stopping after this micro-batch; once more ends the process at once\n"), "{said}");
    assert!(said.contains("go on from it with `retune train --resume out`"), "{said}");
    let step: u64 = said.split("stopped after step ").nth(1).unwrap().split('\n').next().unwrap().parse().unwrap();
    assert!(step >= 24, "{said}");
    assert_eq!(events(&tiny.path().join("out"), "interrupted")[0]["step"], step);
    assert!(events(&tiny.path().join("out"), "measured").is_empty(), "`train` does not evaluate around training");
}

/// Waits until `child` has a file open whose name ends like `name`.
#[cfg(target_os = "linux")]
fn until_it_reads(child: &mut Child, name: &str) {
    let opened = format!("/proc/{}/fd", child.id());
    let open = || {
        let files = std::fs::read_dir(&opened).into_iter().flatten().flatten();
        files.filter_map(|file| std::fs::read_link(file.path()).ok()).any(|file| file.ends_with(name))
    };
    while !open() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it read {name}");
        std::thread::yield_now();
    }
}

#[cfg(unix)]
#[test]
fn a_signal_while_the_test_set_is_evaluated_is_no_success_and_the_set_is_evaluated_once() {
    let tiny = project("");
    let rows = std::fs::read_to_string(tiny.path().join("test.csv")).unwrap();
    let (header, rows) = rows.split_once('\n').unwrap();
    tiny.write("test.csv", &format!("{header}\n{}", rows.repeat(1000)));
    let mut child = start(&tiny, &["run", "recipe.toml", "--output", "out"]);
    // From here on only the test set is left.
    let log = tiny.path().join("out/events.jsonl");
    while !std::fs::read_to_string(&log).unwrap_or_default().contains("\"when\":\"after\"") {
        assert!(child.try_wait().unwrap().is_none(), "it ended before the test set");
        std::thread::yield_now();
    }
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("stopped while evaluating on the test set"), "{said}");
    assert!(said.contains("`retune run --resume out` evaluates it again"), "{said}");
    let resumed = tiny.retune(&["run", "--resume", "out", "-q"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    let tests = events(&tiny.path().join("out"), "measured").into_iter().filter(|event| event["when"] == "test");
    assert_eq!(tests.count(), 1);
}

#[test]
fn a_run_of_fifty_steps_takes_fifty_whatever_the_number_of_rows() {
    let tiny = Tiny::new();
    let fifty = Tiny::SOUND.replace("epochs = 6", "max_steps = 50").replace("validation = { split = 0.2 }\n", "");
    let fifty = fifty.replace("test = \"test.csv\"\n", "");
    tiny.write("recipe.toml", &fifty);
    let said = tiny.retune(&["train", "recipe.toml", "--output", "out"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("labels    3: animal, colour, sky"), "the label set is printed: {}", said.err);
    assert_eq!(events(&tiny.path().join("out"), "step").len(), 50);
    assert_eq!(events(&tiny.path().join("out"), "run_end")[0]["step"], 50);
    tiny.write("recipe.toml", &fifty.replace("max_steps = 50", "max_steps = 1\nlr_scheduler = { warmup_steps = 1 }"));
    let warned = tiny.retune(&["train", "recipe.toml", "-q", "--output", "one"]).err;
    assert!(warned.contains("the learning rate is 0 throughout, so nothing is learnt"), "{warned}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_while_rows_are_prepared_ends_the_process_and_leaves_nothing() {
    let tiny = project("");
    let rows = std::fs::read_to_string(tiny.path().join("train.csv")).unwrap();
    let (header, rows) = rows.split_once('\n').unwrap();
    tiny.write("train.csv", &format!("{header}\n{}", rows.repeat(4000)));
    let mut child = start(&tiny, &["run", "recipe.toml"]);
    until_it_reads(&mut child, "train.csv");
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("stopped before the run began: nothing was written"), "{said}");
    assert!(!tiny.path().join("runs").exists());
}

#[test]
fn quiet_hides_progress_and_very_quiet_warnings_too() {
    let tiny = project("");
    // A row of the test set that the model has learnt from.
    let train = std::fs::read_to_string(tiny.path().join("train.csv")).unwrap();
    tiny.write("test.csv", &train);
    let told = |arguments: &[&str]| {
        let said = tiny.retune(arguments);
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.err
    };
    let quiet = told(&["run", "recipe.toml", "--dry-run", "-q"]);
    assert!(!quiet.is_empty() && quiet.lines().all(|line| line.starts_with("warning   ")), "{quiet}");
    assert_eq!(told(&["run", "recipe.toml", "--dry-run", "-qq"]), "");
}

#[cfg(target_os = "linux")]
#[test]
fn a_place_whose_name_is_not_utf_8_holds_a_run_as_any_other() {
    use std::os::unix::ffi::OsStrExt;
    let tiny = project("");
    let place = std::ffi::OsStr::from_bytes(b"out-\xff");
    let said =
        tiny.said(tiny.command(&["run", "recipe.toml", "-q", "--json", "--output"]).arg(place).output().unwrap());
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(tiny.path().join(place).join("model/model.safetensors").is_file());
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap()["run"], "out-\u{fffd}");
}

#[test]
fn a_model_answers_a_file_row_by_row_and_standard_input_line_by_line() {
    let tiny = project("");
    assert_eq!(tiny.retune(&["run", "recipe.toml", "-q", "--output", "out"]).code, Some(0));
    tiny.write("rows.csv", "label,text\nsky,cat fine\nsky,\"the\nmoon\"\nsky,\n");
    let said = tiny.retune(&["predict", "out", "--file", "rows.csv"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", said.out);
    assert!(lines[0].ends_with("  cat fine") && lines[1].ends_with("  the moon"), "{}", said.out);
    assert_eq!(lines[2].trim(), "–  (no text)");
    for (arguments, given) in [
        (vec!["predict", "out", "--file", "-"], "cat fine\n\nthe moon\n"),
        (vec!["predict", "out"], "\u{feff}cat fine\n\nthe moon\n"),
        (
            vec!["predict", "out", "--file", "-", "--format", "jsonl"],
            "{\"text\":\"cat fine\"}\n{\"text\":\"\"}\n{\"text\":\"the moon\"}\n",
        ),
    ] {
        let mut child = tiny.command(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(given.as_bytes()).unwrap();
        let out = tiny.said(child.wait_with_output().unwrap()).out;
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines.len() == 3 && lines[0].ends_with("  cat fine") && lines[2].ends_with("  the moon"), "{out}");
    }
}

#[test]
fn a_run_is_evaluated_on_another_device_than_it_was_made_for() {
    let tiny = project("");
    assert_eq!(tiny.retune(&["run", "recipe.toml", "-q", "--output", "out"]).code, Some(0));
    let kept = tiny.path().join("out/recipe.toml");
    let made_elsewhere = std::fs::read_to_string(&kept).unwrap().replace("device = \"cpu\"", "device = \"cuda:0\"");
    std::fs::write(&kept, made_elsewhere).unwrap();
    let said = tiny.retune(&["evaluate", "out", "-q", "--device", "cpu"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    // In the format its name says or that is asked for, never in the recipe's.
    let explicit = std::fs::read_to_string(&kept).unwrap().replace("[data]\n", "[data]\nformat = \"csv\"\n");
    std::fs::write(&kept, explicit).unwrap();
    tiny.write("rows.jsonl", "{\"text\": \"cat fine\", \"label\": \"animal\"}\n");
    tiny.write("rows.dat", "text,label\ncat fine,animal\n");
    for arguments in [vec!["rows.jsonl"], vec!["rows.dat", "--format", "csv"]] {
        let arguments = [vec!["evaluate", "out", "-q", "--device", "cpu", "--data"], arguments].concat();
        let said = tiny.retune(&arguments);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert!(said.out.contains(": 1 rows"), "{}", said.out);
    }
    let missing = tiny.retune(&["evaluate", "out", "--device", "cpu", "--data", "tests.csv"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.err.contains("`tests.csv` does not exist") && missing.err.contains("test.csv"), "{}", missing.err);
    assert!(!missing.err.contains("recipe"), "a path of the command line is no path of a recipe: {}", missing.err);
}

#[test]
fn tensors_of_the_base_that_have_no_place_in_the_model_are_counted_and_named() {
    let tiny = project("");
    assert_eq!(tiny.retune(&["train", "recipe.toml", "-q", "--output", "out"]).code, Some(0));
    let file = tiny.path().join("out/model/model.safetensors");
    let other = reheaded(&std::fs::read(&file).unwrap(), |header| header.replace("\"classifier.", "\"cls.other."));
    std::fs::write(&file, other).unwrap();
    let next = Tiny::SOUND.replace("config = \"base/config.json\"\ntokenizer = \"base\"", "base = \"out/model\"");
    tiny.write("next.toml", &next);
    let said = tiny.retune(&["run", "next.toml", "--dry-run"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let warned = "the model has no place for 2 tensors of the base: cls.other.bias, cls.other.weight\n";
    assert!(said.err.contains(warned), "{}", said.err);
    assert!(said.err.contains("new: classifier.weight, classifier.bias"), "{}", said.err);
}

#[test]
fn a_run_directory_given_as_base_is_answered_with_its_model() {
    let tiny = project("");
    assert_eq!(tiny.retune(&["run", "recipe.toml", "-q", "--output", "out"]).code, Some(0));
    let next = Tiny::SOUND.replace("config = \"base/config.json\"\ntokenizer = \"base\"", "base = \"out\"");
    tiny.write("next.toml", &next);
    let said = tiny.retune(&["run", "next.toml", "--dry-run"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("is a run directory, not a model") && said.err.contains("out/model`"), "{}", said.err);
    tiny.write("next.toml", &next.replace("base = \"out\"", "base = \"out/model\""));
    assert_eq!(tiny.retune(&["run", "next.toml", "--dry-run"]).code, Some(0));
}
