//! The laws for what is read from strangers, on the seeds of `tests/fuzz/corpus` and on what is made of them.
//!
//! What is made is the same in every run: a few edits of a seed, drawn by number. An input is bounded in memory as well, which all
//! threads of this process share; so one target runs after the other. An input that breaks a law is written to a file that the message
//! names, and belongs into the corpus when it is mended. Longer: `tests/fuzz/README.md`.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/counting.rs"]
mod counting;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use retune_tests::fuzz::TARGETS;

/// The most memory of an input, beside what its size allows: a sandbox with 64 MiB for the guest and as much for its tensors.
const MEMORY: usize = 512 << 20;

/// Memory for each byte of an input.
const EACH: usize = 4 << 10;

fn below(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files of a folder, by name.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let listed = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap()).collect()
}

/// Holds a target to its laws: on every seed, and on `count` inputs that are made of them.
fn hold(name: &str, count: u64) {
    hold_on(name, files(&below(&format!("fuzz/corpus/{name}"))), count);
}

fn hold_on(name: &str, seeds: Vec<Vec<u8>>, count: u64) {
    static ONE_AFTER_THE_OTHER: Mutex<()> = Mutex::new(());
    let _held = ONE_AFTER_THE_OTHER.lock();
    let (_, target) = TARGETS.into_iter().find(|target| target.0 == name).unwrap();
    assert!(seeds.len() >= 20, "{} seeds", seeds.len());
    for seed in &seeds {
        try_one(name, target, seed);
    }
    for number in 0..count {
        try_one(name, target, &made(&seeds, &mut Draws(number)));
    }
}

fn try_one(name: &str, target: fn(&[u8]), input: &[u8]) {
    let keep = || {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        std::fs::write(&path, input).unwrap();
        path.display().to_string()
    };
    let (most, answer) = counting::most(|| catch_unwind(AssertUnwindSafe(|| target(input))));
    if let Err(panic) = answer {
        eprintln!("the input that breaks a law of `{name}` is in {}", keep());
        resume_unwind(panic);
    }
    let allowed = MEMORY + EACH * input.len();
    assert!(most <= allowed, "{most} bytes of memory, of which {allowed} are allowed; the input is in {}", keep());
}

/// Numbers that are drawn (SplitMix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// What stands well in the place of something else.
const WORDS: [&str; 20] = [
    "0",
    "-1",
    "1e308",
    "1e999",
    "18446744073709551615",
    "9223372036854775808",
    "4294967296",
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "\u{1b}[2J",
    "\u{202e}",
    "\n",
    "\"",
    ",",
    "\\u0000",
    "{{",
    "**",
];

/// A seed with a few edits.
fn made(seeds: &[Vec<u8>], draws: &mut Draws) -> Vec<u8> {
    draws.0 = draws.next();
    let mut input = seeds[draws.below(seeds.len())].clone();
    for _ in 0..=draws.below(4) {
        let at = draws.below(input.len() + 1);
        let end = (at + draws.below(24)).min(input.len());
        match draws.below(6) {
            0 if at < input.len() => input[at] ^= 1 << draws.below(8),
            1 => drop(input.drain(at..end)),
            2 => drop(input.splice(at..at, (0..draws.below(9)).map(|_| draws.next() as u8).collect::<Vec<_>>())),
            3 => {
                let other = &seeds[draws.below(seeds.len())];
                let from = draws.below(other.len() + 1);
                let piece = &other[from..(from + draws.below(200)).min(other.len())];
                drop(input.splice(at..end, piece.iter().copied()));
            }
            4 => {
                let copy = input[at..end].to_vec();
                drop(input.splice(at..at, copy));
            }
            _ => {
                // A number or a word, whole.
                let same = |byte: &u8| byte.is_ascii_alphanumeric();
                let start = input[at..].iter().position(same).map_or(at, |found| at + found);
                let stop =
                    input[start..].iter().position(|byte| !same(byte)).map_or(input.len(), |found| start + found);
                drop(input.splice(start..stop, WORDS[draws.below(WORDS.len())].bytes()));
            }
        }
    }
    input
}

#[test]
fn any_recipe_is_read_back_as_it_is_or_refused_in_words() {
    hold("recipe", 600);
}

#[test]
fn any_weights_give_a_model_or_an_error() {
    hold("checkpoint", 800);
}

#[test]
fn any_config_gives_a_model_or_an_error() {
    hold("config", 1_500);
}

#[test]
fn any_tokenizer_gives_tokens_or_an_error() {
    hold("tokenizer", 400);
}

#[test]
fn any_rows_are_the_same_for_every_number_of_workers_and_accounted_for() {
    hold("rows", 800);
}

#[test]
fn any_schema_resolves_a_configuration_to_one_that_resolves_to_itself() {
    hold("schema", 2_000);
}

#[test]
fn whatever_a_plugin_says_is_a_value_or_a_failure_with_its_name() {
    hold("values", 300);
}

#[test]
fn any_component_is_a_plugin_or_refused() {
    let random = below("../target/plugins/smith");
    assert!(random.is_dir(), "{} is missing: run `cargo xtask plugins` first", random.display());
    let mut seeds = files(&random);
    seeds.extend(files(&below("fuzz/corpus/component")));
    hold_on("component", seeds, 100);
}
