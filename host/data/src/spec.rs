//! What is to be read, and what it is to become.
//!
//! A plain description without behaviour besides [`DataSpec::check`], which finds the values
//! that can never work before a file is opened.

use std::path::{Path, PathBuf};

use retune_roles::TaskKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chat_spec::ChatSpec;
use crate::{DataError, Result};

/// Rows a preprocessor gets in one call, unless told otherwise.
pub const DEFAULT_BATCH: usize = 128;

/// Everything the data path needs to know.
#[derive(Clone, Debug)]
pub struct DataSpec {
    /// The training rows.
    pub train: Source,
    /// Where validation rows come from.
    pub validation: Validation,
    /// Rows for the one evaluation at the end.
    pub test: Option<Source>,
    /// Which columns mean what.
    pub columns: Columns,
    /// How conversations become rows; `None`: there are none.
    pub chat: Option<ChatSpec>,
    /// Numeric columns handed to the loss and the metrics as `column.<name>`.
    pub extra_columns: Vec<String>,
    /// Most tokens of an example, special tokens included.
    pub max_length: usize,
    /// What the model learns.
    pub task: TaskKind,
    /// How token streams become examples (language models only).
    pub layout: Layout,
    /// The label set in the order of the class indices; `None`: found in the training rows and sorted.
    pub labels: Option<Vec<String>>,
    /// Seed of the run: decides the validation split and the chance of preprocessors.
    pub seed: u64,
    /// Worker threads; 0: as many as the machine has cores.
    pub workers: usize,
    /// Rows a preprocessor gets in one call, 1 to 4096.
    pub batch: usize,
    /// Where results are kept (in `rows` below it); `None`: nowhere.
    pub cache_dir: Option<PathBuf>,
    /// Take only the first N training rows of each label, in file order.
    pub limit_per_label: Option<usize>,
    /// What is hidden of a row (masked language models only).
    pub mask: MaskSpec,
    /// Labels all pieces of a word, and not its first only (token classification only).
    pub label_all_tokens: bool,
    /// A column whose equal values never part when a validation split is made: a customer, a document.
    pub group_by: Option<String>,
    /// Bytes that kept rows may take altogether.
    pub cache_limit: u64,
}

impl DataSpec {
    /// A spec for `train` and `task` with no validation split, no test set, text in column `text`
    /// (and labels in `label` for a classification; words in `tokens` and `tags` where words are labelled), 128 tokens and seed 0.
    pub fn new(train: impl Into<Source>, task: TaskKind) -> Self {
        let labelled = task.info().has_labels && task != TaskKind::TokenClassification;
        let label = labelled.then(|| "label".to_owned());
        let words = |name: &str| (task == TaskKind::TokenClassification).then(|| name.to_owned());
        Self {
            train: train.into(),
            validation: Validation::None,
            test: None,
            columns: Columns { label, tokens: words("tokens"), tags: words("tags"), ..Columns::default() },
            chat: None,
            extra_columns: Vec::new(),
            max_length: 128,
            task,
            layout: Layout::Rows,
            labels: None,
            seed: 0,
            workers: 0,
            batch: DEFAULT_BATCH,
            cache_dir: None,
            limit_per_label: None,
            mask: MaskSpec::default(),
            label_all_tokens: false,
            group_by: None,
            cache_limit: crate::cache::DEFAULT_LIMIT,
        }
    }

