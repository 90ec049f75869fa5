//! A file of rows, of each format and for each task.
//!
//! The first line of the input is `FORMAT TASK`, the rest is the file. Laws: rows, their keys and errors are the same whatever the
//! number of workers and the size of batches; every row that was read is accounted for; an error names the file.

use std::path::Path;
use std::sync::OnceLock;

use retune_data::{DataReport, DataSpec, Format, SplitName, TaskKind, Tokenization, prepare};
use retune_roles::Example;

use super::files::folder;
use super::{check_bounded, headed};

/// A tokenizer that knows a few words.
const TOKENIZER: &str = r#"{"version": "1.0", "added_tokens": [
    {"id": 0, "content": "[UNK]", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
    {"id": 1, "content": "[MASK]", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}],
    "pre_tokenizer": {"type": "Whitespace"},
    "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "[MASK]": 1, "a": 2, "text": 3, "of": 4, "words": 5}}}"#;

fn tokenization() -> &'static Tokenization {
    static OPEN: OnceLock<Tokenization> = OnceLock::new();
    OPEN.get_or_init(|| {
        let config = br#"{"mask_token": "[MASK]", "unk_token": "[UNK]"}"#;
        let at = folder(&[("tokenizer.json", TOKENIZER.as_bytes()), ("tokenizer_config.json", config)]);
        Tokenization::open(at.path()).unwrap()
    })
}

/// Prepares the rows of a file; panics when a law is broken.
pub fn rows(data: &[u8]) {
    let (head, file) = headed(data);
    let mut words = head.split(' ');
    let format: Format = words.next().and_then(|name| name.parse().ok()).unwrap_or(Format::Csv);
    let task = words.next().and_then(task).unwrap_or(TaskKind::CausalLm);
    let at = folder(&[("rows.txt", file)]);
    let path = at.path().join("rows.txt");
    let alone = prepared(&path, format, task, (1, 128));
    let shared = prepared(&path, format, task, (3, 2));
    assert_eq!(alone, shared, "more workers and smaller batches give other rows");
    if let Err(told) = alone {
        check_bounded(&told);
        assert!(told.contains("rows.txt") || told.contains("data."), "neither file nor key is named: {told}");
    }
}

fn task(name: &str) -> Option<TaskKind> {
    use TaskKind::{
        CausalLm, MaskedLm, MultiLabelClassification, Regression, SequenceClassification, TokenClassification,
    };
    let all = [CausalLm, MaskedLm, MultiLabelClassification, Regression, SequenceClassification, TokenClassification];
    all.into_iter().find(|task| task.as_str() == name)
}

fn prepared(
    path: &Path,
    format: Format,
    task: TaskKind,
    (workers, batch): (usize, usize),
) -> Result<(Vec<Example>, DataReport), String> {
    let mut spec = DataSpec::new(retune_data::Source { path: path.to_owned(), format: Some(format) }, task);
    (spec.workers, spec.batch, spec.max_length) = (workers, batch, 16);
    if matches!(task, TaskKind::MultiLabelClassification | TaskKind::Regression) {
        spec.columns.label = Some("label".to_owned());
    }
    match prepare(&spec, &[], tokenization(), &mut |_| {}) {
        Ok(prepared) => {
            let source = prepared.report.source(SplitName::Train).unwrap();
            let accounted = source.limited + source.dropped_rows() + source.rows;
            assert_eq!(source.read + source.added, accounted, "a row is not accounted for: {source:?}");
            Ok((prepared.train.to_vec(), prepared.report))
        }
        Err(error) => Err(error.to_string()),
    }
}
