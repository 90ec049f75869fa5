use std::fmt::Write as _;

use retune_roles::RoleKind;

use super::*;
use crate::naming::list;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn dropped(stage: &str, reason: &str, count: u64) -> Dropped {
    Dropped { stage: stage.into(), reason: reason.into(), count, keys: names(&["train.csv:2", "train.csv:5"]) }
}

/// One of each kind.
fn all() -> Vec<DataError> {
    let (at, purpose) = ("train.csv:17".to_owned(), "data.columns.text".to_owned());
    let path = PathBuf::from("data/train.csv");
    vec![
        DataError::Spec { key: "data.batch".into(), value: "0".into(), expected: "1 to 4096".into() },
        DataError::LabelColumnNotNamed,
        DataError::LabelColumnsNotNamed { task: TaskKind::MultiLabelClassification },
        DataError::LabelColumnsNotNamed { task: TaskKind::Regression },
        DataError::NumbersUneven {
            place: "train.jsonl:9".to_owned(),
            column: "scores".to_owned(),
            found: 3,
            because: "train.jsonl:1 has 2".to_owned(),
        },
        DataError::MaxLengthTooLong { max_length: 1024, positions: 512 },
        DataError::FileMissing { path: path.clone(), nearest: None },
        DataError::FileMissing { path: path.clone(), nearest: Some("trains.csv".into()) },
        DataError::FileUnreadable { path: path.clone(), reason: "permission denied".into() },
        DataError::FormatUnknown { path: path.with_extension("parquet") },
        DataError::EmptyFile { path: path.clone() },
        DataError::NoRows { path },
        DataError::InvalidUtf8 { place: at.clone(), byte: 0xe9, where_: "in column `text`".into() },
        DataError::RaggedRow { place: at.clone(), expected: 2, found: 1 },
        DataError::OpenQuote { place: at.clone() },
        DataError::QuoteInside { place: at.clone(), line: 21 },
        DataError::BadJson { place: at.clone(), reason: "trailing comma at column 9".into() },
        DataError::NotAnObject { place: at.clone(), found: "an array" },
        DataError::NotAnObject { place: at.clone(), found: "a string" },
        DataError::ColumnsWithoutName { place: at.clone(), columns: 4, trailing: true },
        DataError::ColumnsWithoutName { place: at.clone(), columns: 4, trailing: false },
        DataError::DuplicateColumn { place: at.clone(), column: "text".into() },
        DataError::ColumnMissing {
            place: at.clone(),
            column: "txt".into(),
            purpose: purpose.clone(),
            nearest: Some("text".into()),
            available: names(&["text", "label"]),
        },
        DataError::ColumnMissing {
            place: at.clone(),
            column: "text".into(),
            purpose: purpose.clone(),
            nearest: None,
            available: names(&["text;label"]),
        },
        DataError::ValueMissing { place: at.clone(), column: "text".into(), purpose: purpose.clone() },
        DataError::ValueMissing { place: at.clone(), column: "label".into(), purpose: "data.columns.label".into() },
        DataError::ValueKind {
            place: at.clone(),
            column: "text".into(),
            purpose,
            found: "nested JSON".into(),
            expected: "text".into(),
        },
        DataError::LabelUnknown {
            place: at.clone(),
            label: "spma".into(),
            origin: "in data.labels".into(),
            nearest: Some("spam".into()),
            labels: names(&["ham", "spam"]),
        },
        DataError::TooFewLabels { origin: "data.labels".into(), labels: Vec::new() },
        DataError::TooFewLabels { origin: "train.csv".into(), labels: names(&["spam"]) },
        DataError::LabelTwice { label: "spam".into() },
        DataError::StageField {
            stage: "text-clean".into(),
            field: "text".into(),
            file: "train.csv".into(),
            nearest: None,
            available: names(&["body", "label"]),
        },
        DataError::Stage(
            Failure::new("dedup", RoleKind::Preprocessor, "process", "it trapped").at("sample t.csv:2").help("look"),
        ),
        DataError::nothing_left(
            "train.csv".into(),
            40,
            vec![dropped("text-clean", "too-short", 12), dropped("dedup", "duplicate", 28)],
        ),
        DataError::nothing_left("train.csv".into(), 0, Vec::new()),
        DataError::RowsUnwritable { directory: Some("cache".into()), reason: "no space left on device".into() },
        DataError::RowsUnwritable { directory: None, reason: "no space left on device".into() },
        DataError::TooFewToSplit { file: "train.csv".into(), rows: 1, fraction: 0.1 },
        DataError::TokenizerMissing { directory: "model".into(), others: Vec::new() },
        DataError::TokenizerMissing { directory: "model".into(), others: names(&["vocab.txt"]) },
        DataError::TokenizerBroken { path: "model/tokenizer.json".into(), reason: "EOF".into() },
        DataError::TokenizerLacksToken {
            class: "BertTokenizer".into(),
            role: "cls_token".into(),
            token: Some("[CLS]".into()),
        },
        DataError::TokenizerLacksToken { class: "RobertaTokenizer".into(), role: "sep_token".into(), token: None },
        DataError::TokenizerWithoutTemplate { class: "XLNetTokenizer".into() },
        DataError::TokenizerOption {
            class: "MPNetTokenizer".into(),
            option: "strip_accents".into(),
            value: "false".into(),
        },
        DataError::TokenizerDoesNotFit { token: "[MASK]".into(), id: 30522, vocab_size: 30522 },
        DataError::NoRoom { max_length: 2, special: 2 },
        DataError::NoFile { path: "train.csv".into(), what: "a named pipe" },
        DataError::TextTooLong { place: "train.csv:17".into(), column: "text".into(), length: 31457280, most: 8388608 },
        DataError::Tokenize { place: at, reason: "no unknown token".into() },
    ]
}

