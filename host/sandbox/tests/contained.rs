//! Every attack of `plugins/hostile` against the sandbox: its message, its time, its memory, and a plugin beside it that goes
//! on as if nothing were there. `plugins/hostile/README.md` is the list of what came of it.
//!
//! A program of its own, without the harness of tests, because it counts what it allocates, and because it is started again to load
//! components apart, as `retune` is. With `INSTA_UPDATE=always` the list is written anew.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "../../../tests/support/counting.rs"]
mod counting;
mod driven;

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use common::root;
use counting::most;
use driven::{Attack, Bystanders, End, attacks, drive};
use retune_sandbox::Sandbox;

/// No attack takes longer: a deadline at each of a few calls, and what compiling it costs on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);

/// No attack takes more of the host's memory beside its own: tensors, copies and what compiling it costs.
const LARGEST: usize = 160 << 20;

/// Longest message, in bytes.
const WORDS: usize = 4_000;

/// A line of the list.
struct Seen {
    attack: Attack,
    end: End,
    took: Duration,
    grown: usize,
}

/// Only of attacks that are named in `RETUNE_ATTACKS`, where it is set.
fn wanted(attack: &Attack) -> bool {
    std::env::var("RETUNE_ATTACKS").is_ok_and(|names| names.split(',').any(|name| name == attack.name))
        || std::env::var_os("RETUNE_ATTACKS").is_none()
}

fn main() -> ExitCode {
    if let Some(code) = retune_sandbox::acceptance::requested() {
        return code;
    }
    every_attack_is_stopped_in_bounds_and_harms_nothing_beside_it();
    ExitCode::SUCCESS
}

fn every_attack_is_stopped_in_bounds_and_harms_nothing_beside_it() {
    let sandbox = Sandbox::new(Some(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"))).unwrap();
    let mut bystanders = Bystanders::new(&sandbox);
    let before_all = bystanders.step();

    let (mut seen, mut wrong) = (Vec::new(), Vec::new());
    for attack in attacks().unwrap().into_iter().filter(wanted) {
        let path = attack.component();
        let begun = Instant::now();
        let (grown, end) = most(|| drive(&sandbox, &path, &attack));
        let took = begun.elapsed();

        if took > LONGEST || grown > LARGEST {
            wrong.push(format!("{}: took {took:?} and {} MiB", attack.name, grown >> 20));
        }
        if let End::Stopped(message, help) = &end {
            for text in [message].into_iter().chain(help) {
                if text.len() > WORDS || text.chars().any(unsafe_to_print) {
                    wrong.push(format!("{}: not one safe line of {} bytes: {text:.300?}", attack.name, text.len()));
                }
            }
        }
        assert_eq!(bystanders.step(), before_all, "{}: the plugins beside it are unharmed", attack.name);
        if std::env::var_os("RETUNE_ATTACKS").is_some() {
            eprintln!("{}: {took:?}, {} MiB, {end:.3000?}", attack.name, grown >> 20);
        }
        seen.push(Seen { attack, end, took, grown });
    }
    let total: Duration = seen.iter().map(|seen| seen.took).sum();
    let most = seen.iter().map(|seen| seen.grown).max().unwrap_or_default();
    eprintln!("{} attacks, {total:?}, at most {} MiB", seen.len(), most >> 20);
    if std::env::var_os("RETUNE_ATTACKS").is_none() {
        kept(&listed(&seen), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What would do more to a terminal or a log than stand in it.
fn unsafe_to_print(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The list as it should be.
fn listed(seen: &[Seen]) -> String {
    let mut text = String::from(include_str!("driven/README.head.md"));
    for Seen { attack, end, .. } in seen {
        let message = match end {
            // What the tests of whole runs hold it to.
            End::Passed => {
                attack.says("Run").map_or_else(|| "nothing: it goes on".to_owned(), |told| format!("the run: {told}"))
            }
            End::Stopped(message, _) => placeless(message),
        };
        let cells = [&*attack.does, &*attack.answered, &*message].map(|cell| cell.replace('|', "\\|"));
        writeln!(text, "| `{}` | {} | {} | {} |", attack.name, cells[0], cells[1], cells[2]).unwrap();
    }
    text
}

/// A message without the place of the component, and without versions of the toolchain.
fn placeless(message: &str) -> String {
    let text = message.replace(&format!("{}/target/plugins/hostile/", root().display()), "");
    // How long an operation takes at least is a matter of the machine, and how much of its time a call has left of the moment.
    let text = match text.split_once(": takes ") {
        Some((before, _)) if text.contains(", and the call ends in ") => {
            format!("{before}: takes longer than the call has")
        }
        _ => text,
    };
    match text.split_once("wasi:sockets/network@").and_then(|(before, rest)| Some((before, rest.split_once(':')?))) {
        Some((before, (_, after))) => format!("{before}wasi:sockets/network:{after}"),
        None => text,
    }
}

/// Compares with what is checked in, or writes it.
fn kept(text: &str, wrong: &mut Vec<String>) {
    let path = root().join("plugins/hostile/README.md");
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    if there == text {
        return;
    }
    if std::env::var("INSTA_UPDATE").is_ok_and(|value| value == "always") {
        std::fs::write(&path, text).unwrap();
        return;
    }
    for line in text.lines().filter(|line| !there.lines().any(|other| other == *line)) {
        wrong.push(format!("plugins/hostile/README.md lacks: {line:.600}"));
    }
    for line in there.lines().filter(|line| !text.lines().any(|other| other == *line)) {
        wrong.push(format!("plugins/hostile/README.md has what is not so: {line:.600}"));
    }
}
