//! Rows packed into sequences of at most `max_length` tokens, first-fit (Johnson 1973): each row goes into the first sequence
//! that has room for it.
//!
//! A row stays whole, attends to itself alone, and its positions begin at zero, so that nothing about it changes but its company.
//! Rows are taken in an order drawn from the seed, so that rows that stand together in the file are learnt apart; the
//! sequences are the same in every epoch, which draws their order.
//!
//! Price: 8 bytes a row, and 16 more while packing, which takes time as n log n.

use retune_roles::{Example, Sequence, Target};

use crate::selection::Selection;
use crate::stage::sample_seed;

/// The rows of each packed sequence.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    /// Most tokens of a sequence.
    room: usize,
    /// Rows of a selection, those of one sequence side by side.
    rows: Vec<u32>,
    /// Where each sequence ends in `rows`.
    ends: Vec<usize>,
}

/// Packs all rows of a selection.
pub(crate) fn pack(rows: &Selection, max_length: usize, seed: u64) -> Packs {
    let mut order: Vec<(u64, u32)> =
        (0..rows.len()).map(|row| (sample_seed(seed, "packing", &rows.key(row), 0), row as u32)).collect();
    order.sort_unstable();
    let order: Vec<u32> = order.into_iter().map(|(_, row)| row).collect();
    let sequences = first_fit(order.iter().map(|row| rows.tokens(*row as usize)), max_length);
    let mut packs = Packs { room: max_length, ..Packs::default() };
    let count = sequences.iter().max().map_or(0, |last| last + 1);
    let mut sizes = vec![0; count];
    sequences.iter().for_each(|sequence| sizes[*sequence] += 1);
    packs.ends = sizes
        .iter()
        .scan(0, |end, size| {
            Some({
                *end += size;
                *end
            })
        })
        .collect();
    let mut next: Vec<usize> = packs.ends.iter().zip(&sizes).map(|(end, size)| end - size).collect();
    packs.rows = vec![0; order.len()];
    for (row, sequence) in order.into_iter().zip(sequences) {
        packs.rows[next[sequence]] = row;
        next[sequence] += 1;
    }
    packs
}

/// The number of the sequence that each length goes into. A length above `room` has a sequence of its own.
fn first_fit(lengths: impl ExactSizeIterator<Item = usize>, room: usize) -> Vec<usize> {
    // A tree over as many sequences as there can be: each node knows the most room below it.
    let leaves = lengths.len().next_power_of_two();
    let mut most = vec![room; 2 * leaves];
    let place = |length: usize| {
        let length = length.min(room);
        let mut node = 1;
        while node < leaves {
            node *= 2;
            if most[node] < length {
                node += 1;
            }
        }
        most[node] -= length;
        let sequence = node - leaves;
        while node > 1 {
            node /= 2;
            most[node] = most[2 * node].max(most[2 * node + 1]);
        }
        sequence
    };
    lengths.map(place).collect()
}

impl Packs {
    /// Number of sequences.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Places for tokens in all sequences together.
    pub fn places(&self) -> usize {
        self.room * self.len()
    }

    /// The rows of a sequence, in their order.
    pub fn rows(&self, sequence: usize) -> impl Iterator<Item = usize> + '_ {
        let start = sequence.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.rows[start..self.ends[sequence]].iter().map(|row| *row as usize)
    }
}

/// A packed sequence as an example: a document for each row. It is named after its first row and its own number, as blocks
/// are: `chats.jsonl:12@3`.
pub(crate) fn example(rows: &Selection, packs: &Packs, number: usize) -> Example {
    let mut key = String::new();
    let sequences = packs.rows(number).map(|row| {
        let (file, at) = rows.locate(row);
        if key.is_empty() {
            key = format!("{}@{number}", file.key(at));
        }
        Sequence {
            ids: file.ids(at, 0, u32::MAX).collect(),
            segments: file.segments(at).to_vec(),
            learnt: file.learnt(at),
        }
    });
    let sequences = sequences.collect();
    Example { key, sequences, target: Target::None, extra: Vec::new() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_row_goes_into_the_first_sequence_with_room_for_it() {
        let lengths = [6, 5, 4, 5, 1, 9, 10, 12, 1];
        assert_eq!(first_fit(lengths.into_iter(), 10), [0, 1, 0, 1, 2, 2, 3, 4, 5]);
        assert!(first_fit([].into_iter(), 10).is_empty());
    }

    proptest! {
        #[test]
        fn it_is_first_fit_as_one_would_write_it_down(lengths in prop::collection::vec(1_usize..30, 0..200), room in 30_usize..60) {
            let mut left: Vec<usize> = Vec::new();
            let plain = lengths.iter().map(|length| {
                let at = left.iter().position(|left| left >= length).unwrap_or(left.len());
                if at == left.len() {
                    left.push(room);
                }
                left[at] -= length;
                at
            });
            let plain: Vec<usize> = plain.collect();
            prop_assert_eq!(first_fit(lengths.iter().copied(), room), plain);
        }
    }
}
