//! Which rows an optimiser step learns from.
//!
//! Each epoch is a permutation that depends on `(seed, epoch)` alone. It is cut
//! into windows, one an optimiser step; the last may be short, and no row is
//! dropped or shown twice. A worker takes a contiguous share of each window, so
//! the union over workers does not depend on how many there are.
//!
//! By length, the permutation is cut into pieces of some windows, and each piece is sorted, the
//! longest rows first, before windows are cut: as `LengthGroupedSampler` of transformers does.
//! The longest row of all comes first in an epoch, so that a lack of memory shows at once.
//!
//! Price: 8 bytes per row for the permutation of the current epoch; by length, 4 more.

use std::ops::Range;

use retune_tensor::random::Stream;
use serde::{Deserialize, Serialize};

use crate::seeds::{Purpose, seed_of};

/// Where in the data a run is: the next window to be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Epoch, from 0.
    pub epoch: u32,
    /// Window within the epoch, from 0.
    pub window: u64,
}

/// The rows of one worker in one optimiser step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Indices into the training set.
    pub rows: Vec<usize>,
    /// Index in the whole window (all workers) of the first of them; rows follow on.
    pub first: usize,
}

/// Cuts each epoch's permutation into windows.
#[derive(Clone, Debug)]
pub struct Sampler {
    seed: u64,
    rows: usize,
    window: usize,
    /// Tokens of each row, when windows are drawn by length.
    lengths: Option<Vec<u32>>,
    order: Option<(u32, Vec<usize>)>,
}

impl Sampler {
    /// Windows of `window` rows, over all workers, of a data set of `rows`. Both are at least 1.
    pub fn new(seed: u64, rows: usize, window: usize) -> Self {
        Self { seed, rows, window, lengths: None, order: None }
    }

    /// Draws windows of rows of about the same length; `lengths` has one number per row.
    pub fn by_length(self, lengths: Vec<u32>) -> Self {
        Self { lengths: Some(lengths), order: None, ..self }
    }

    /// The order of an epoch; a function of seed, epoch and lengths.
    fn epoch(&self, epoch: u32) -> Vec<usize> {
        let mut order = permutation(self.seed, epoch, self.rows);
        if let Some(lengths) = &self.lengths {
            let windows = (self.rows / (4 * self.window)).clamp(1, 50);
            let length = |row: usize| lengths.get(row).copied().unwrap_or(0);
            for piece in order.chunks_mut(windows * self.window) {
                // Stable, so that rows of one length keep their random order.
                piece.sort_by_key(|&row| std::cmp::Reverse(length(row)));
            }
            let firsts = (0..self.rows).step_by(windows * self.window);
            if let Some(longest) = firsts.max_by_key(|&first| (length(order[first]), std::cmp::Reverse(first))) {
                order.swap(0, longest);
            }
        }
        order
    }

    /// Optimiser steps in an epoch.
    pub fn windows_per_epoch(&self) -> u64 {
        self.rows.div_ceil(self.window) as u64
    }

    /// The place after `position`.
    pub fn after(&self, position: Position) -> Position {
        if position.window + 1 < self.windows_per_epoch() {
            Position { window: position.window + 1, ..position }
        } else {
            Position { epoch: position.epoch + 1, window: 0 }
        }
    }

    /// The share of worker `rank` of `size` in the window at `position`.
    pub fn take(&mut self, position: Position, rank: usize, size: usize) -> Window {
        if self.order.as_ref().is_none_or(|(epoch, _)| *epoch != position.epoch) {
            self.order = Some((position.epoch, self.epoch(position.epoch)));
        }
        let order = self.order.as_ref().map_or(&[][..], |(_, order)| order);
        let start = (position.window as usize * self.window).min(self.rows);
        let whole = &order[start..(start + self.window).min(self.rows)];
        let share = share(whole.len(), rank, size);
        Window { first: share.start, rows: whole[share].to_vec() }
    }
}

/// The contiguous part of `0..length` that falls to `rank` of `size`.
pub fn share(length: usize, rank: usize, size: usize) -> Range<usize> {
    rank * length / size..(rank + 1) * length / size
}

