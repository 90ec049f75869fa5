//! The rows of one split as the training loop reads them.
//!
//! Rows stay in their file; an [`Example`] is made when it is asked for. A row of a causal language model says which of
//! its tokens are learnt; a token of a prompt, or of what a user says, never is. Price: one allocation and copy for each
//! row that is read.

use std::borrow::Cow;
use std::sync::OnceLock;

use retune_roles::{Example, IGNORE_INDEX, Rows, Sequence, Target, TaskKind};

use crate::blocks::{self, Block, blocks};
use crate::masking::Masking;
use crate::packing::{self, Packs};
use crate::row::FURTHER;
use crate::selection::Selection;
use crate::spec::{DataSpec, Layout, SplitName};
use crate::tags;

/// Prepared rows of one split, in a mapped file.
pub struct Dataset {
    rows: Selection,
    form: Form,
    /// For each class that of the further pieces of a word, where these have one.
    insides: Option<Vec<u32>>,
    /// Hides tokens of a row when it is read.
    masking: Option<Masking>,
    digest: OnceLock<String>,
}

enum Form {
    /// A row has a class.
    Classified,
    /// A row has any number of classes.
    Several,
    /// A row has numbers.
    Valued,
    /// A row's words have classes.
    Tagged,
    /// A row is a text, learnt behind its prompt.
    Text,
    /// Rows are joined and cut.
    Blocks(Vec<Block>),
    /// Rows share sequences, and stay whole.
    Packed(Packs),
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dataset").field("examples", &self.len()).finish_non_exhaustive()
    }
}

impl Dataset {
    /// The examples of `rows` of a split, and how many blocks are left out because no token of them is a target. Only
    /// training rows are packed: evaluation has no padding to save, and measures row by row. A masked language model's are whole
    /// until [`Dataset::masked`] says how to hide tokens of them.
    pub(crate) fn new(rows: Selection, spec: &DataSpec, split: SplitName) -> (Self, u64) {
        let (form, without_target) = match (spec.task, spec.layout) {
            (TaskKind::SequenceClassification, _) => (Form::Classified, 0),
            (TaskKind::TokenClassification, _) => (Form::Tagged, 0),
            (TaskKind::MultiLabelClassification, _) => (Form::Several, 0),
            (TaskKind::Regression, _) => (Form::Valued, 0),
            (TaskKind::CausalLm | TaskKind::MaskedLm, Layout::Blocks) => {
                let (blocks, without_target) = blocks(&rows, spec.max_length, spec.task);
                (Form::Blocks(blocks), without_target)
            }
            (TaskKind::CausalLm, Layout::Packed) if split == SplitName::Train => {
                (Form::Packed(packing::pack(&rows, spec.max_length, spec.seed)), 0)
            }
            (TaskKind::CausalLm | TaskKind::MaskedLm, Layout::Rows | Layout::Packed) => (Form::Text, 0),
        };
        (Self { rows, form, insides: None, masking: None, digest: OnceLock::new() }, without_target)
    }

    /// The same with a label at every piece of a word; `names` are those of the classes.
    pub(crate) fn labelling_all(self, names: &[String]) -> Self {
        Self { insides: Some(tags::insides(names)), ..self }
    }

    /// The same with tokens hidden whenever a row is read.
    pub(crate) fn masked(self, masking: Masking) -> Self {
        Self { masking: Some(masking), ..self }
    }

