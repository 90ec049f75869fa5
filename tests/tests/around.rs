//! Attacks that no call of a plugin shows: what a run makes of its answers. Each is a whole run, whose memory and time are
//! watched from outside.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod tiny;

use std::process::Stdio;
use std::time::{Duration, Instant};

use tiny::{Said, Tiny, plugin};

/// No run takes longer, on a busy machine.
const LONGEST: Duration = Duration::from_secs(90);

/// No run takes more, in KiB: an honest one takes a tenth.
const LARGEST: u64 = 1 << 20;

/// Runs the recipe with a plugin in a role, watched.
fn run(tiny: &Tiny, role: &str, name: &str, more: &str) -> Said {
    let plugin = plugin(&format!("hostile/{name}"));
    let plugin = plugin.display();
    let section = match role {
        "policy" => format!("[[strategy.policy]]\nplugin = \"{plugin}\"\n"),
        "preprocess" => format!("[[data.preprocess]]\nplugin = \"{plugin}\"\nlimits = {{ deadline_ms = 2000 }}\n"),
        "metric" => format!("[evaluation]\nmetrics = [{{ plugin = \"{plugin}\" }}]\n"),
        _ => format!("[{role}]\nplugin = \"{plugin}\"\n"),
    };
    tiny.recipe(&(section + more));
    let mut child = tiny.command(&["run", "recipe.toml", "-q", "--output", "out"]);
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || std::io::read_to_string(stderr).unwrap());
    let (begun, mut most) = (Instant::now(), 0);
    while child.try_wait().unwrap().is_none() {
        most = most.max(peak(&status).unwrap_or_default());
        if begun.elapsed() > LONGEST || most > LARGEST {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{name}: {:?} and {} MiB", begun.elapsed(), most >> 10);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let status = child.wait().unwrap();
    let err = reader.join().unwrap().into_bytes();
    tiny.said(std::process::Output { status, stdout: Vec::new(), stderr: err })
}

/// The most memory that a process has had, in KiB.
fn peak(status: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
}

/// The first line of an error, without the rows of a step.
fn first(err: &str) -> String {
    let line = err.lines().find(|line| line.contains('×')).unwrap_or(err);
    let (before, rest) = line.split_once(", train.csv:").unwrap_or((line, ""));
    let after = rest.split_once(": ").map_or("", |(_, after)| after);
    if after.is_empty() { before.to_owned() } else { format!("{before}: {after}") }
}

/// What the head of an attack says that a run answers.
fn promised(name: &str) -> Option<String> {
    let folder = tiny::workspace().join("plugins/hostile").join(name);
    let text = std::fs::read_to_string(folder.join("plugin.wat")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(";; Run: ")).map(str::to_owned)
}

/// Without the line breaks of a terminal.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_a_run_cannot_use_ends_it_with_the_plugins_name() {
    let mut told = Vec::new();
    for (role, name) in [
        ("policy", "glob-nests"),
        ("policy", "glob-ranges"),
        ("policy", "wild-rate"),
        ("policy", "wild-weights"),
        ("policy", "no-such-layer"),
        ("preprocess", "wide-text"),
        ("preprocess", "wide-finish"),
        ("loss", "infinite"),
        ("loss", "negative-count"),
        ("loss", "nan"),
        ("loss", "instance-bomb"),
        ("loss", "compile-bomb"),
        ("loss", "schema-floods"),
    ] {
        let tiny = Tiny::new();
        let Said { code, err, .. } = run(&tiny, role, name, "");
        if code != Some(1) || !err.contains(name) || err.contains("panicked") {
            told.push(format!("WRONG {code:?} {err:.1500}"));
        }
        if !promised(name).is_none_or(|words| plain(&err).contains(&words)) {
            told.push(format!("WRONG its head says otherwise: {err:.1500}"));
        }
        told.push(format!("{name}: {}", first(&err).trim()));
        if tiny.path().join("out/model").exists() {
            told.push(format!("WRONG {name}: it exported a model"));
        }
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_loss_that_teaches_nothing_is_told() {
    let said = run(&Tiny::new(), "loss", "vanishes", "");
    assert_eq!(said.code, Some(0), "{}", said.err);
    let told: Vec<&str> = said.err.lines().filter(|line| line.contains("gradient")).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_step_with_nothing_to_divide_by_is_told() {
    let said = run(&Tiny::new(), "loss", "divides-by-nothing", "");
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains(&promised("divides-by-nothing").unwrap()), "{}", said.err);
}

#[test]
fn a_policy_that_unfreezes_what_the_recipe_froze_is_told_that_it_does_not() {
    let said = run(&Tiny::new(), "policy", "thaws", "[strategy]\nfreeze = [\"**.layer.0.**\"]\n");
    assert_eq!(said.code, Some(0), "{}", said.err);
    let told: Vec<&str> = said.err.lines().filter(|line| line.contains("unfreezes")).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_policy_cannot_fill_the_disk_with_its_reasons() {
    let tiny = Tiny::new();
    let said = run(&tiny, "policy", "endless-reasons", "");
    assert!(!said.err.contains("panicked"), "{}", said.err);
    let size = |file: &str| std::fs::metadata(tiny.path().join("out").join(file)).map_or(0, |about| about.len());
    let sizes = ["events.jsonl", "report.html"].map(size);
    assert!(sizes.iter().sum::<u64>() < 40 << 20, "{sizes:?}");
}

#[test]
fn words_of_a_plugin_stay_one_safe_line_under_its_name() {
    let tiny = Tiny::new();
    let said = run(&tiny, "loss", "log-forges", "");
    assert_eq!(said.code, Some(0), "{}", said.err);
    let words = said.err.lines().filter(|line| line.contains("the disk is full"));
    assert!(words.clone().count() > 0, "{}", said.err);
    assert!(words.clone().all(|line| line.contains("log-forges") && !line.starts_with("error")), "{}", said.err);
    assert!(!said.err.contains(['\u{202e}', '\u{1b}', '\u{0}', '\r']), "{:?}", said.err);
}