/// Fisher-Yates.
fn permutation(seed: u64, epoch: u32, rows: usize) -> Vec<usize> {
    let mut stream = Stream::new(seed_of(seed, Purpose::Order, u64::from(epoch), 0), 1);
    let mut order: Vec<usize> = (0..rows).collect();
    for last in (1..rows).rev() {
        order.swap(last, stream.below(last as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn epoch(sampler: &mut Sampler, epoch: u32, size: usize) -> Vec<usize> {
        (0..sampler.windows_per_epoch())
            .flat_map(|window| (0..size).map(move |rank| (window, rank)))
            .flat_map(|(window, rank)| sampler.take(Position { epoch, window }, rank, size).rows)
            .collect()
    }

    proptest! {
        #[test]
        fn an_epoch_shows_every_row_once_whatever_the_window(rows in 1_usize..200, window in 1_usize..33, seed: u64) {
            let mut rows_seen = epoch(&mut Sampler::new(seed, rows, window), 0, 1);
            rows_seen.sort_unstable();
            prop_assert_eq!(rows_seen, (0..rows).collect::<Vec<_>>());
        }

        #[test]
        fn the_order_does_not_depend_on_the_number_of_workers(rows in 1_usize..100, window in 1_usize..20, size in 1_usize..9) {
            let mut sampler = Sampler::new(5, rows, window);
            prop_assert_eq!(epoch(&mut sampler, 1, size), epoch(&mut sampler, 1, 1));
        }

        #[test]
        fn a_row_knows_its_place_in_the_whole_window(rows in 1_usize..100, window in 1_usize..20, size in 1_usize..9) {
            let mut sampler = Sampler::new(5, rows, window);
            let whole = sampler.take(Position::default(), 0, 1);
            for rank in 0..size {
                let part = sampler.take(Position::default(), rank, size);
                prop_assert_eq!(&whole.rows[part.first..part.first + part.rows.len()], &part.rows[..]);
            }
        }
    }

    proptest! {
        #[test]
        fn by_length_every_row_is_still_shown_once(lengths in prop::collection::vec(1_u32..40, 1..200), window in 1_usize..20) {
            let mut sampler = Sampler::new(3, lengths.len(), window).by_length(lengths.clone());
            let order = epoch(&mut sampler, 2, 1);
            let longest = lengths.iter().max().copied();
            prop_assert_eq!(order.first().map(|&row| lengths[row]), longest);
            let mut seen = order.clone();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            prop_assert_eq!(epoch(&mut Sampler::new(3, lengths.len(), window).by_length(lengths.clone()), 2, 3), order);
        }
    }

    #[test]
    fn by_length_the_rows_of_a_window_are_alike() {
        // 800 rows of 1 to 100 tokens in windows of 8: padding to the longest row of a window costs little.
        let lengths: Vec<u32> = (0..800).map(|row| 1 + row * 37 % 100).collect();
        let padding = |sampler: &mut Sampler| -> u32 {
            let windows = (0..100).map(|window| sampler.take(Position { epoch: 0, window }, 0, 1).rows);
            let wasted = |rows: Vec<usize>| {
                let longest = rows.iter().map(|&row| lengths[row]).max().unwrap_or(0);
                rows.iter().map(|&row| longest - lengths[row]).sum::<u32>()
            };
            windows.map(wasted).sum()
        };
        let drawn = padding(&mut Sampler::new(1, 800, 8));
        let grouped = padding(&mut Sampler::new(1, 800, 8).by_length(lengths.clone()));
        // Of eight rows drawn at random the longest has about 89 tokens, and they have 50.5 in the mean.
        assert!((25_000..37_000).contains(&drawn), "{drawn}");
        assert!(grouped * 6 < drawn, "{grouped} of {drawn}");
        let order = |number| epoch(&mut Sampler::new(1, 800, 8).by_length(lengths.clone()), number, 1);
        assert_ne!(order(0), order(1));
    }

    #[test]
    fn order_is_a_function_of_seed_and_epoch() {
        let order = |seed, number| epoch(&mut Sampler::new(seed, 50, 8), number, 1);
        assert_eq!(order(1, 3), order(1, 3));
        assert_ne!(order(1, 3), order(1, 4));
        assert_ne!(order(1, 3), order(2, 3));
    }

    #[test]
    fn a_position_walks_through_epochs() {
        let sampler = Sampler::new(1, 10, 4);
        let mut position = Position::default();
        let walked: Vec<_> = (0..4)
            .map(|_| {
                position = sampler.after(position);
                (position.epoch, position.window)
            })
            .collect();
        assert_eq!(walked, [(0, 1), (0, 2), (1, 0), (1, 1)]);
    }
}
