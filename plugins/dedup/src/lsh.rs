//! Finds similar signatures without comparing all pairs (Indyk and Motwani 1998;
//! banding after Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4).
//!
//! A signature is cut into bands; two signatures that agree in all rows of one band meet in
//! its bucket and are then compared in full. With `b` bands of `r` rows a pair of similarity
//! `s` meets with probability `1 - (1 - s^r)^b`. Where no `r` finds a pair at the threshold often
//! enough there are no bands, and a signature is compared with all: so low a threshold
//! leaves few rows to compare with.
//!
//! A row of several columns has a signature for each; it is banded by their minima, which are the
//! signature of all its shingles, and similar only to a row that is similar in every column.
//! A pair whose columns all reach the threshold also reaches it as a whole, so none is lost by that.

use std::collections::HashMap;

use crate::hash::{self, Hashed};

/// How often a pair exactly at the threshold has to be compared.
const RECALL: f64 = 0.99;

/// Rows in a chunk of memory: it never moves, so that memory is not taken twice as it grows.
const CHUNK: usize = 1024;

/// No earlier row.
const NONE: u32 = u32::MAX;

/// The signatures seen so far.
///
/// A bucket is a chain: `last` knows its newest row, and each row knows, for each of its bands,
/// the one before it. That is 4 bytes a band, where a list for each bucket would take 40.
#[derive(Debug)]
pub struct Index {
    columns: usize,
    permutations: usize,
    /// Rows of a band; `None` compares with every signature.
    band: Option<usize>,
    /// In how many permutations similar columns agree.
    wanted: usize,
    /// For each row its label, its signatures, and the earlier row of each band's bucket.
    chunks: Vec<Vec<u32>>,
    rows: usize,
    last: HashMap<u64, u32, Hashed>,
}

impl Index {
    /// For rows of `columns` signatures of `permutations` numbers; similar means that a share of `threshold` agrees.
    pub fn new(columns: usize, permutations: usize, threshold: f64) -> Self {
        Self {
            columns,
            permutations,
            band: band(permutations, threshold),
            wanted: wanted(permutations, threshold),
            chunks: Vec::new(),
            rows: 0,
            last: HashMap::default(),
        }
    }

    fn bands(&self) -> usize {
        self.band.map_or(0, |rows| self.permutations / rows)
    }

    /// The bucket of each band of a row: its signatures, one behind the other.
    fn buckets(&self, signatures: &[u32]) -> Vec<u64> {
        let Some(rows) = self.band else { return Vec::new() };
        let least = |at: usize| signatures[at..].iter().step_by(self.permutations).min().copied().unwrap_or(u32::MAX);
        let bucket = |band: usize| {
            let start = hash::mix(band as u64 + 1);
            (band * rows..(band + 1) * rows).fold(start, |hash, at| hash::mix(hash ^ u64::from(least(at))))
        };
        (0..self.bands()).map(bucket).collect()
    }

    /// What is kept of a row: as many numbers.
    fn width(&self) -> usize {
        1 + self.columns * self.permutations + self.bands()
    }

    /// A row's label, its signatures, and its predecessors.
    fn row(&self, at: u32) -> (u32, &[u32], &[u32]) {
        let (chunk, row) = (at as usize / CHUNK, at as usize % CHUNK);
        let row = &self.chunks[chunk][row * self.width()..][..self.width()];
        let (signatures, before) = row[1..].split_at(self.columns * self.permutations);
        (row[0], signatures, before)
    }

    /// Whether a row of this label that is similar in every column has been inserted.
    pub fn finds(&self, signatures: &[u32], label: u32) -> bool {
        let agree = |(a, b): (&[u32], &[u32])| a.iter().zip(b).filter(|(a, b)| a == b).count() >= self.wanted;
        let similar = |at: u32| {
            let (other, row, _) = self.row(at);
            other == label
                && signatures.chunks_exact(self.permutations).zip(row.chunks_exact(self.permutations)).all(agree)
        };
        if self.band.is_none() {
            return (0..self.rows as u32).any(similar);
        }
        self.buckets(signatures).iter().enumerate().any(|(band, bucket)| {
            let newest = self.last.get(bucket).copied();
            std::iter::successors(newest, |at| Some(self.row(*at).2[band]).filter(|at| *at != NONE)).any(similar)
        })
    }

    /// Remembers a row.
    pub fn insert(&mut self, signatures: &[u32], label: u32) {
        let full = self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK * self.width());
        if full {
            self.chunks.push(Vec::with_capacity(CHUNK * self.width()));
        }
        let (at, buckets) = (self.rows as u32, self.buckets(signatures));
        let Some(chunk) = self.chunks.last_mut() else { return };
        chunk.push(label);
        chunk.extend_from_slice(signatures);
        chunk.extend(buckets.into_iter().map(|bucket| self.last.insert(bucket, at).unwrap_or(NONE)));
        self.rows += 1;
    }
}

/// The least count of `permutations` that is a share of at least `threshold`. Not the product rounded up: 0.55 of
/// 100 is 55.000000000000007 in floating point, while 55/100 is the number that 0.55 is written for.
fn wanted(permutations: usize, threshold: f64) -> usize {
    (0..=permutations).find(|count| *count as f64 / permutations as f64 >= threshold).unwrap_or(permutations)
}

