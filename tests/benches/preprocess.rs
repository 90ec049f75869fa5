//! What a sandboxed preprocessor costs a row.
//!
//! ```text
//! cargo xtask plugins
//! cargo bench --workspace --bench preprocess --profile dev
//! ```
//!
//! Cost model. A row goes into the guest by copy, is cleaned there, and comes back by copy: two passes over its bytes in the
//! host beside what the guest does with them, and one entry into the guest for each batch. The guest's own work is most of
//! it: some ten passes over the text.
//!
//! The plugin is `text-clean` with its defaults, on rows of about 500 bytes, in batches as a run makes them. The median of
//! several passes over the same rows is told, and how far the passes lie apart.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use retune_data::spec::DEFAULT_BATCH as BATCH;
use retune_roles::{Sample, Value};
use retune_sandbox::{Sandbox, Setup};
use retune_tensor::random;
use serde_json::json;

const ROWS: usize = 20_000;
const PASSES: usize = 15;
const WORDS: [&str; 8] =
    ["account", "naïve", "<b>card</b>", "transfer", "  top-up", "&amp;", "überweisung", "statement"];

fn main() -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins/text-clean.wasm");
    if !path.is_file() {
        return Err(format!("{} is missing: run `cargo xtask plugins` first", path.display()).into());
    }
    let plugin = Sandbox::new(None)?.load(&path)?;
    let setup = Setup::new(plugin.resolve_config(&json!({}))?, 0);
    let mut clean = plugin.preprocessor(&setup)?;
    let rows: Vec<Sample> = (0..ROWS).map(row).collect();
    let bytes: usize =
        rows.iter().flat_map(|row| &row.fields).filter_map(|(_, value)| value.as_text()).map(str::len).sum();

    let mut passes = Vec::with_capacity(PASSES);
    for pass in 0..=PASSES {
        let started = Instant::now();
        for batch in rows.chunks(BATCH) {
            clean.process(batch)?;
        }
        if pass > 0 {
            passes.push(started.elapsed().as_secs_f64() / ROWS as f64 * 1e6);
        }
    }
    passes.sort_by(f64::total_cmp);
    println!("text-clean, {ROWS} rows of {} bytes, batches of {BATCH}, {PASSES} passes", bytes / ROWS);
    println!("  median {:.3} µs a row, from {:.3} to {:.3}", passes[PASSES / 2], passes[0], passes[PASSES - 1]);
    Ok(())
}

/// Words drawn by the number of the row, until there are 500 bytes of them.
fn row(number: usize) -> Sample {
    let mut text = String::new();
    let mut at = 0;
    while text.len() < 495 {
        text.push_str(WORDS[(random::bits(number as u64, at) % WORDS.len() as u64) as usize]);
        text.push(' ');
        at += 1;
    }
    let fields =
        vec![("text".to_owned(), Value::Text(text)), ("category".to_owned(), Value::Text("transfer".to_owned()))];
    Sample { key: format!("generated:{}", number + 1), seed: number as u64, fields }
}
