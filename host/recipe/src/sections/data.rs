//! The section `data`.

use std::path::{Path, PathBuf};

use retune_data::{Format, Layout};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::chat::Chat;
use super::kinds::File;
use super::role::RoleRef;

/// What to learn from.
#[derive(Clone, Debug, SmartDefault, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// The training rows: csv, tsv, jsonl, txt or conll, by extension.
    #[schemars(with = "File", extend("x-required" = true, "x-write" = "train = \"file.csv\" (or .jsonl, .txt)"))]
    pub train: PathBuf,
    /// Chooses the best model; a split is drawn from `train` by the seed.
    #[schemars(extend(
        "x-kind" = "file or { split = 0.1 }",
        "x-write" = "validation = \"file.csv\" or validation = { split = 0.1 }"
    ))]
    pub validation: Option<Validation>,
    /// Evaluated once, after training, with the best model.
    #[schemars(with = "Option<File>")]
    pub test: Option<PathBuf>,
    /// How the files are written; text: passages between blank lines, lines: one per line, conll: a word and its tag per line.
    #[schemars(extend("x-default" = "by extension"))]
    pub format: Option<Format>,
    /// Which columns hold what.
    pub columns: Columns,
    /// How conversations become rows (`messages`, or `wrap = true`).
    #[schemars(extend("x-write" = "chat = { learn = \"assistant\" }"))]
    pub chat: Option<Chat>,
    /// What is hidden of a text, and has to be found (masked-lm).
    #[schemars(extend("x-default" = "for masked-lm: { probability = 0.15 }", "x-write" = "mask = { probability = 0.15 }"))]
    pub mask: Option<Mask>,
    /// Labels every piece of a word, and not its first only; the inside of an entity that it begins (token-classification).
    pub label_all_tokens: bool,
    /// Numeric columns that roles see as `column.<name>`.
    pub extra_columns: Vec<String>,
    /// The label set, in the model's order.
    #[schemars(extend("x-default" = "those found in `train`"))]
    pub labels: Option<Vec<String>>,
    /// Tokens per row; longer rows are cut and counted.
    #[default(128)]
    #[schemars(range(min = 2), extend("x-default" = "128; 1024 with `messages` or `completion`"))]
    pub max_length: u64,
    /// Blocks join documents and cut them into `max_length` tokens; packed puts whole training rows into sequences of that
    /// length, in which they do not see each other.
    #[schemars(extend("x-default" = "rows; blocks for causal-lm with `text`"))]
    pub layout: Layout,
    /// Keeps the first so many training rows of each label, in file order.
    #[schemars(range(min = 1))]
    pub limit_per_label: Option<u64>,
    /// A column whose rows of one value never part when `validation` is a split: a customer, a document.
    pub group_by: Option<String>,
    /// Threads that prepare data; never changes the result.
    #[schemars(range(min = 1), extend("x-default" = "all cores"))]
    pub workers: Option<u64>,
    /// Preprocessors, in order.
    pub preprocess: Vec<RoleRef>,
}

/// Which columns hold what.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// The column with the text.
    #[schemars(extend("x-default" = "text; none beside `completion`, `messages` or `tokens`"))]
    pub text: Option<String>,
    /// The column with the second text of a pair.
    pub text_pair: Option<String>,
    /// The column with the label (classification), the list of labels (multi-label-classification) or the number or list of
    /// numbers (regression).
    #[schemars(extend("x-default" = "label, for tasks of whole rows"))]
    pub label: Option<String>,
    /// A column for each label with 1 where it holds and else 0 (multi-label-classification), or for each number
    /// (regression), in place of `label`.
    #[schemars(length(min = 1), extend("x-write" = "labels = [\"rude\", \"spam\"]"))]
    pub labels: Option<Vec<String>>,
    /// What stands between labels where `label` holds a text and no list (multi-label-classification).
    #[schemars(length(min = 1))]
    pub label_separator: Option<String>,
    /// The column that is shown and not learnt (causal-lm, beside `completion`).
    pub prompt: Option<String>,
    /// The column that is learnt, in place of `text` (causal-lm).
    pub completion: Option<String>,
    /// The column with a conversation (causal-lm): messages of role and content, or of from and value.
    pub messages: Option<String>,
    /// The column with the tools that a conversation is told about.
    pub tools: Option<String>,
    /// The column with the words (token-classification): a list, or a text whose words have spaces between them.
    #[schemars(extend("x-default" = "tokens, for token-classification"))]
    pub tokens: Option<String>,
    /// The column with as many tags: names, or numbers of `data.labels` (token-classification).
    #[schemars(extend("x-default" = "tags, for token-classification"))]
    pub tags: Option<String>,
}

/// What is hidden of a text.
#[derive(Clone, Copy, Debug, SmartDefault, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mask {
    /// Share of the tokens that has to be found. Of them four in five are hidden, one in ten is another, one in ten stays.
    #[default(0.15)]
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub probability: f64,
    /// Chooses words, with all of their pieces.
    pub whole_word: bool,
}

/// Where the validation set comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Validation {
    /// Its own file.
    File(#[schemars(with = "File")] PathBuf),
    /// A share of the training set.
    Split {
        /// Share of `train` set aside.
        #[schemars(extend(
            "exclusiveMinimum" = 0,
            "exclusiveMaximum" = 1,
            "x-write" = "validation = { split = 0.1 }"
        ))]
        split: f64,
    },
}

impl Data {
    /// The validation set's own file.
    pub fn validation_file(&self) -> Option<&Path> {
        match &self.validation {
            Some(Validation::File(file)) => Some(file),
            Some(Validation::Split { .. }) | None => None,
        }
    }
}