    /// Refuses values that can never work, naming the key as a recipe spells it.
    pub fn check(&self) -> Result<()> {
        let refuse = |key: &str, value: String, expected: &str| {
            Err(DataError::Spec { key: key.to_owned(), value, expected: expected.to_owned() })
        };
        if self.max_length < 2 {
            return refuse("data.max_length", self.max_length.to_string(), "at least 2");
        }
        if self.batch == 0 || self.batch > 4096 {
            return refuse("data.batch", self.batch.to_string(), "1 to 4096");
        }
        if let Validation::Split { fraction } = self.validation
            && !(fraction > 0.0 && fraction < 1.0)
        {
            return refuse("data.validation.split", fraction.to_string(), "more than 0 and less than 1");
        }
        if let (Some(column), false) = (&self.group_by, self.splits()) {
            return refuse("data.group_by", column.clone(), "nothing, unless `data.validation` is a split");
        }
        if self.limit_per_label == Some(0) {
            return refuse("data.limit_per_label", "0".to_owned(), "at least 1");
        }
        match self.task {
            TaskKind::SequenceClassification => {
                if self.columns.label.is_none() {
                    return Err(DataError::LabelColumnNotNamed);
                }
                match self.layout {
                    Layout::Rows => {}
                    Layout::Blocks => {
                        return refuse("data.layout", "blocks".to_owned(), "rows, for a sequence classification");
                    }
                    Layout::Packed => {
                        return refuse("data.layout", "packed".to_owned(), "rows, for a sequence classification");
                    }
                }
                if self.columns.completion.is_some() {
                    return refuse(
                        "data.columns.completion",
                        self.columns.completion.clone().unwrap_or_default(),
                        "nothing, for a sequence classification",
                    );
                }
            }
            TaskKind::MultiLabelClassification | TaskKind::Regression => {
                let a = if self.task == TaskKind::Regression { "a regression" } else { "several labels a row" };
                if self.columns.label.is_none() && self.columns.labels.is_empty() {
                    return Err(DataError::LabelColumnsNotNamed { task: self.task });
                }
                if self.layout != Layout::Rows {
                    let joined = if self.layout == Layout::Blocks { "blocks" } else { "packed" };
                    return refuse("data.layout", joined.to_owned(), &format!("rows, for {a}"));
                }
                if let Some(limit) = self.limit_per_label {
                    return refuse("data.limit_per_label", limit.to_string(), &format!("nothing, for {a}"));
                }
                if let Some(column) = &self.columns.completion {
                    return refuse("data.columns.completion", column.clone(), &format!("nothing, for {a}"));
                }
                if let (Some(labels), TaskKind::Regression) = (&self.labels, self.task) {
                    return refuse("data.labels", labels.join(", "), "nothing, for a regression");
                }
            }
            TaskKind::TokenClassification => {
                if self.columns.tokens.is_none() || self.columns.tags.is_none() {
                    return Err(DataError::TagColumnNotNamed);
                }
                if self.layout != Layout::Rows {
                    let joined = if self.layout == Layout::Blocks { "blocks" } else { "packed" };
                    return refuse("data.layout", joined.to_owned(), "rows, for a token classification");
                }
                if let Some(limit) = self.limit_per_label {
                    return refuse("data.limit_per_label", limit.to_string(), "nothing, for a token classification");
                }
            }
            TaskKind::MaskedLm | TaskKind::CausalLm => {
                if self.limit_per_label.is_some() && self.columns.label.is_none() {
                    return refuse(
                        "data.limit_per_label",
                        self.limit_per_label.unwrap_or_default().to_string(),
                        "nothing, unless `data.columns.label` names a column",
                    );
                }
                if let Some(pair) = &self.columns.text_pair {
                    return refuse(
                        "data.columns.text_pair",
                        pair.clone(),
                        match self.task {
                            TaskKind::MaskedLm => "nothing, for a masked language model",
                            _ => {
                                "nothing, for a causal language model; `prompt` and `completion` name two parts of one text"
                            }
                        },
                    );
                }
                if (self.layout, self.task) == (Layout::Packed, TaskKind::MaskedLm) {
                    return refuse("data.layout", "packed".to_owned(), "rows or blocks, for a masked language model");
                }
                if let (Some(column), TaskKind::MaskedLm) = (&self.columns.completion, self.task) {
                    return refuse("data.columns.completion", column.clone(), "nothing, for a masked language model");
                }
            }
        }
        if self.task == TaskKind::MaskedLm && !(self.mask.probability > 0.0 && self.mask.probability < 1.0) {
            return refuse("data.mask.probability", self.mask.probability.to_string(), "more than 0 and less than 1");
        }
        if let ([column, ..], Layout::Packed) = (self.extra_columns.as_slice(), self.layout) {
            return refuse("data.extra_columns", column.clone(), "none, where several rows are packed into one");
        }
        if let Some(prompt) = &self.columns.prompt
            && self.columns.completion.is_none()
        {
            return refuse("data.columns.prompt", prompt.clone(), "a `completion` column beside it");
        }
        Ok(())
    }

    /// Refuses a `max_length` that is more than the positions the model has.
    pub fn check_positions(&self, max_position_embeddings: usize) -> Result<()> {
        if self.max_length > max_position_embeddings {
            return Err(DataError::MaxLengthTooLong {
                max_length: self.max_length,
                positions: max_position_embeddings,
            });
        }
        Ok(())
    }

    /// Whether validation rows are split off the training rows.
    pub(crate) fn splits(&self) -> bool {
        matches!(self.validation, Validation::Split { .. })
    }

    /// The worker threads to use.
    pub(crate) fn threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }
}

/// A file of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// How it is written; `None`: told by the ending of the name.
    pub format: Option<Format>,
}

impl<P: Into<PathBuf>> From<P> for Source {
    fn from(path: P) -> Self {
        Self { path: path.into(), format: None }
    }
}

impl Source {
    /// The file's own name, as it stands in keys.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(|| self.path.display().to_string(), |n| n.to_string_lossy().into_owned())
    }

    /// Another file whose rows mean the same: its format is the one its name says, and that of this file where the
    /// name says none, or no more than plain text.
    pub fn beside(&self, path: PathBuf) -> Self {
        let format = match Format::of_name(&path) {
            None => self.format,
            Some(Format::Text) if matches!(self.format, Some(Format::Text | Format::Lines)) => self.format,
            Some(_) => None,
        };
        Self { path, format }
    }

    /// The format given, or the one the ending stands for: `.csv`, `.tsv`, `.jsonl`,
    /// `.ndjson` and `.json`, `.txt`, `.conll`.
    pub fn resolved_format(&self) -> Result<Format> {
        let known = self.format.or_else(|| Format::of_name(&self.path));
        known.ok_or_else(|| DataError::FormatUnknown { path: self.path.clone() })
    }
}

