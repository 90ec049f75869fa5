//! A run that is killed, wherever that hits it, and goes on ends as if nothing had happened.
//!
//! The binary is killed with SIGKILL at places drawn from a seed: after so many
//! lines of its event log, and at every other place not before so many files of the next
//! checkpoint are there. Whether that checkpoint was still unfinished is then read off
//! what the kill left behind.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod tiny;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tiny::{Draw, Said, Tiny, plugin};

const SIGKILL: i32 = 9;

/// Everything that has state: a policy with a schedule, dropout, accumulation, a best model, patience.
fn recipe() -> String {
    let p = |name: &str| plugin(name).display().to_string();
    let short = Tiny::SOUND.replace("batch_size = 8", "batch_size = 4\ngradient_accumulation_steps = 2");
    format!(
        "{short}dropout = true\ncheckpoint = {{ every_steps = 3 }}\n[[data.preprocess]]\nplugin = \"{}\"\n[[strategy.policy]]\n\
         plugin = \"{}\"\nconfig = {{ every_steps = 5 }}\n[loss]\nplugin = \"{}\"\n[evaluation]\nevery = {{ steps = 4 }}\n\
         metrics = [{{ plugin = \"{}\" }}]\nbest = {{ metric = \"macro_f1\" }}\nearly_stopping = {{ patience = 3 }}\n",
        p("text-clean"),
        p("gradual-unfreezing"),
        p("focal"),
        p("classification-report")
    )
}

/// Where a kill is to hit.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Lines of the event log, counted from where this process began it.
    lines: usize,
    /// Files that a checkpoint has while it is being written.
    files: Option<usize>,
}

/// A run directory, seen from outside.
struct Watched {
    root: PathBuf,
    log: Option<File>,
    lines: usize,
}

impl Watched {
    /// From here on: lines that are already in the log do not count.
    fn new(root: &Path) -> Self {
        let mut watched = Self { root: root.to_owned(), log: None, lines: 0 };
        watched.count();
        watched.lines = 0;
        watched
    }

    /// Lines so far.
    fn count(&mut self) -> usize {
        if self.log.is_none() {
            self.log = File::open(self.root.join("events.jsonl")).ok();
        }
        let mut new = Vec::new();
        if let Some(log) = &mut self.log {
            log.read_to_end(&mut new).unwrap();
        }
        self.lines += new.iter().filter(|byte| **byte == b'\n').count();
        self.lines
    }

    /// Files of the checkpoint that is being written, if one is.
    fn unfinished(&self) -> Option<usize> {
        let entries = fs::read_dir(self.root.join("checkpoints")).ok()?;
        let writing = entries.flatten().find(|entry| entry.file_name().to_string_lossy().starts_with(".writing-"))?;
        Some(fs::read_dir(writing.path()).map_or(0, Iterator::count))
    }

    /// Whether the run is at `place`.
    fn reached(&mut self, place: Place) -> bool {
        self.count() >= place.lines && place.files.is_none_or(|files| self.unfinished().is_some_and(|n| n >= files))
    }
}

/// Starts `command` and kills it at `place`; whether it lived so long.
fn kill_at(mut command: Command, root: &Path, place: Place) -> bool {
    let mut watched = Watched::new(root);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while child.try_wait().unwrap().is_none() {
        if watched.reached(place) {
            child.kill().unwrap();
            break;
        }
        std::thread::yield_now();
    }
    let status = child.wait().unwrap();
    assert!(status.success() || status.signal() == Some(SIGKILL), "{place:?}: {status}");
    !status.success()
}

/// Begins a run in `out` and kills it at `place`; whether that tore a checkpoint.
fn begin_and_kill(tiny: &Tiny, out: &str, mut place: Place) -> bool {
    let root = tiny.path().join(out);
    while !kill_at(tiny.command(&["run", "recipe.toml", "--output", out]), &root, place) {
        // It was over too soon: once more, and earlier.
        fs::remove_dir_all(&root).unwrap();
        place = Place { lines: place.lines.div_ceil(2), files: None };
    }
    let torn = || Watched::new(&root).unfinished().is_some();
    // The checkpoint may have been finished while the signal was on its way: then at the next one.
    let next = Place { lines: 1, ..place };
    while place.files.is_some() && !torn() && kill_at(go_on(tiny, out), &root, next) {}
    torn()
}

fn go_on(tiny: &Tiny, out: &str) -> Command {
    tiny.command(&["run", "--resume", out, "--json"])
}

/// What a run came to: its summary without times and places, and its model's bytes.
fn result(tiny: &Tiny, out: &str, said: &Said) -> (Value, Vec<u8>) {
    assert_eq!(said.code, Some(0), "{out}: {}", said.err);
    let mut summary: Value = serde_json::from_str(&said.out).unwrap();
    for volatile in ["seconds", "peak_memory", "model", "report", "run"] {
        summary.as_object_mut().unwrap().shift_remove(volatile);
    }
    let model = tiny.path().join(out).join("model");
    let weights = ["model.safetensors", "adapter_model.safetensors"].map(|name| fs::read(model.join(name)));
    let [settings, weights] =
        [fs::read(model.join("adapter_config.json")).ok(), weights.into_iter().find_map(Result::ok)];
    (summary, [weights.unwrap(), settings.unwrap_or_default()].concat())
}

