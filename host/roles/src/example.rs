//! What the model trains on: one tokenised row.
//!
//! A row holds one sequence, or several that belong together (the two answers of a
//! preference pair), or several rows of the data that were packed into one. A sequence knows which of its tokens are learnt, so that a
//! prompt and several turns of a conversation need no further field; a target for
//! the row as a whole stands beside the sequences. Labels of next-token tasks are
//! not stored: [`Sequence::next_token_labels`] derives them when a batch is made.

use std::ops::Range;

/// The label that carries no loss (PyTorch's and Hugging Face's convention).
pub const IGNORE_INDEX: i64 = -100;

/// One tokenised row, before it is put into a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Stable across runs, workers and restarts; named in every error.
    pub key: String,
    /// At least one.
    pub sequences: Vec<Sequence>,
    /// What is to be learnt of the row as a whole.
    pub target: Target,
    /// Further numeric columns, in the order of the data set's `extra_columns`.
    pub extra: Vec<f32>,
}

/// Tokens that attend to one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Token ids with the special tokens of the tokenizer, cut to `max_length`.
    pub ids: Vec<u32>,
    /// Segment of each token (BERT's sentence A and B); empty means all zero.
    pub segments: Vec<u8>,
    /// Positions of tokens that are to be predicted from what stands before them, as
    /// ascending ranges that do not overlap; empty unless the task learns tokens.
    pub learnt: Vec<Range<u32>>,
}

/// What a row as a whole teaches.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Nothing: the row is for prediction only, or its sequences say what is learnt.
    None,
    /// Index into the label set.
    Class(u32),
    /// Indices into the label set, ascending (several labels per row).
    Classes(Vec<u32>),
    /// Numbers (regression).
    Values(Vec<f32>),
    /// One label per token of the first sequence; [`IGNORE_INDEX`] where there is none.
    Labels(Vec<i32>),
}

impl Target {
    /// What kind of target this is, for messages: `a class`.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::None => "no target",
            Self::Class(_) => "a class",
            Self::Classes(_) => "several classes",
            Self::Values(_) => "numbers",
            Self::Labels(_) => "one label per token",
        }
    }
}

impl Example {
    /// A row of one sequence.
    pub fn new(key: impl Into<String>, sequence: Sequence, target: Target) -> Self {
        Self { key: key.into(), sequences: vec![sequence], target, extra: Vec::new() }
    }

    /// Tokens of all its sequences.
    pub fn tokens(&self) -> usize {
        self.sequences.iter().map(Sequence::len).sum()
    }
}

impl Sequence {
    /// Tokens of which none is learnt and all are in segment 0.
    pub fn of(ids: Vec<u32>) -> Self {
        Self { ids, ..Self::default() }
    }

    /// Tokens that are all learnt: a text for a language model.
    pub fn text(ids: Vec<u32>) -> Self {
        let learnt = std::iter::once(0..ids.len() as u32).collect();
        Self { ids, segments: Vec::new(), learnt }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True without tokens.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Targets of a next-token loss: learnt tokens but the first of the sequence, before which nothing stands.
    pub fn learnt_tokens(&self) -> usize {
        self.targets().map(|range| range.len()).sum()
    }

    /// `labels[t]` is the token that `logits[t]` should predict: `ids[t + 1]` where that is learnt, else
    /// [`IGNORE_INDEX`]; the last position has none.
    pub fn next_token_labels(&self) -> Vec<i64> {
        let mut labels = vec![IGNORE_INDEX; self.ids.len()];
        for target in self.targets().flatten() {
            labels[target - 1] = i64::from(self.ids[target]);
        }
        labels
    }

    /// Positions that are targets, inside the sequence and after its first token.
    fn targets(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let end = self.ids.len();
        self.learnt.iter().map(move |range| (range.start as usize).max(1)..(range.end as usize).min(end))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
    use super::*;

    fn sequence(ids: &[u32], learnt: &[Range<u32>]) -> Sequence {
        Sequence { ids: ids.to_vec(), segments: Vec::new(), learnt: learnt.to_vec() }
    }

    #[test]
    fn labels_are_the_next_token_where_it_is_learnt() {
        let none = IGNORE_INDEX;
        assert_eq!(Sequence::text(vec![5, 6, 7]).next_token_labels(), [6, 7, none]);
        assert_eq!(sequence(&[5, 6, 7, 8], &[2..4]).next_token_labels(), [none, 7, 8, none]);
        assert_eq!(sequence(&[5, 6, 7, 8], &[1..2, 3..4]).next_token_labels(), [6, none, 8, none]);
        assert_eq!(Sequence::of(vec![5, 6]).next_token_labels(), [none, none]);
        assert_eq!(Sequence::default().next_token_labels(), [0_i64; 0]);
    }

    #[test]
    fn the_first_token_is_never_a_target_and_a_range_ends_with_the_sequence() {
        assert_eq!(Sequence::text(vec![5]).learnt_tokens(), 0);
        assert_eq!(Sequence::text(vec![5, 6, 7]).learnt_tokens(), 2);
        assert_eq!(sequence(&[5, 6, 7], &[1..9]).learnt_tokens(), 2);
        assert_eq!(sequence(&[5, 6, 7], &[0..1]).learnt_tokens(), 0);
    }

    #[test]
    fn as_many_labels_as_learnt_tokens() {
        for learnt in [vec![], vec![0..1], vec![0..4], vec![1..2, 3..4], vec![4..4]] {
            let sequence = sequence(&[1, 2, 3, 4], &learnt);
            let labels = sequence.next_token_labels().into_iter().filter(|label| *label != IGNORE_INDEX).count();
            assert_eq!(labels, sequence.learnt_tokens(), "{learnt:?}");
        }
    }
}
