//! What a model is trained to do: one description for every room.
//!
//! [`TaskKind`] names a task, [`Task`] is the task of one model, its labels
//! included. What differs between tasks is written down once, as the
//! [`TaskInfo`] of the task's own file; recipe, data, model and roles read it from
//! there and match on the kind only where they compute something different.

mod causal_lm;
mod info;
mod masked_lm;
mod multi_label_classification;
mod regression;
mod sequence_classification;
mod token_classification;
mod tokens;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::info::{TaskInfo, Unlearnable};
use crate::Example;

/// Names a task, spelled as in a recipe: `sequence-classification`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// One label per row.
    #[default]
    SequenceClassification,
    /// The next token, at every position.
    CausalLm,
    /// One label per word.
    TokenClassification,
    /// Tokens that were hidden.
    MaskedLm,
    /// Any number of labels per row.
    MultiLabelClassification,
    /// One or more numbers per row.
    Regression,
}

/// What a model is trained to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// One of `labels` per row.
    SequenceClassification {
        /// Names of the classes; class 0 first.
        labels: Vec<String>,
    },
    /// The next token, at every position.
    CausalLm,
    /// One of `labels` per word.
    TokenClassification {
        /// Names of the classes; class 0 first.
        labels: Vec<String>,
    },
    /// Tokens that were hidden.
    MaskedLm,
    /// Any number of `labels` per row.
    MultiLabelClassification {
        /// Names of the classes; class 0 first.
        labels: Vec<String>,
    },
    /// A number for each of `outputs` per row.
    Regression {
        /// Names of the numbers.
        outputs: Vec<String>,
    },
}

impl TaskKind {
    /// Every task.
    pub const ALL: [Self; 6] = [
        Self::SequenceClassification,
        Self::CausalLm,
        Self::TokenClassification,
        Self::MaskedLm,
        Self::MultiLabelClassification,
        Self::Regression,
    ];

    /// What the rooms need to know of it.
    pub fn info(self) -> &'static TaskInfo {
        match self {
            Self::SequenceClassification => &sequence_classification::INFO,
            Self::CausalLm => &causal_lm::INFO,
            Self::TokenClassification => &token_classification::INFO,
            Self::MaskedLm => &masked_lm::INFO,
            Self::MultiLabelClassification => &multi_label_classification::INFO,
            Self::Regression => &regression::INFO,
        }
    }

    /// The recipe's spelling.
    pub fn as_str(self) -> &'static str {
        self.info().name
    }

    /// The task whose Hugging Face classes end like `class`: `BertForSequenceClassification`. Of the tasks that share a class,
    /// which is told apart by `problem_type`, the first.
    pub fn of_class(class: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| class.ends_with(kind.info().class_suffix))
    }

    /// The task with these labels, or names of numbers; a task without a label set ignores them.
    pub fn with_labels(self, labels: Vec<String>) -> Task {
        match self {
            Self::SequenceClassification => Task::SequenceClassification { labels },
            Self::CausalLm => Task::CausalLm,
            Self::TokenClassification => Task::TokenClassification { labels },
            Self::MaskedLm => Task::MaskedLm,
            Self::MultiLabelClassification => Task::MultiLabelClassification { labels },
            Self::Regression => Task::Regression { outputs: labels },
        }
    }
}

impl std::fmt::Display for TaskKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Task {
    /// Which task it is.
    pub fn kind(&self) -> TaskKind {
        match self {
            Self::SequenceClassification { .. } => TaskKind::SequenceClassification,
            Self::CausalLm => TaskKind::CausalLm,
            Self::TokenClassification { .. } => TaskKind::TokenClassification,
            Self::MaskedLm => TaskKind::MaskedLm,
            Self::MultiLabelClassification { .. } => TaskKind::MultiLabelClassification,
            Self::Regression { .. } => TaskKind::Regression,
        }
    }

