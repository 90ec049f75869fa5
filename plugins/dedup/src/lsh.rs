//! Finds similar signatures without comparing all pairs (Indyk and Motwani 1998;
//! banding after Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4).
//!
//! A signature is cut into bands; two signatures that agree in all rows of one band meet in
//! its bucket and are then compared in full. With `b` bands of `r` rows a pair of similarity
//! `s` meets with probability `1 - (1 - s^r)^b`.

use std::collections::HashMap;

use crate::hash::{self, Hashed};

/// How surely a pair exactly at the threshold has to be found.
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
    permutations: usize,
    rows: usize,
    threshold: f64,
    /// A row's signature, and behind it the earlier row of each band's bucket.
    chunks: Vec<Vec<u32>>,
    last: HashMap<u64, u32, Hashed>,
}

impl Index {
    /// For signatures of `permutations` numbers; similar means that a share of `threshold` agrees.
    pub fn new(permutations: usize, threshold: f64) -> Self {
        let rows = rows(permutations, threshold);
        Self { permutations, rows, threshold, chunks: Vec::new(), last: HashMap::default() }
    }

    /// The bucket of each band.
    fn bands(&self, signature: &[u32]) -> Vec<u64> {
        let band = |(i, rows): (usize, &[u32])| {
            rows.iter().fold(hash::mix(i as u64 + 1), |hash, row| hash::mix(hash ^ u64::from(*row)))
        };
        signature.chunks_exact(self.rows).enumerate().map(band).collect()
    }

    /// What is kept of a row: as many numbers.
    fn width(&self) -> usize {
        self.permutations + self.permutations / self.rows
    }

    /// A row's signature, and its predecessors.
    fn row(&self, at: u32) -> (&[u32], &[u32]) {
        let (chunk, row) = (at as usize / CHUNK, at as usize % CHUNK);
        self.chunks[chunk][row * self.width()..][..self.width()].split_at(self.permutations)
    }

    /// Whether something similar has been inserted.
    pub fn finds(&self, signature: &[u32]) -> bool {
        let wanted = (self.threshold * self.permutations as f64).ceil() as usize;
        let similar = |at: u32| signature.iter().zip(self.row(at).0).filter(|(a, b)| a == b).count() >= wanted;
        self.bands(signature).iter().enumerate().any(|(band, bucket)| {
            let newest = self.last.get(bucket).copied();
            std::iter::successors(newest, |at| Some(self.row(*at).1[band]).filter(|at| *at != NONE)).any(similar)
        })
    }

    /// Remembers a signature.
    pub fn insert(&mut self, signature: &[u32]) {
        let full = self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK * self.width());
        if full {
            self.chunks.push(Vec::with_capacity(CHUNK * self.width()));
        }
        let (before, width) = ((self.chunks.len() - 1) * CHUNK, self.width());
        let bands = self.bands(signature);
        let Some(chunk) = self.chunks.last_mut() else { return };
        let at = (before + chunk.len() / width) as u32;
        chunk.extend_from_slice(signature);
        chunk.extend(bands.into_iter().map(|band| self.last.insert(band, at).unwrap_or(NONE)));
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.last.clear();
    }
}

/// The longest bands, so the fewest chance meetings, that still find a pair at the threshold.
fn rows(permutations: usize, threshold: f64) -> usize {
    let found = |rows: usize| {
        let bands = (permutations / rows) as i32;
        1.0 - (1.0 - threshold.powi(rows as i32)).powi(bands)
    };
    (1..=permutations).take_while(|rows| found(*rows) >= RECALL).last().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_as_long_as_recall_allows() {
        // 21 bands of 6: 1 - (1 - 0.8^6)^21 = 0.998; 18 bands of 7: 0.986.
        assert_eq!(rows(128, 0.8), 6);
        assert_eq!(rows(128, 1.0), 128);
    }

    #[test]
    fn similar_is_what_agrees_in_the_share_asked_for() {
        let base: Vec<u32> = (0..100).collect();
        let differing = |n: u32| base.iter().map(|x| if *x < n { x + 1000 } else { *x }).collect::<Vec<_>>();
        let mut index = Index::new(100, 0.8);
        index.insert(&base);
        assert!(index.finds(&differing(20)));
        assert!(!index.finds(&differing(21)));
        index.clear();
        assert!(!index.finds(&base));
    }

    #[test]
    fn every_row_of_a_bucket_is_compared_however_many_follow_it() {
        // All agree in the first band and, but for their own copies, in little else.
        let row = |n: u32| (0..128).map(|i| if i < 6 { i } else { hash::mix(u64::from(n << 8 | i)) as u32 }).collect();
        let rows: Vec<Vec<u32>> = (0..3_000).map(row).collect();
        let mut index = Index::new(128, 0.8);
        for row in &rows {
            assert!(!index.finds(row));
            index.insert(row);
        }
        for at in [0, 1, 1_023, 1_024, 2_047, 2_999] {
            let mut near = rows[at].clone();
            near.iter_mut().skip(6).step_by(6).for_each(|x| *x ^= 1);
            assert!(index.finds(&near), "row {at}");
        }
    }

    #[test]
    fn a_row_takes_between_one_and_one_and_a_half_kib() {
        let mut index = Index::new(128, 0.8);
        for n in 1..=40_000u64 {
            let signature: Vec<u32> = (0..128).map(|i| hash::mix(n << 8 | i) as u32).collect();
            index.insert(&signature);
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
