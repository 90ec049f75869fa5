//! Everything that can be wrong with data, as sentences for people.
//!
//! `Display` is one sentence: what was wrong, where (`train.csv:17`, a line of the
//! file), what was expected, and the nearest name that exists.
//! [`DataError::help`] is what to do next. Every variant's words are held by a snapshot
//! in the tests below.

use std::path::{Path, PathBuf};

use retune_roles::{Failure, TaskKind};

use crate::chat_error::ChatError;
use crate::dropped::Dropped;

/// What was wrong with the data, the tokenizer, or the spec.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A value of the spec can never work.
    #[error("`{key}` is {value}; expected {expected}")]
    Spec {
        /// The key as a recipe spells it.
        key: String,
        /// The value given.
        value: String,
        /// What would work.
        expected: String,
    },
    /// A classification was asked for without saying where the labels are.
    #[error("sequence classification needs labels, and `data.columns.label` names no column")]
    LabelColumnNotNamed,
    /// Several labels a row, or numbers, were asked for without saying where they are.
    #[error("{task} needs {}, and `data.columns` names no column with them", if *task == TaskKind::Regression { "numbers" } else { "labels" })]
    LabelColumnsNotNamed {
        /// The task.
        task: TaskKind,
    },
    /// A row has more or fewer numbers than others.
    #[error("{place} has {found} number{} in column `{column}`, and {because}", if *found == 1 { "" } else { "s" })]
    NumbersUneven {
        /// The row.
        place: String,
        /// The column.
        column: String,
        /// How many it has.
        found: usize,
        /// Who has how many: `train.jsonl:1 has 2`.
        because: String,
    },
    /// A token classification was asked for without saying where words and tags are.
    #[error("token classification needs words and tags, and `data.columns` does not name both `tokens` and `tags`")]
    TagColumnNotNamed,
    /// A row has more or fewer tags than words.
    #[error(
        "{place} has {words} word{} in column `{}` and {tags} tag{} in column `{}`",
        if *words == 1 { "" } else { "s" }, columns[0], if *tags == 1 { "" } else { "s" }, columns[1]
    )]
    TagsUnlikeWords {
        /// The row.
        place: String,
        /// Its words.
        words: usize,
        /// Its tags.
        tags: usize,
        /// The columns of both.
        columns: [String; 2],
    },
    /// A masked language model without a token that masks.
    #[error("the tokenizer {tokenizer} has no mask token, and a masked language model hides tokens behind it")]
    NoMaskToken {
        /// Its name.
        tokenizer: String,
    },
    /// Whole words are to be masked, and tokens do not show what they are.
    #[error(
        "`data.mask.whole_word` needs a tokenizer whose tokens show where a word begins, and those of {tokenizer} do not"
    )]
    NoWords {
        /// Its name.
        tokenizer: String,
    },
    /// More tokens than the model has positions.
    #[error("`data.max_length` is {max_length}, and the model has {positions} positions")]
    MaxLengthTooLong {
        /// The value given.
        max_length: usize,
        /// What the model has.
        positions: usize,
    },
    /// No file of that name.
    #[error("{} does not exist{}", path.display(), suggestion(nearest.as_deref()))]
    FileMissing {
        /// The path given.
        path: PathBuf,
        /// The nearest name in the same directory.
        nearest: Option<String>,
    },
    /// The file is there and cannot be read.
    #[error("{} cannot be read: {reason}", path.display())]
    FileUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A pipe, a device or a socket.
    #[error("{} is {what}, not a file", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The ending says nothing about the format.
    #[error("{} does not say its format by its name; expected .csv, .tsv, .jsonl, .txt or .conll", path.display())]
    FormatUnknown {
        /// The file.
        path: PathBuf,
    },
    /// No byte, or nothing but blank lines.
    #[error("{} is empty", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// A header and nothing below.
    #[error("{} has a header and no rows", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// Bytes that are no text.
    #[error("{place} is not valid UTF-8: byte {byte:#04x} {where_}")]
    InvalidUtf8 {
        /// File and line.
        place: String,
        /// The first byte that fits nothing.
        byte: u8,
        /// `in column …` or `at byte … of the line`.
        where_: String,
    },
    /// A CSV row with too many or too few fields.
    #[error("{place} has {found} field{}, and the header has {expected}", if *found == 1 { "" } else { "s" })]
    RaggedRow {
        /// File and line.
        place: String,
        /// Fields of the header.
        expected: usize,
        /// Fields of the row.
        found: usize,
    },
    /// A CSV file with an opened quote that nothing closes.
    #[error("{place} opens a quote that is never closed")]
    OpenQuote {
        /// File and line where the row begins.
        place: String,
    },
    /// A quoted field of a CSV file that goes over several lines and does not end with its quote.
    #[error("{place} opens a quote that goes on to line {line}, where text follows the quote that closes it")]
    QuoteInside {
        /// File and line where the row begins.
        place: String,
        /// The line of the closing quote.
        line: u64,
    },
    /// A line that is not JSON.
    #[error("{place} is not valid JSON: {reason}")]
    BadJson {
        /// File and line.
        place: String,
        /// What the parser says.
        reason: String,
    },
    /// A line that is JSON and not an object.
    #[error("{place} holds {found}, and a row is an object like {{\"text\": \"…\"}}")]
    NotAnObject {
        /// File and line.
        place: String,
        /// What it holds.
        found: &'static str,
    },
    /// Several columns of a header have no name.
    #[error("{place} gives several of its {columns} columns no name{}", if *trailing { ", the last among them" } else { "" })]
    ColumnsWithoutName {
        /// File and line.
        place: String,
        /// Fields of the header.
        columns: usize,
        /// The last field is empty: the line ends with a separator.
        trailing: bool,
    },
    /// Two columns of one name.
    #[error("{place} names the column `{column}` twice")]
    DuplicateColumn {
        /// File and line.
        place: String,
        /// The column.
        column: String,
    },
    /// The column wanted is not there.
    #[error("{place} has no column `{column}` ({purpose}){}", suggestion(nearest.as_deref()))]
    ColumnMissing {
        /// File and line.
        place: String,
        /// The column wanted.
        column: String,
        /// What it is for: `data.columns.text`.
        purpose: String,
        /// The nearest column.
        nearest: Option<String>,
        /// All columns there are.
        available: Vec<String>,
    },
    /// The column is there and empty.
    #[error("{place} has no value in column `{column}` ({purpose})")]
    ValueMissing {
        /// File and line.
        place: String,
        /// The column.
        column: String,
        /// What it is for.
        purpose: String,
    },
    /// A value of another kind than was needed.
    #[error("{place} holds {found} in column `{column}` ({purpose}); expected {expected}")]
    ValueKind {
        /// File and line.
        place: String,
        /// The column.
        column: String,
        /// What it is for.
        purpose: String,
        /// What it holds.
        found: String,
        /// What was needed.
        expected: String,
    },
    /// A label that is not in the set.
    #[error("{place} has the label `{label}`, which is not {origin}{}", suggestion(nearest.as_deref()))]
    LabelUnknown {
        /// File and line.
        place: String,
        /// The label.
        label: String,
        /// `in data.labels` or `among the labels of train.csv`.
        origin: String,
        /// The nearest label of the set.
        nearest: Option<String>,
        /// The set.
        labels: Vec<String>,
    },
    /// Fewer than two labels.
    #[error("{origin} has {} label{}; a classification needs at least two", labels.len(), if labels.len() == 1 { "" } else { "s" })]
    TooFewLabels {
        /// `train.csv` or `data.labels`.
        origin: String,
        /// What there is.
        labels: Vec<String>,
    },
    /// The same label twice in the set given.
    #[error("`data.labels` names `{label}` twice")]
    LabelTwice {
        /// The label.
        label: String,
    },
    /// A preprocessor reads a field that no row has.
    #[error("preprocessor {stage} reads the field `{field}`, which the rows of {file} do not have at that point{}", suggestion(nearest.as_deref()))]
    StageField {
        /// The stage.
        stage: String,
        /// The field it reads.
        field: String,
        /// The file being prepared.
        file: String,
        /// The nearest field.
        nearest: Option<String>,
        /// All fields there are.
        available: Vec<String>,
    },
    /// A preprocessor failed.
    #[error("{0}")]
    Stage(#[from] Failure),
    /// A conversation or its template.
    #[error("{0}")]
    Chat(#[from] ChatError),
    /// The file of prepared rows cannot be written.
    #[error("prepared rows cannot be written{}: {reason}", directory.as_ref().map(|d| format!(" to {}", d.display())).unwrap_or_default())]
    RowsUnwritable {
        /// The cache; without one, the system's folder for temporary files.
        directory: Option<PathBuf>,
        /// What the system says.
        reason: String,
    },
    /// Every row went.
    #[error("nothing is left of {file}: {}", account(*read, dropped))]
    NothingLeft {
        /// The file.
        file: String,
        /// Rows it had.
        read: u64,
        /// Where they went.
        dropped: Vec<Dropped>,
    },
    /// Too few rows to split.
    #[error("{file} has {rows} row{} left, too few to split {fraction} of them off for validation", if *rows == 1 { "" } else { "s" })]
    TooFewToSplit {
        /// The file.
        file: String,
        /// Rows left.
        rows: usize,
        /// The share wanted.
        fraction: f64,
    },
    /// A file of the tokenizer is missing.
    #[error("{} has no tokenizer.json", directory.display())]
    TokenizerMissing {
        /// The directory.
        directory: PathBuf,
        /// Tokenizer files of other kinds that are there.
        others: Vec<String>,
    },
    /// A file of the tokenizer cannot be used.
    #[error("{} is not a usable tokenizer file: {reason}", path.display())]
    TokenizerBroken {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The tokenizer's class puts a token around every text that the vocabulary does not have.
    #[error("the tokenizer's class {class} needs its {role}, {}", token.as_ref().map_or("and its files give none".to_owned(), |token| format!("and `{token}` is not in the vocabulary")))]
    TokenizerLacksToken {
        /// The class, without `Fast`.
        class: String,
        /// `cls_token`, `sep_token`.
        role: String,
        /// Its text, when the files or the class give one.
        token: Option<String>,
    },
    /// The file says nothing of special tokens, and the class adds some that are not known here.
    #[error("tokenizer.json has no post-processor, and {class} adds special tokens of its own to every text")]
    TokenizerWithoutTemplate {
        /// The class, without `Fast`.
        class: String,
    },
    /// An option of tokenizer_config.json that changes how text is cut and cannot be honoured.
    #[error("tokenizer_config.json has `{option}` = {value}, and the normalizer of tokenizer.json does otherwise")]
    TokenizerOption {
        /// The class, without `Fast`.
        class: String,
        /// The option.
        option: String,
        /// Its value.
        value: String,
    },
    /// The tokenizer makes ids that the model has no embedding for.
    #[error(
        "the tokenizer does not fit the model: its token `{token}` has id {id}, and the model has {vocab_size} embeddings (ids 0 to {})",
        vocab_size.saturating_sub(1)
    )]
    TokenizerDoesNotFit {
        /// The token of the highest id.
        token: String,
        /// Its id.
        id: u32,
        /// Rows of the model's embedding.
        vocab_size: usize,
    },
    /// No room beside the special tokens.
    #[error("`data.max_length` is {max_length}, and the tokenizer's special tokens alone take {special}")]
    NoRoom {
        /// The value given.
        max_length: usize,
        /// Special tokens of one example.
        special: usize,
    },
    /// More text than is tokenised of one row.
    #[error(
        "{place} has {length} bytes of text, most of them in column `{column}`; at most {most} are tokenised of a row"
    )]
    TextTooLong {
        /// The row.
        place: String,
        /// The longest of its columns.
        column: String,
        /// Bytes of all columns that are tokenised.
        length: usize,
        /// How many there may be.
        most: usize,
    },
    /// The tokenizer refused a text.
    #[error("{place} cannot be tokenised: {reason}")]
    Tokenize {
        /// The row.
        place: String,
        /// Why.
        reason: String,
    },
}

