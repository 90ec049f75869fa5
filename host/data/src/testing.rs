//! Small tokenizers and files, made by the tests that use them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

use crate::Tokenization;
use crate::row::Row;
use crate::rows_file::{Account, RowsWriter};
use crate::selection::Selection;

/// A row of three tokens with a key, and nothing else of note.
pub fn row(key: &str) -> Row {
    let mut row = Row { key: key.to_owned(), input_ids: vec![1, 2, 3], ..Row::default() };
    row.learn_from(0);
    row
}

/// Rows in a file of their own; labels must be the numbers of their classes.
pub fn selection(rows: impl IntoIterator<Item = Row>) -> Selection {
    let mut writer = RowsWriter::new(None, "t".to_owned()).unwrap();
    rows.into_iter().for_each(|row| writer.push(&row).unwrap());
    let file = Arc::new(writer.finish("", Account::default(), None).unwrap());
    let classes = file.labels().iter().map(|label| label.name.parse().unwrap()).collect();
    Selection::all(file, classes)
}

/// A directory that goes when the value goes.
pub struct Directory(tempfile::TempDir);

impl Directory {
    /// An empty one.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A file in it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A message without the directory's own name in it.
    pub fn strip(&self, message: &str) -> String {
        message.replace(&format!("{}/", self.path().display()), "").replace(&self.path().display().to_string(), "here")
    }
}

/// Words that the BERT-like tokenizer knows.
pub const WORDS: &str = "my card has not arrived where is the a i lost top up failed why cannot pay ##s ##ed ##ing one two three four five six seven eight nine ten";

/// `tokenizer.json` of a BERT-like WordPiece tokenizer, with the padding and truncation to 8 tokens that somebody
/// left in it.
pub fn bert_json() -> Value {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];
    let vocab: serde_json::Map<String, Value> = special
        .into_iter()
        .chain(WORDS.split(' '))
        .enumerate()
        .map(|(id, token)| (token.to_owned(), json!(id)))
        .collect();
    let added: Vec<Value> = special
        .iter()
        .enumerate()
        .map(|(id, token)| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        })
        .collect();
    let token = |name: &str, type_id: u32| json!({"SpecialToken": {"id": name, "type_id": type_id}});
    let text = |name: &str, type_id: u32| json!({"Sequence": {"id": name, "type_id": type_id}});
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                    "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("[CLS]", 0), text("A", 0), token("[SEP]", 0)],
            "pair": [token("[CLS]", 0), text("A", 0), token("[SEP]", 0), text("B", 1), token("[SEP]", 1)],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocab},
    })
}

/// The BERT-like tokenizer.
pub fn bert() -> Tokenization {
    let directory = Directory::new();
    directory.write("tokenizer.json", bert_json().to_string());
    directory.write("tokenizer_config.json", r#"{"tokenizer_class": "BertTokenizer", "pad_token": "[PAD]"}"#);
    Tokenization::open(directory.path()).unwrap()
}

/// Writes a byte-level BPE tokenizer with `<s>` in front of every text and `</s>` known as the end, into a directory.
pub fn write_bpe(directory: &Directory) {
    let mut trainer: TrainerWrapper = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(300)
        .special_tokens(["<s>", "</s>", "<pad>"].map(|token| AddedToken::from(token, true)).to_vec())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build()
        .into();
    let mut tokenizer = Tokenizer::new(BPE::default());
    let level = ByteLevel::new(false, false, true);
    tokenizer.with_pre_tokenizer(Some(level)).with_decoder(Some(level));
    let corpus = ["question: what is two and two? answer: four", "the answer is four and the question is two"];
    tokenizer.train(&mut trainer, corpus.iter().cycle().take(20).map(|text| (*text).to_owned())).unwrap();
    let mut saved: Value = serde_json::from_str(&tokenizer.to_string(false).unwrap()).unwrap();
    let start = saved["added_tokens"][0]["id"].clone();
    saved["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                 {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [start], "tokens": ["<s>"]}},
    });
    directory.write("tokenizer.json", saved.to_string());
    directory.write(
        "special_tokens_map.json",
        r#"{"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": "<pad>"}"#,
    );
}

/// The byte-level BPE tokenizer.
pub fn bpe() -> Tokenization {
    let directory = Directory::new();
    write_bpe(&directory);
    Tokenization::open(directory.path()).unwrap()
}
