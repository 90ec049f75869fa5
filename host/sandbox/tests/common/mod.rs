//! What the tests against built components share.
#![allow(dead_code, reason = "each test file uses its part")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use retune_roles::{Batch, Encoding, ErrorKind, Failure, Message, Progress, Refusal, Sample, Tokenizer, Value};
use retune_sandbox::{Plugin, Sandbox, Setup};
use retune_tensor::{AnyTensor, Device, from_float32, from_int64};
use serde_json::json;

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// One sandbox for all tests of a process; compiled code is kept between runs.
pub fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| Sandbox::new(Some(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"))).unwrap())
}

/// `target/plugins/<name>.wasm`, as `cargo xtask plugins` builds it.
pub fn path(name: &str) -> PathBuf {
    let path = root().join(format!("target/plugins/{name}.wasm"));
    assert!(path.is_file(), "{} is missing: run `cargo xtask plugins` first", path.display());
    path
}

pub fn plugin(name: &str) -> Plugin {
    sandbox().load(&path(name)).unwrap()
}

/// The default configuration and limits, seed 7.
pub fn setup(plugin: &Plugin) -> Setup {
    Setup::new(plugin.resolve_config(&json!(null)).unwrap(), 7)
}

/// Logits `[3, 4]`, labels `[3]`.
pub fn batch() -> Batch {
    batch_of(logits())
}

pub fn logits() -> AnyTensor {
    let values = vec![0.5, -1.0, 2.0, 0.0, 1.5, 0.25, -0.75, 3.0, -2.0, 0.1, 0.2, 0.3];
    from_float32(values, &[3, 4], &Device::flex()).unwrap()
}

pub fn batch_of(logits: AnyTensor) -> Batch {
    let keys = (1..=3).map(|row| format!("train.csv:{row}")).collect();
    let labels = from_int64(vec![2, 3, 0], &[3], &Device::flex()).unwrap();
    Batch::new(keys).with("logits", logits).with("labels", labels)
}

/// Token batch: logits `[rows, 2, 3]`, labels `[rows, 2]`, of which one is ignored.
pub fn tokens(rows: usize, shift: f32) -> Batch {
    let values = (0..rows * 6).map(|i| (i as f32 * 0.7 + shift).sin()).collect();
    let labels = (0..rows * 2).map(|i| if i == 1 { -100 } else { (i % 3) as i64 }).collect();
    Batch::new(vec!["a".into(); rows])
        .with("logits", from_float32(values, &[rows, 2, 3], &Device::flex()).unwrap())
        .with("labels", from_int64(labels, &[rows, 2], &Device::flex()).unwrap())
}

/// Step 40 of 100.
pub const AT: Progress = Progress { epoch: 1, step: 40, total_steps: Some(100) };

pub fn samples(texts: &[&str]) -> Vec<Sample> {
    let sample = |(index, text): (usize, &&str)| Sample {
        key: format!("train.csv:{}", index + 1),
        seed: index as u64,
        fields: vec![("text".into(), Value::Text((*text).into()))],
    };
    texts.iter().enumerate().map(sample).collect()
}

/// A failure as the command line shows it, with paths that are the same everywhere.
pub fn shown(failure: &Failure) -> String {
    let details = failure.details();
    let mut text = failure.to_string();
    for frame in details.backtrace.iter().take(2) {
        text.push_str(&format!("\n  in {frame}"));
    }
    if let Some(help) = &details.help {
        text.push_str(&format!("\n  help: {help}"));
    }
    text.replace(&format!("{}/", root().display()), "")
}

/// Words are their lengths; `[CLS]` is 1.
#[derive(Default)]
pub struct Lengths {
    /// Texts and lists of ids it was given.
    pub asked: AtomicUsize,
    /// How often it counts to a million for each of them.
    pub toil: usize,
}

impl Lengths {
    fn ask(&self, count: usize) {
        self.asked.fetch_add(count, Ordering::Relaxed);
        (0..count * self.toil * 1_000_000).for_each(|n| {
            black_box(n);
        });
    }
}

impl Tokenizer for Lengths {
    fn name(&self) -> &str {
        "lengths"
    }
    fn vocab_size(&self) -> u32 {
        30
    }
    fn token_id(&self, token: &str) -> Option<u32> {
        (token == "[UNK]").then_some(0)
    }
    fn token_text(&self, id: u32) -> Option<String> {
        Some("x".repeat(id as usize))
    }
    fn bos(&self) -> Option<u32> {
        Some(1)
    }
    fn eos(&self) -> Option<u32> {
        None
    }
    fn pad(&self) -> Option<u32> {
        None
    }
    fn encode(&self, texts: &[String], add_special: bool) -> Result<Vec<Encoding>, Refusal> {
        self.ask(texts.len());
        let encode = |text: &String| {
            let words = text.split(' ').map(|word| word.len() as u32);
            let ids: Vec<u32> = add_special.then_some(1).into_iter().chain(words).collect();
            Encoding { offsets: vec![(0, 0); ids.len()], special: vec![false; ids.len()], ids }
        };
        Ok(texts.iter().map(encode).collect())
    }
    fn decode(&self, ids: &[Vec<u32>], skip_special: bool) -> Result<Vec<String>, Refusal> {
        let skipped = usize::from(skip_special);
        Ok(ids.iter().map(|ids| ids[skipped..].iter().map(|n| "x".repeat(*n as usize)).collect()).collect())
    }
    fn apply_chat_template(&self, _: &[Message], _: bool) -> Result<(Encoding, Vec<bool>), Refusal> {
        Err(Refusal::new(ErrorKind::Unsupported, "no chat template"))
    }
}