impl DataError {
    /// A missing file, with the nearest name beside it; or an unreadable one.
    pub(crate) fn io(path: &Path, error: &std::io::Error) -> Self {
        if error.kind() != std::io::ErrorKind::NotFound {
            return Self::FileUnreadable { path: path.to_owned(), reason: plain_io(error) };
        }
        let directory = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .map(|entries| entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
            .unwrap_or_default();
        names.sort();
        let wanted = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let nearest = retune_roles::nearest::nearest(&wanted, names.iter().map(String::as_str)).map(str::to_owned);
        Self::FileMissing { path: path.to_owned(), nearest }
    }

    /// An error of writing prepared rows into the cache, or without one where temporary files go.
    pub(crate) fn rows_unwritable(directory: Option<&Path>, error: &std::io::Error) -> Self {
        Self::RowsUnwritable { directory: directory.map(Path::to_owned), reason: plain_io(error) }
    }

    /// An error for a file of which no row is left, the largest loss first.
    pub(crate) fn nothing_left(file: String, read: u64, mut dropped: Vec<Dropped>) -> Self {
        dropped.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.stage.cmp(&b.stage)));
        Self::NothingLeft { file, read, dropped }
    }
}

/// The system's reason without its error number.
pub(crate) fn plain_io(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

fn account(read: u64, dropped: &[Dropped]) -> String {
    if dropped.is_empty() {
        return format!("it has {read} rows");
    }
    let parts: Vec<String> =
        dropped.iter().map(|d| format!("{} dropped {} ({})", d.stage, d.count, d.reason)).collect();
    format!("of {read} row{}, {}", if read == 1 { "" } else { "s" }, parts.join(", "))
}

/// `train.csv:17`.
pub(crate) fn place(file: &str, line: u64) -> String {
    format!("{file}:{line}")
}

/// `` ; did you mean `x`? `` or nothing, for the end of a sentence.
fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