    /// The class of each token that carries one, with whether it is the first piece of its word; -100 for the others.
    pub(crate) fn classes_of_tokens(&self, row: usize) -> impl Iterator<Item = (i32, bool)> + '_ {
        let (file, number) = self.rows.locate(row);
        let none = IGNORE_INDEX as i32;
        file.tags(number).unwrap_or_default().into_iter().map(move |tag| {
            let (first, label) = (tag & FURTHER == 0, tag & !FURTHER);
            let class = u32::try_from(tag).ok().and_then(|_| self.rows.class_of(label as u32));
            match (class, &self.insides) {
                (Some(class), _) if first => (class as i32, true),
                (Some(class), Some(insides)) => {
                    (insides.get(class as usize).map_or(none, |class| *class as i32), false)
                }
                _ => (none, first),
            }
        })
    }

    /// What is learnt of a row's words; without classes, the number of its word at each first piece.
    fn tags(&self, row: usize) -> Vec<i32> {
        if self.rows.has_classes() {
            return self.classes_of_tokens(row).map(|(class, _)| class).collect();
        }
        let (file, number) = self.rows.locate(row);
        let first = |tag: i32| if tag & FURTHER == 0 { tag } else { IGNORE_INDEX as i32 };
        file.tags(number).unwrap_or_default().into_iter().map(first).collect()
    }

    /// The numbers that a row is to give, where it has some.
    pub(crate) fn values(&self, row: usize) -> Option<Vec<f32>> {
        let (file, number) = self.rows.locate(row);
        file.values(number)
    }

    /// The rows it is made of.
    pub(crate) fn rows(&self) -> &Selection {
        &self.rows
    }

    /// Tokens of an example that are a target of the loss, or may be; 0 for a classification.
    pub(crate) fn targets(&self, row: usize) -> usize {
        match &self.form {
            Form::Classified | Form::Tagged | Form::Several | Form::Valued => 0,
            Form::Text => self.targets_of(row),
            Form::Blocks(blocks) => blocks[row].targets as usize,
            Form::Packed(packs) => packs.rows(row).map(|row| self.targets_of(row)).sum(),
        }
    }

    /// Tokens of a row of the selection that are a target.
    fn targets_of(&self, row: usize) -> usize {
        let (file, number) = self.rows.locate(row);
        // Nothing stands before the first token; from both sides it can be found.
        let first = if self.masking.is_some() { 0 } else { 1 };
        file.learnt(number).into_iter().map(|range| range.end.saturating_sub(range.start.max(first)) as usize).sum()
    }

    /// Places that the sequences have together which rows were packed into; `None` unless rows are packed.
    pub(crate) fn places(&self) -> Option<usize> {
        match &self.form {
            Form::Packed(packs) => Some(packs.places()),
            _ => None,
        }
    }

    /// The keys of the rows that were packed into an example, in the order of its documents; none unless rows are packed.
    pub fn packed_keys(&self, example: usize) -> Vec<String> {
        match &self.form {
            Form::Packed(packs) => packs.rows(example).map(|row| self.rows.key(row)).collect(),
            _ => Vec::new(),
        }
    }

    /// All examples, in memory.
    pub fn to_vec(&self) -> Vec<Example> {
        (0..self.len()).map(|row| self.at(row, None)).collect()
    }

    fn at(&self, row: usize, epoch: Option<u32>) -> Example {
        let example = self.example(row);
        match &self.masking {
            Some(masking) => masking.apply(example, row, epoch),
            None => example,
        }
    }

    fn example(&self, row: usize) -> Example {
        let target = match &self.form {
            Form::Blocks(blocks) => return blocks::example(&self.rows, &blocks[row]),
            Form::Packed(packs) => return packing::example(&self.rows, packs, row),
            Form::Classified => self.rows.class(&self.rows.head(row)).map_or(Target::None, Target::Class),
            Form::Several => self.rows.classes(row).map_or(Target::None, Target::Classes),
            Form::Valued => self.values(row).map_or(Target::None, Target::Values),
            Form::Tagged => Target::Labels(self.tags(row)),
            Form::Text => Target::None,
        };
        let (file, number) = self.rows.locate(row);
        let learnt = match self.form {
            Form::Text => file.learnt(number),
            _ => Vec::new(),
        };
        let ids = file.ids(number, 0, u32::MAX).collect();
        let sequence = Sequence { ids, segments: file.segments(number).to_vec(), learnt };
        Example { key: file.key(number), sequences: vec![sequence], target, extra: file.extra(number) }
    }
}

impl Rows for Dataset {
    fn len(&self) -> usize {
        match &self.form {
            Form::Blocks(blocks) => blocks.len(),
            Form::Packed(packs) => packs.len(),
            _ => self.rows.len(),
        }
    }

    fn length(&self, row: usize) -> usize {
        match &self.form {
            Form::Blocks(blocks) => blocks[row].tokens as usize,
            Form::Packed(packs) => packs.rows(row).map(|row| self.rows.tokens(row)).sum(),
            _ => self.rows.tokens(row),
        }
    }

    fn get(&self, row: usize) -> Cow<'_, Example> {
        Cow::Owned(self.at(row, None))
    }

    fn in_epoch(&self, row: usize, epoch: u32) -> Cow<'_, Example> {
        Cow::Owned(self.at(row, Some(epoch)))
    }

    fn digest(&self) -> String {
        self.digest.get_or_init(|| retune_roles::rows::digest(self)).clone()
    }
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
