//! Rows per second of preparation, over 1 and 2 threads, with a generated CSV of short texts.
//!
//! ```text
//! cargo run --example prepare-speed -- 1000000
//! ```
//!
//! Writes the file (five to fifteen words, four labels) and a tokenizer of its words into a temporary folder, or with a
//! second argument into that folder, where they stay for `retune prepare`. Prepares it with one worker and with two,
//! cuts a tenth off for validation, and prints rows and tokens per second and the most memory the process ever held.
//! No preprocessors: reading, tokenising, writing, the split and the search for duplicates.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use retune_data::{DataSpec, SplitName, TaskKind, Tokenization, Validation, prepare};
use serde_json::json;

/// Syllables that words are made of.
const SYLLABLES: [&str; 20] = [
    "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "we", "xi", "yo",
    "zu",
];
const LABELS: [&str; 4] = ["card", "cash", "loan", "transfer"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rows: u64 = arguments.next().map_or(Ok(100_000), |rows| rows.parse())?;
    let temporary = tempfile::tempdir()?;
    let folder = arguments.next().map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    fs::create_dir_all(&folder)?;
    let train = write_rows(&folder, rows)?;
    write_tokenizer(&folder)?;
    println!("{} rows, {:.1} MB", rows, fs::metadata(&train)?.len() as f64 / 1e6);
    let tokenizer = Tokenization::open(&folder)?;
    for workers in [1, 2] {
        let mut spec = DataSpec::new(&train, TaskKind::SequenceClassification);
        spec.validation = Validation::Split { fraction: 0.1 };
        spec.max_length = 64;
        spec.workers = workers;
        let began = Instant::now();
        let prepared = prepare(&spec, &[], &tokenizer, &mut |_| {})?;
        let seconds = began.elapsed().as_secs_f64();
        let splits = [SplitName::Train, SplitName::Validation].map(|name| prepared.report.split(name));
        let tokens: u64 = splits.iter().flatten().map(|split| split.tokens).sum();
        println!(
            "{workers} worker{}: {seconds:.2} s, {:.0} rows/s, {:.0} tokens/s and worker{}",
            if workers == 1 { "" } else { "s" },
            rows as f64 / seconds,
            tokens as f64 / seconds / workers as f64,
            peak().map_or(String::new(), |peak| format!("; peak memory so far {peak:.0} MiB")),
        );
    }
    Ok(())
}

/// The same rows for the same number.
fn write_rows(folder: &Path, rows: u64) -> Result<PathBuf, Box<dyn Error>> {
    let path = folder.join("train.csv");
    let mut out = BufWriter::new(fs::File::create(&path)?);
    writeln!(out, "text,label")?;
    let mut state = 7u64;
    let mut below = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut line = String::new();
    for _ in 0..rows {
        line.clear();
        for word in 0..5 + below(11) {
            let [a, b] = [0; 2].map(|_: u64| SYLLABLES[below(20) as usize]);
            write!(line, "{}{a}{b}", if word == 0 { "" } else { " " })?;
        }
        writeln!(out, "{line},{}", LABELS[below(4) as usize])?;
    }
    out.flush()?;
    Ok(path)
}

/// A WordPiece tokenizer that knows every word and the syllables.
fn write_tokenizer(folder: &Path) -> Result<(), Box<dyn Error>> {
    let words = SYLLABLES.iter().flat_map(|a| SYLLABLES.iter().map(move |b| format!("{a}{b}")));
    let tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(str::to_owned).into_iter().chain(words);
    let vocab: serde_json::Map<String, serde_json::Value> =
        tokens.enumerate().map(|(id, token)| (token, json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocab},
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string())?;
    fs::write(folder.join("tokenizer_config.json"), json!({"tokenizer_class": "BertTokenizer"}).to_string())?;
    Ok(())
}

/// Most memory this process ever held, in MiB, where Linux says.
fn peak() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