/// The longest bands, so the fewest chance meetings, that still find a pair at the threshold; `None` where none do.
fn band(permutations: usize, threshold: f64) -> Option<usize> {
    (1..=permutations).take_while(|rows| recall(permutations, threshold, *rows) >= RECALL).last()
}

/// How often a pair exactly at the threshold meets in a band of `rows`.
fn recall(permutations: usize, threshold: f64, rows: usize) -> f64 {
    1.0 - (1.0 - threshold.powi(rows as i32)).powi((permutations / rows) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_as_long_as_recall_allows() {
        // 21 bands of 6: 1 - (1 - 0.8^6)^21 = 0.998; 18 bands of 7: 0.986.
        assert_eq!(band(128, 0.8), Some(6));
        assert_eq!(band(128, 1.0), Some(128));
    }

    #[test]
    fn a_pair_at_any_threshold_is_compared_in_99_of_100_cases() {
        for permutations in [16, 100, 128, 1024] {
            for threshold in (1..=1000).map(|n| f64::from(n) / 1000.0) {
                if let Some(rows) = band(permutations, threshold) {
                    assert!(recall(permutations, threshold, rows) >= 0.99, "{threshold} of {permutations}");
                }
            }
        }
        // 1 - (1 - 0.035)^128 = 0.9895.
        assert_eq!(band(128, 0.035), None);
        let mut index = Index::new(1, 128, 0.03);
        let row = |from: u32| (from..from + 128).collect::<Vec<u32>>();
        index.insert(&row(0), 0);
        // Four of 128 are 0.031: found wherever they stand. Three are 0.023.
        let sharing = |n: usize| {
            row(0).into_iter().enumerate().map(move |(i, x)| if i % 32 == 5 && i < 32 * n { x } else { x + 500 })
        };
        assert!(index.finds(&sharing(4).collect::<Vec<_>>(), 0));
        assert!(!index.finds(&sharing(3).collect::<Vec<_>>(), 0));
    }

    #[test]
    fn a_share_of_permutations_is_exactly_the_threshold_as_it_is_written() {
        for permutations in 16..=1024_usize {
            for percent in 1..=100_usize {
                let threshold: f64 = format!("0.{percent:02}").parse().unwrap();
                let threshold = if percent == 100 { 1.0 } else { threshold };
                let exact = (percent * permutations).div_ceil(100);
                assert_eq!(wanted(permutations, threshold), exact, "{threshold} of {permutations}");
            }
        }
    }

    #[test]
    fn rows_are_similar_when_every_column_is_and_their_labels_are_one() {
        let column = |seed: u64| (0..64).map(|i| hash::mix(seed << 8 | i) as u32).collect::<Vec<u32>>();
        let mut index = Index::new(2, 64, 0.8);
        index.insert(&[column(1), column(2)].concat(), 3);
        assert!(index.finds(&[column(1), column(2)].concat(), 3));
        assert!(!index.finds(&[column(1), column(2)].concat(), 4));
        assert!(!index.finds(&[column(1), column(9)].concat(), 3));
        assert!(!index.finds(&[column(2), column(1)].concat(), 3));
    }

    #[test]
    fn similar_is_what_agrees_in_the_share_asked_for() {
        let base: Vec<u32> = (0..100).collect();
        let differing = |n: u32| base.iter().map(|x| if *x < n { x + 1000 } else { *x }).collect::<Vec<_>>();
        let mut index = Index::new(1, 100, 0.8);
        index.insert(&base, 0);
        assert!(index.finds(&differing(20), 0));
        assert!(!index.finds(&differing(21), 0));
        assert!(!Index::new(1, 100, 0.8).finds(&base, 0));
    }

    #[test]
    fn every_row_of_a_bucket_is_compared_however_many_follow_it() {
        // All agree in the first band and, but for their own copies, in little else.
        let row = |n: u32| (0..128).map(|i| if i < 6 { i } else { hash::mix(u64::from(n << 8 | i)) as u32 }).collect();
        let rows: Vec<Vec<u32>> = (0..3_000).map(row).collect();
        let mut index = Index::new(1, 128, 0.8);
        for row in &rows {
            assert!(!index.finds(row, 0));
            index.insert(row, 0);
        }
        for at in [0, 1, 1_023, 1_024, 2_047, 2_999] {
            let mut near = rows[at].clone();
            near.iter_mut().skip(6).step_by(6).for_each(|x| *x ^= 1);
            assert!(index.finds(&near, 0), "row {at}");
        }
    }

    #[test]
    fn a_row_takes_between_one_and_one_and_a_half_kib() {
        let mut index = Index::new(1, 128, 0.8);
        for n in 1..=40_000u64 {
            let signature: Vec<u32> = (0..128).map(|i| hash::mix(n << 8 | i) as u32).collect();
            index.insert(&signature, 0);
            if n % 1024 == 0 && n > 4096 {
                let rows: usize = index.chunks.iter().map(|chunk| chunk.capacity() * 4).sum();
                // A place of the table is a key, a row and a byte; it has eight for seven that it says it can fill.
                let buckets = index.last.capacity() / 7 * 8 * 17;
                let each = (rows + buckets) / n as usize;
                assert!((1_000..1_500).contains(&each), "{each} bytes for each of {n} rows");
            }
        }
    }
}