/// What lies among the checkpoints, hidden things too.
fn checkpoints(tiny: &Tiny, out: &str) -> Vec<String> {
    let entries = fs::read_dir(tiny.path().join(out).join("checkpoints")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_run_killed_anywhere_and_resumed_ends_with_the_same_bytes_and_the_same_best() {
    let tiny = Tiny::new();
    tiny.write("recipe.toml", &recipe());
    let whole = killed_anywhere(&tiny, 20);
    assert_eq!(whole["ended"], "early_stop", "{whole}");
    assert!(whole["weights_from"].as_u64() < whole["steps"].as_u64(), "{whole}");
}

#[test]
fn so_does_one_whose_rows_are_packed_and_whose_blocks_are_recomputed() {
    let tiny = Tiny::new();
    tiny.language_model(
        "gradient_accumulation_steps = 2\ngradient_checkpointing = true\ncheckpoint = { every_steps = 3 }\n[evaluation]\n\
         every = { steps = 4 }\nbest = { metric = \"loss\" }\n",
    );
    let recipe = fs::read_to_string(tiny.path().join("lm.toml")).unwrap();
    let recipe = recipe.replace("max_length = 16", "max_length = 24\nlayout = \"packed\"");
    tiny.write("recipe.toml", &recipe.replace("batch_size = 8", "batch_size = 2"));
    let config = fs::read_to_string(tiny.path().join("lm/config.json")).unwrap();
    tiny.write("lm/config.json", &config.replacen('{', r#"{"attention_dropout": 0.2, "#, 1));
    let whole = killed_anywhere(&tiny, 14);
    assert_eq!(whole["ended"], "finished", "{whole}");
}

#[test]
fn so_does_one_with_an_adapter() {
    killed_with("method = \"dora\"\nr = 2", 10);
}

#[test]
fn so_does_one_whose_adapter_started_from_a_part_of_the_base() {
    killed_with("r = 2\ninit_lora_weights = \"pissa_niter_2\"", 6);
}

/// A run with this adapter, killed at so many places.
fn killed_with(adapter: &str, count: usize) {
    let tiny = Tiny::new();
    tiny.write("first.toml", Tiny::SOUND);
    assert_eq!(tiny.retune(&["train", "first.toml", "-qq", "--output", "first"]).code, Some(0));
    let sound = Tiny::SOUND.replace("config = \"base/config.json\"\ntokenizer = \"base\"", "base = \"first/model\"");
    tiny.write(
        "recipe.toml",
        &format!(
            "{sound}dropout = true\ncheckpoint = {{ every_steps = 3 }}\n[adapter]\n{adapter}\nlora_dropout = 0.1\n\
             [evaluation]\nevery = {{ steps = 4 }}\n"
        ),
    );
    killed_anywhere(&tiny, count);
    let size = |path: &str| fs::metadata(tiny.path().join(path)).unwrap().len();
    let newest = checkpoints(&tiny, "whole").pop().unwrap();
    let held = size(&format!("whole/checkpoints/{newest}/weights.safetensors"));
    let base = size("first/model/model.safetensors");
    assert!(held < base / 2, "{held} bytes of {base}");
}

/// Runs `recipe.toml` whole, and killed at so many places; gives the summary of the first.
fn killed_anywhere(tiny: &Tiny, count: usize) -> Value {
    let whole = result(tiny, "whole", &tiny.retune(&["run", "recipe.toml", "--output", "whole", "--json"]));
    let lines = fs::read_to_string(tiny.path().join("whole/events.jsonl")).unwrap().lines().count();

    let mut draw = Draw(20);
    let places: Vec<(Place, Option<Place>)> = (0..count)
        .map(|index| {
            let files = (index % 2 == 1).then(|| 1 + draw.below(5));
            // The first one, before anything was measured.
            let below = match (index, files) {
                (0, _) => 1,
                (_, Some(_)) => lines / 2,
                (_, None) => lines - 1,
            };
            let first = Place { lines: 1 + draw.below(below), files };
            let second = (index % 4 < 2).then(|| Place { lines: 1 + draw.below(lines / 2), files: None });
            (first, second)
        })
        .collect();
    let (next, torn) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let lane = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((first, second)) = places.get(index) else { break };
            let out = format!("killed-{index}");
            torn.fetch_add(usize::from(begin_and_kill(tiny, &out, *first)), Ordering::Relaxed);
            if let Some(second) = second {
                kill_at(go_on(tiny, &out), &tiny.path().join(&out), *second);
            }
            let said = tiny.said(go_on(tiny, &out).output().unwrap());
            let (summary, weights) = result(tiny, &out, &said);
            assert_eq!(summary, whole.0, "{first:?}, then {second:?}");
            assert!(weights == whole.1, "{first:?}, then {second:?}: the weights differ");
            assert_eq!(checkpoints(tiny, &out), checkpoints(tiny, "whole"), "{first:?}, then {second:?}");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(lane);
        }
    });
    let torn = torn.into_inner();
    assert!(torn >= count / 4, "only {torn} kills hit a checkpoint that was being written");
    whole.0
}
