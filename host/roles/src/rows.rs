//! A data set as the training loop reads it: rows by number.
//!
//! Rows may lie in memory or in a mapped file; the loop cannot tell. The length of a
//! row is known without reading it, because sampling and evaluation sort by it.

use std::borrow::Cow;

use crate::digest::Digest;
use crate::{Example, Target};

/// Tokenised rows, in the order of their files.
pub trait Rows: Sync {
    /// Number of rows.
    fn len(&self) -> usize;

    /// True without rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of row `row`, below [`Rows::len`]; cheap.
    fn length(&self, row: usize) -> usize;

    /// Row `row`, below [`Rows::len`]: as it is evaluated, which is the same at any time.
    fn get(&self, row: usize) -> Cow<'_, Example>;

    /// Row `row` as it is learnt in `epoch`, counted from 0. A function of the two, so that neither the size of a batch nor
    /// going on from a checkpoint changes it. Rows are the same in every epoch unless something of them is drawn.
    fn in_epoch(&self, row: usize, epoch: u32) -> Cow<'_, Example> {
        let _ = epoch;
        self.get(row)
    }

    /// SHA-256 in hex over all that training and evaluation read of the rows, in order: equal digests,
    /// equal rows. See [`digest`].
    fn digest(&self) -> String {
        digest(self)
    }
}

/// So that a slice, which has no size of its own, can be lent as `&dyn Rows`.
impl<R: Rows + ?Sized> Rows for &R {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn length(&self, row: usize) -> usize {
        (**self).length(row)
    }

    fn get(&self, row: usize) -> Cow<'_, Example> {
        (**self).get(row)
    }

    fn in_epoch(&self, row: usize, epoch: u32) -> Cow<'_, Example> {
        (**self).in_epoch(row, epoch)
    }

    fn digest(&self) -> String {
        (**self).digest()
    }
}

impl Rows for [Example] {
    fn len(&self) -> usize {
        <[Example]>::len(self)
    }

    fn length(&self, row: usize) -> usize {
        self[row].tokens()
    }

    fn get(&self, row: usize) -> Cow<'_, Example> {
        Cow::Borrowed(&self[row])
    }
}

impl<const N: usize> Rows for [Example; N] {
    fn len(&self) -> usize {
        N
    }

    fn length(&self, row: usize) -> usize {
        self[row].tokens()
    }

    fn get(&self, row: usize) -> Cow<'_, Example> {
        Cow::Borrowed(&self[row])
    }
}

impl Rows for Vec<Example> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn length(&self, row: usize) -> usize {
        self[row].tokens()
    }

    fn get(&self, row: usize) -> Cow<'_, Example> {
        Cow::Borrowed(&self[row])
    }
}

/// The digest of any rows; an implementation that keeps it must give the same.
pub fn digest(rows: &(impl Rows + ?Sized)) -> String {
    let mut digest = Digest::default();
    for row in 0..rows.len() {
        add(&mut digest, &rows.get(row));
    }
    digest.finish()
}

/// Adds one row, for those who digest rows as they are made.
pub fn add(digest: &mut Digest, example: &Example) {
    digest.add(example.key.as_bytes());
    digest.add(&(example.sequences.len() as u64).to_le_bytes());
    for sequence in &example.sequences {
        digest.add_numbers(sequence.ids.iter().map(|id| id.to_le_bytes()));
        digest.add(&sequence.segments);
        digest.add_numbers(sequence.learnt.iter().flat_map(|range| [range.start, range.end]).map(u32::to_le_bytes));
    }
    match &example.target {
        Target::None => digest.add(b"none"),
        Target::Class(class) => digest.add(&class.to_le_bytes()),
        Target::Classes(classes) => digest.add_numbers(classes.iter().map(|class| class.to_le_bytes())),
        Target::Values(values) => digest.add_numbers(values.iter().map(|value| value.to_le_bytes())),
        Target::Labels(labels) => digest.add_numbers(labels.iter().map(|label| label.to_le_bytes())),
    }
    digest.add_numbers(example.extra.iter().map(|value| value.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
    use super::*;
    use crate::Sequence;

    fn row(key: &str, ids: &[u32]) -> Example {
        Example::new(key, Sequence::of(ids.to_vec()), Target::Class(0))
    }

    #[test]
    fn rows_that_run_together_have_another_digest() {
        assert_ne!(vec![row("a", &[1, 2]), row("b", &[3])].digest(), vec![row("a", &[1]), row("b", &[2, 3])].digest());
    }

    #[test]
    fn what_is_learnt_is_part_of_the_digest() {
        let learnt = |learnt| {
            let mut one = row("a", &[1, 2, 3]);
            one.sequences[0].learnt = learnt;
            vec![one].digest()
        };
        assert_ne!(learnt(vec![1..3]), learnt(vec![2..3]));
        assert_ne!(learnt(vec![1..3]), learnt(vec![1..2, 2..3]));
    }

    #[test]
    fn a_row_knows_its_length_over_all_sequences() {
        let mut pair = row("a", &[1, 2, 3]);
        pair.sequences.push(Sequence::of(vec![4]));
        assert_eq!(vec![pair].length(0), 4);
    }
}
