//! What the tests against built components share.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use retune_roles::{Batch, Failure, Progress, Sample, Value};
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