    /// What the rooms need to know of it.
    pub fn info(&self) -> &'static TaskInfo {
        self.kind().info()
    }

    /// Names of the classes, or of a regression's numbers; empty for a task without a label set.
    pub fn labels(&self) -> &[String] {
        match self {
            Self::SequenceClassification { labels }
            | Self::TokenClassification { labels }
            | Self::MultiLabelClassification { labels } => labels,
            Self::Regression { outputs } => outputs,
            Self::CausalLm | Self::MaskedLm => &[],
        }
    }

    /// Whether `example` can be learnt from.
    ///
    /// # Errors
    /// Says why not, and what to do.
    pub fn check(&self, example: &Example) -> Result<(), Unlearnable> {
        (self.info().check)(self.labels(), example)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
    use super::*;
    use crate::{Sequence, Target};

    fn classes() -> Task {
        TaskKind::SequenceClassification.with_labels(vec!["no".into(), "yes".into()])
    }

    fn row(learnt: Vec<std::ops::Range<u32>>, target: Target) -> Example {
        let sequence = Sequence { ids: vec![5, 6, 7], segments: Vec::new(), learnt };
        Example { key: "a".into(), sequences: vec![sequence], target, extra: Vec::new() }
    }

    #[test]
    fn the_spelling_in_recipes_is_that_of_serde() {
        for kind in TaskKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn a_hugging_face_class_names_its_task() {
        assert_eq!(TaskKind::of_class("BertForSequenceClassification"), Some(TaskKind::SequenceClassification));
        assert_eq!(TaskKind::of_class("LlamaForCausalLM"), Some(TaskKind::CausalLm));
        assert_eq!(TaskKind::of_class("RobertaForTokenClassification"), Some(TaskKind::TokenClassification));
        assert_eq!(TaskKind::of_class("BertForMaskedLM"), Some(TaskKind::MaskedLm));
        assert_eq!(TaskKind::of_class("BertModel"), None);
    }

    #[test]
    fn an_example_fits_its_own_task_only() {
        let (class, tokens) = (row(vec![], Target::Class(1)), row(vec![1..3], Target::None));
        assert_eq!(classes().check(&class), Ok(()));
        assert_eq!(Task::CausalLm.check(&tokens), Ok(()));
        assert_eq!(classes().check(&tokens).unwrap_err().reason, "has no label");
        assert_eq!(Task::CausalLm.check(&class).unwrap_err().reason, "has a class, expected tokens to learn");
        let unknown = row(vec![], Target::Class(2));
        assert_eq!(classes().check(&unknown).unwrap_err().reason, "has class 2, but the model has 2 labels");
    }
    #[test]
    fn labels_of_tokens_are_as_many_as_tokens_and_known() {
        let tags = TaskKind::TokenClassification.with_labels(vec!["O".into(), "B-PER".into()]);
        let with = |labels: &[i32]| row(vec![], Target::Labels(labels.to_vec()));
        assert_eq!(tags.check(&with(&[-100, 1, 0])), Ok(()));
        assert_eq!(Task::MaskedLm.check(&with(&[-100, 900, -100])), Ok(()));
        for task in [&tags, &Task::MaskedLm] {
            assert_eq!(task.check(&with(&[0, 1])).unwrap_err().reason, "has 3 tokens and 2 labels");
        }
        assert_eq!(tags.check(&with(&[0, 2, 0])).unwrap_err().reason, "has label 2, but the model has 2 labels");
        assert_eq!(tags.check(&with(&[0, -1, 0])).unwrap_err().reason, "has label -1, but the model has 2 labels");
        assert_eq!(tags.check(&row(vec![], Target::None)).unwrap_err().reason, "has no tags");
        let text = row(vec![1..3], Target::None);
        assert_eq!(Task::MaskedLm.check(&text).unwrap_err().reason, "has no target, expected hidden tokens");
    }

    #[test]
    fn several_labels_are_known_and_numbers_are_finite_and_as_many_as_outputs() {
        let several = TaskKind::MultiLabelClassification.with_labels(vec!["rude".into(), "spam".into()]);
        let with = |classes: &[u32]| row(vec![], Target::Classes(classes.to_vec()));
        assert_eq!(several.check(&with(&[])), Ok(()));
        assert_eq!(several.check(&with(&[0, 1])), Ok(()));
        assert_eq!(several.check(&with(&[0, 2])).unwrap_err().reason, "has class 2, but the model has 2 labels");
        assert_eq!(several.check(&row(vec![], Target::None)).unwrap_err().reason, "has no list of labels");
        let scores = TaskKind::Regression.with_labels(vec!["score".into()]);
        let with = |values: &[f32]| row(vec![], Target::Values(values.to_vec()));
        assert_eq!(scores.check(&with(&[0.5])), Ok(()));
        assert_eq!(scores.check(&with(&[0.5, 1.0])).unwrap_err().reason, "has 2 numbers, but the model gives 1");
        assert_eq!(scores.check(&with(&[])).unwrap_err().reason, "has 0 numbers, but the model gives 1");
        assert_eq!(scores.check(&with(&[f32::NAN])).unwrap_err().reason, "has the value NaN, expected a finite number");
        let class = row(vec![], Target::Class(1));
        assert_eq!(scores.check(&class).unwrap_err().reason, "has a class, expected numbers");
    }
}
