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

/// The signatures seen so far.
#[derive(Debug)]
pub struct Index {
    permutations: usize,
    rows: usize,
    threshold: f64,
    signatures: Vec<u32>,
    buckets: HashMap<u64, Vec<u32>, Hashed>,
}

impl Index {
    /// For signatures of `permutations` numbers; similar means that a share of `threshold` agrees.
    pub fn new(permutations: usize, threshold: f64) -> Self {
        let rows = rows(permutations, threshold);
        Self { permutations, rows, threshold, signatures: Vec::new(), buckets: HashMap::default() }
    }

    /// The bucket of each band.
    fn bands(&self, signature: &[u32]) -> Vec<u64> {
        let band = |(i, rows): (usize, &[u32])| {
            rows.iter().fold(hash::mix(i as u64 + 1), |hash, row| hash::mix(hash ^ u64::from(*row)))
        };
        signature.chunks_exact(self.rows).enumerate().map(band).collect()
    }

    /// Whether something similar has been inserted.
    pub fn finds(&self, signature: &[u32]) -> bool {
        let wanted = (self.threshold * self.permutations as f64).ceil() as usize;
        let similar = |at: &u32| {
            let other = &self.signatures[*at as usize * self.permutations..][..self.permutations];
            signature.iter().zip(other).filter(|(a, b)| a == b).count() >= wanted
        };
        self.bands(signature).iter().filter_map(|band| self.buckets.get(band)).flatten().any(similar)
    }

    /// Remembers a signature.
    pub fn insert(&mut self, signature: &[u32]) {
        let at = (self.signatures.len() / self.permutations) as u32;
        for band in self.bands(signature) {
            self.buckets.entry(band).or_default().push(at);
        }
        self.signatures.extend_from_slice(signature);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.signatures.clear();
        self.buckets.clear();
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
}