/// How a file holds rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Comma-separated with a header (RFC 4180 quoting).
    Csv,
    /// Tab-separated with a header.
    Tsv,
    /// One JSON object per line.
    Jsonl,
    /// Plain text: passages separated by blank lines, a row each, in the field `text`.
    Text,
    /// Plain text: every line that is not blank is a row, in the field `text`.
    Lines,
    /// A word a line, its tag last, and sentences separated by blank lines: a row each, in the fields `tokens` and `tags`.
    Conll,
}

impl Format {
    /// The names of all formats, as recipes and the command line spell them.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("csv", Self::Csv),
        ("tsv", Self::Tsv),
        ("jsonl", Self::Jsonl),
        ("text", Self::Text),
        ("lines", Self::Lines),
        ("conll", Self::Conll),
    ];

    fn of_name(path: &Path) -> Option<Self> {
        match path.extension()?.to_string_lossy().to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            "txt" | "text" => Some(Self::Text),
            "conll" => Some(Self::Conll),
            _ => None,
        }
    }
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let known = Self::NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, format)| *format).ok_or_else(|| {
            let names: Vec<&str> = Self::NAMES.iter().map(|(name, _)| *name).collect();
            format!("expected one of {}", names.join(", "))
        })
    }
}

/// Where validation rows come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Validation {
    /// There are none.
    None,
    /// Split off the training rows by the seed.
    Split {
        /// Share of the training rows, more than 0 and less than 1.
        fraction: f64,
    },
    /// A file of their own.
    File(Source),
}

/// What is hidden of a text, and has to be found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MaskSpec {
    /// Share of the tokens, more than 0 and less than 1.
    pub probability: f64,
    /// Hides all pieces of a word or none.
    pub whole_word: bool,
}

impl Default for MaskSpec {
    fn default() -> Self {
        Self { probability: 0.15, whole_word: false }
    }
}

/// Which columns mean what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Columns {
    /// The text. Not read when `completion` or `messages` is set.
    pub text: String,
    /// A second text (classification of pairs).
    pub text_pair: Option<String>,
    /// What the row is an instance of.
    pub label: Option<String>,
    /// A column for each label (several labels a row: 0 and 1), or for each number (regression), in place of `label`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// What stands between the labels in `label` (several labels a row), where it holds a text and no list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_separator: Option<String>,
    /// The part of a text that is shown and not learnt (causal language models).
    pub prompt: Option<String>,
    /// The part of a text that is learnt.
    pub completion: Option<String>,
    /// A conversation, in place of all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<String>,
    /// The tools that a conversation is told about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<String>,
    /// A list of words, in place of a text (token classification).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<String>,
    /// As many tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            text: "text".to_owned(),
            text_pair: None,
            label: None,
            labels: Vec::new(),
            label_separator: None,
            prompt: None,
            completion: None,
            messages: None,
            tools: None,
            tokens: None,
            tags: None,
        }
    }
}

/// How token streams become examples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// A row is an example, cut at `max_length`.
    #[default]
    Rows,
    /// Rows are joined into one stream (an end token between them) and cut every `max_length`
    /// tokens. Rows that share a block see each other: attention runs across
    /// the seam and positions do not restart.
    Blocks,
    /// Training rows, each cut at `max_length`, share sequences of at most `max_length` tokens. Rows do not see each
    /// other, and positions restart: a row is learnt as it is alone. A batch then counts sequences.
    Packed,
}

impl Layout {
    /// Whether a row stays a row, and is cut at `max_length`.
    pub fn cuts_rows(self) -> bool {
        self != Self::Blocks
    }
}

/// One of the three parts of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitName {
    /// What the model learns from.
    Train,
    /// What decides when to stop and which weights are best.
    Validation,
    /// Evaluated once, at the end.
    Test,
}

impl std::fmt::Display for SplitName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_beside_another_has_the_format_its_own_name_says() {
        let beside =
            |format, name: &str| Source { path: "train.csv".into(), format }.beside(name.into()).resolved_format().ok();
        assert_eq!(beside(Some(Format::Csv), "x.jsonl"), Some(Format::Jsonl));
        assert_eq!(beside(Some(Format::Jsonl), "x.TSV"), Some(Format::Tsv));
        assert_eq!(
            beside(Some(Format::Lines), "x.txt"),
            Some(Format::Lines),
            "a name does not tell lines from passages"
        );
        assert_eq!(beside(Some(Format::Csv), "x.txt"), Some(Format::Text));
        assert_eq!(beside(Some(Format::Tsv), "x.data"), Some(Format::Tsv));
        assert_eq!(beside(None, "x.data"), None);
    }
}