#[test]
fn every_error_says_what_where_and_what_next() {
    let mut said = String::new();
    for error in all() {
        let _ = writeln!(said, "{error}");
        if let Some(help) = error.help() {
            let _ = writeln!(said, "    {help}");
        }
    }
    insta::assert_snapshot!(said, @r#"
    `data.batch` is 0; expected 1 to 4096
    sequence classification needs labels, and `data.columns.label` names no column
        say which column holds them: columns = { text = "…", label = "…" }
    multi-label-classification needs labels, and `data.columns` names no column with them
        write columns = { label = "…" } for one column, or columns = { labels = ["…", "…"] } for a column each
    regression needs numbers, and `data.columns` names no column with them
        write columns = { label = "…" } for one column, or columns = { labels = ["…", "…"] } for a column each
    train.jsonl:9 has 3 numbers in column `scores`, and train.jsonl:1 has 2
        give every row as many numbers, in the same order
    `data.max_length` is 1024, and the model has 512 positions
        set data.max_length to 512 or less
    data/train.csv does not exist
        paths in a recipe are relative to the recipe's own directory
    data/train.csv does not exist; did you mean `trains.csv`?
        paths in a recipe are relative to the recipe's own directory
    data/train.csv cannot be read: permission denied
    data/train.parquet does not say its format by its name; expected .csv, .tsv, .jsonl, .txt or .conll
        rename the file, or give its `format`
    data/train.csv is empty
        check that whatever wrote the file had finished
    data/train.csv has a header and no rows
        check that whatever wrote the file had finished
    train.csv:17 is not valid UTF-8: byte 0xe9 in column `text`
        convert the file first, for example: iconv -f WINDOWS-1252 -t UTF-8 train.csv
    train.csv:17 has 1 field, and the header has 2
        a comma, a quote or a line break inside a field needs "quotes around the field"
    train.csv:17 opens a quote that is never closed
        close the quote, or write "" for a quote inside a quoted field
    train.csv:17 opens a quote that goes on to line 21, where text follows the quote that closes it
        close the quote, or write "" for a quote inside a quoted field
    train.csv:17 is not valid JSON: trailing comma at column 9
        a .jsonl file has one complete JSON object on each line
    train.csv:17 holds an array, and a row is an object like {"text": "…"}
        a .jsonl file has one object on each line; jq makes lines of an array: jq -c '.[]' FILE
    train.csv:17 holds a string, and a row is an object like {"text": "…"}
        a .jsonl file has one complete JSON object on each line
    train.csv:17 gives several of its 4 columns no name, the last among them
        the line ends with separators: remove them there and from every row, or name the columns
    train.csv:17 gives several of its 4 columns no name
        name every column of the header, or remove those without a name
    train.csv:17 names the column `text` twice
        rename or remove one of the two
    train.csv:17 has no column `txt` (data.columns.text); did you mean `text`?
        the columns are `text`, `label`; set data.columns.text to one of them
    train.csv:17 has no column `text` (data.columns.text)
        its fields seem to be separated by semicolons: save it with commas, or with tabs as .tsv
    train.csv:17 has no value in column `text` (data.columns.text)
        fill the value in, or remove the row
    train.csv:17 has no value in column `label` (data.columns.label)
        give every row a label, or remove the rows without one
    train.csv:17 holds nested JSON in column `text` (data.columns.text); expected text
    train.csv:17 has the label `spma`, which is not in data.labels; did you mean `spam`?
        the labels are `ham`, `spam`; data.labels can name more than train has
    data.labels has 0 labels; a classification needs at least two
        name all labels, in the order of the classes
    train.csv has 1 label; a classification needs at least two
        found: `spam`; check that data.columns.label names the right column
    `data.labels` names `spam` twice
    preprocessor text-clean reads the field `text`, which the rows of train.csv do not have at that point
        the fields are `body`, `label`; most preprocessors have a setting for the field they work on
    preprocessor dedup failed in `process` at sample t.csv:2: it trapped
        look
    nothing is left of train.csv: of 40 rows, dedup dropped 28 (duplicate), text-clean dropped 12 (too-short)
        look at the first rows that dedup dropped: train.csv:2, train.csv:5
    nothing is left of train.csv: it has 0 rows
        give a file with rows
    prepared rows cannot be written to cache: no space left on device
        make room there, or set RETUNE_CACHE to a folder on another disk
    prepared rows cannot be written: no space left on device
        make room there, or set TMPDIR to a folder on another disk
    train.csv has 1 row left, too few to split 0.1 of them off for validation
        give a validation file, or leave data.validation out; of a plain text, every passage between blank lines is a row, and with format = "lines" every line is
    model has no tokenizer.json
        give the directory of a Hugging Face checkpoint that has one
    model has no tokenizer.json
        found `vocab.txt`; transformers makes a tokenizer.json of it: AutoTokenizer.from_pretrained(dir).save_pretrained(dir)
    model/tokenizer.json is not a usable tokenizer file: EOF
        fetch the file again, or save it anew from transformers
    the tokenizer's class BertTokenizer needs its cls_token, and `[CLS]` is not in the vocabulary
        set cls_token in tokenizer_config.json; tokenizer_class = "PreTrainedTokenizerFast" there takes tokenizer.json as it is
    the tokenizer's class RobertaTokenizer needs its sep_token, and its files give none
        set sep_token in tokenizer_config.json; tokenizer_class = "PreTrainedTokenizerFast" there takes tokenizer.json as it is
    tokenizer.json has no post-processor, and XLNetTokenizer adds special tokens of its own to every text
        save it anew from transformers, which writes tokenizer.json whole: AutoTokenizer.from_pretrained(dir).save_pretrained(dir)
    tokenizer_config.json has `strip_accents` = false, and the normalizer of tokenizer.json does otherwise
        save it anew from transformers, which writes tokenizer.json whole: AutoTokenizer.from_pretrained(dir).save_pretrained(dir)
    the tokenizer does not fit the model: its token `[MASK]` has id 30522, and the model has 30522 embeddings (ids 0 to 30521)
        take the tokenizer and the model from the same checkpoint, or add embeddings to the model
    `data.max_length` is 2, and the tokenizer's special tokens alone take 2
        set data.max_length to 3 or more
    train.csv is a named pipe, not a file
        a data file is read more than once: write what comes out of it to a file first
    train.csv:17 has 31457280 bytes of text, most of them in column `text`; at most 8388608 are tokenised of a row
        split the text into several rows, or leave the row out; a preprocessor can do either
    train.csv:17 cannot be tokenised: no unknown token
    "#);
}

#[test]
fn a_long_list_of_names_is_cut_and_says_so() {
    let many: Vec<String> = (0..77).map(|i| format!("intent_{i}")).collect();
    assert!(list(&many).ends_with("`intent_11` and 65 more"));
    assert_eq!(list(&many[..2]), "`intent_0`, `intent_1`");
}
