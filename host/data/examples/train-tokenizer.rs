//! Trains a byte-level BPE tokenizer, as a small model trained from nothing needs one.
//!
//! ```text
//! cargo run --example train-tokenizer -- --vocab-size 2048 --out models/tiny tinyshakespeare.txt
//! ```
//!
//! Reads `.txt` (each line a text) and `.csv` or `.jsonl` (the column `--column`, default `text`); writes
//! `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`, which `transformers` reads as a
//! `PreTrainedTokenizerFast`. Token 0 is `<|pad|>`, token 1 is `<|end|>`; all 256 bytes are tokens, so no text is
//! unknown. The same files give the same tokenizer.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use retune_data::record::Record;
use retune_data::source::Rows;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, TokenizerImpl};

const PAD: &str = "<|pad|>";
const END: &str = "<|end|>";

struct Options {
    vocab_size: usize,
    column: String,
    out: PathBuf,
    files: Vec<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let options = options()?;
    let mut texts = Vec::new();
    for file in &options.files {
        texts.extend(read(file, &options.column).map_err(|error| format!("{}: {error}", file.display()))?);
    }
    if texts.iter().all(String::is_empty) {
        return Err("the files hold no text".into());
    }

    let bytes = ByteLevel::default().add_prefix_space(false);
    let mut tokenizer: TokenizerImpl<BPE, NormalizerWrapper, ByteLevel, PostProcessorWrapper, DecoderWrapper> =
        TokenizerImpl::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(bytes));
    tokenizer.with_decoder(Some(DecoderWrapper::ByteLevel(bytes)));
    let mut trainer = BpeTrainer::builder()
        .vocab_size(options.vocab_size)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(vec![AddedToken::from(PAD, true), AddedToken::from(END, true)])
        .build();
    tokenizer.train(&mut trainer, texts.iter())?;

    fs::create_dir_all(&options.out)?;
    tokenizer.save(options.out.join("tokenizer.json"), true)?;
    let special = serde_json::json!({ "eos_token": END, "pad_token": PAD });
    let config = serde_json::json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": false,
    });
    fs::write(options.out.join("special_tokens_map.json"), serde_json::to_string_pretty(&special)? + "\n")?;
    fs::write(options.out.join("tokenizer_config.json"), serde_json::to_string_pretty(&config)? + "\n")?;
    println!("{} tokens from {} texts: {}", tokenizer.get_vocab_size(true), texts.len(), options.out.display());
    Ok(())
}

fn options() -> Result<Options, Box<dyn Error + Send + Sync>> {
    let mut options = Options { vocab_size: 0, column: "text".into(), out: PathBuf::new(), files: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--vocab-size" => options.vocab_size = value()?.parse()?,
            "--column" => options.column = value()?,
            "--out" => options.out = value()?.into(),
            flag if flag.starts_with("--") => return Err(format!("no such option: {flag}").into()),
            file => options.files.push(file.into()),
        }
    }
    if options.vocab_size < 258 || options.out.as_os_str().is_empty() || options.files.is_empty() {
        return Err(
            "usage: train-tokenizer --vocab-size N --out DIR [--column NAME] FILE... (N is at least 258)".into()
        );
    }
    Ok(options)
}

fn read(file: &Path, column: &str) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let missing = || format!("there is no column {column:?}");
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("csv" | "jsonl") => {
            let text = |row: &Record| Some(row.get(column)?.as_text()?.to_owned());
            Rows::open(&file.to_owned().into())?.map(|row| Ok(text(&row?).ok_or_else(missing)?)).collect()
        }
        Some("txt") => Ok(fs::read_to_string(file)?.lines().map(|line| format!("{line}\n")).collect()),
        _ => Err("expected a file ending in .csv, .jsonl or .txt".into()),
    }
}
