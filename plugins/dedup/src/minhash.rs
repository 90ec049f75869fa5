//! Signatures whose agreement estimates similarity (Broder 1997).
//!
//! For a random permutation of all shingles, the smallest of one set equals the smallest of
//! another with the probability of their Jaccard similarity. `n` permutations make a signature of
//! `n` numbers, and the share in which two agree estimates it with a standard error of √(s(1-s)/n).

use crate::Unit;
use crate::hash;

/// The permutations. Multiply-shift with an odd factor (Dietzfelbinger et al. 1997) stands in for
/// a random one: the shingles are well mixed hashes already, and it costs one multiplication.
#[derive(Debug)]
pub struct MinHash {
    permutations: Vec<(u64, u64)>,
}

impl MinHash {
    /// So many permutations, a function of the seed.
    pub fn new(permutations: usize, seed: u64) -> Self {
        let mut numbers = hash::numbers(seed);
        let mut next = || numbers.next().unwrap_or_default();
        Self { permutations: (0..permutations).map(|_| (next() | 1, next())).collect() }
    }

    /// The signature of a set of shingles; one that is named twice counts once.
    pub fn signature(&self, shingles: &[u64]) -> Vec<u32> {
        let place = |(a, b): &(u64, u64), x: &u64| (a.wrapping_mul(*x).wrapping_add(*b) >> 32) as u32;
        self.permutations
            .iter()
            .map(|permutation| shingles.iter().map(|x| place(permutation, x)).min().unwrap_or(u32::MAX))
            .collect()
    }
}

/// Hashes of all runs of `size` units; of the whole text, where it is shorter. The same run in another column is
/// another shingle.
pub fn shingles(text: &str, unit: Unit, size: usize, column: usize) -> Vec<u64> {
    let placed = |run: &str| match column {
        0 => hash::text(run.as_bytes()),
        column => hash::mix(hash::text(run.as_bytes()) ^ column as u64),
    };
    let bounds: Vec<(usize, usize)> = match unit {
        Unit::Char => text.char_indices().map(|(at, c)| (at, at + c.len_utf8())).collect(),
        Unit::Word => text
            .split_whitespace()
            .map(|word| {
                let from = word.as_ptr() as usize - text.as_ptr() as usize;
                (from, from + word.len())
            })
            .collect(),
    };
    if bounds.len() <= size {
        return vec![placed(text)];
    }
    bounds.windows(size).map(|run| placed(&text[run[0].0..run[size - 1].1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_agreement_is_the_jaccard_similarity() {
        let minhash = MinHash::new(1024, 3);
        // 300 shared of 500: 0.6. The standard error over 1024 permutations is 0.0153.
        let set = |range: std::ops::Range<u64>| range.map(hash::mix).collect::<Vec<u64>>();
        let (a, b) = (minhash.signature(&set(0..400)), minhash.signature(&set(100..500)));
        let agree = a.iter().zip(&b).filter(|(x, y)| x == y).count() as f64 / 1024.0;
        assert!((agree - 0.6).abs() < 4.0 * 0.0153, "{agree}");
    }

    #[test]
    fn a_shingle_that_occurs_twice_counts_once() {
        let minhash = MinHash::new(64, 3);
        assert_eq!(minhash.signature(&[7, 8, 7, 7]), minhash.signature(&[8, 7]));
    }

    #[test]
    fn shingles_are_all_runs_and_short_texts_are_one() {
        assert_eq!(shingles("abcdef", Unit::Char, 3, 0).len(), 4);
        assert_eq!(shingles("ab", Unit::Char, 3, 0).len(), 1);
        assert_eq!(shingles("äöüß", Unit::Char, 2, 0).len(), 3);
        assert_eq!(shingles("a b c a b", Unit::Word, 2, 0).len(), 4);
        assert_eq!(shingles("", Unit::Char, 5, 0).len(), 1);
        assert_ne!(shingles("abc", Unit::Char, 5, 0), shingles("abc", Unit::Char, 5, 1));
    }
}
