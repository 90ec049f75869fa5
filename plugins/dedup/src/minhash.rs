//! Signatures whose agreement estimates similarity (Broder 1997).
//!
//! For a random permutation of all shingles, the smallest of one set equals the smallest of
//! another with the probability of their Jaccard similarity. `n` permutations make a signature of
//! `n` numbers, and the share in which two agree estimates it with a standard error of √(s(1-s)/n).

use std::collections::HashSet;

use crate::Unit;
use crate::hash::{self, Hashed};

/// 2⁶¹ - 1, prime: `(a x + b) mod p` stands in for a permutation (Carter and Wegman 1979).
const PRIME: u64 = (1 << 61) - 1;

/// The permutations.
#[derive(Debug)]
pub struct MinHash {
    permutations: Vec<(u64, u64)>,
}

impl MinHash {
    /// So many permutations, a function of the seed.
    pub fn new(permutations: usize, seed: u64) -> Self {
        let mut numbers = hash::numbers(seed);
        let mut next = || numbers.next().unwrap_or_default();
        Self { permutations: (0..permutations).map(|_| (1 + next() % (PRIME - 1), next() % PRIME)).collect() }
    }

    /// The signature of a set of shingles.
    pub fn signature(&self, shingles: &HashSet<u64, Hashed>) -> Vec<u32> {
        let least = |(a, b): &(u64, u64)| shingles.iter().map(|x| remainder(*a, x % PRIME, *b)).min().unwrap_or(PRIME);
        // The upper half: four bytes tell as much as eight here.
        self.permutations.iter().map(|permutation| (least(permutation) >> 29) as u32).collect()
    }
}

/// `(a x + b) mod (2⁶¹ - 1)`.
fn remainder(a: u64, x: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(x) + u128::from(b);
    let folded = (wide & u128::from(PRIME)) as u64 + (wide >> 61) as u64;
    let folded = (folded & PRIME) + (folded >> 61);
    if folded >= PRIME { folded - PRIME } else { folded }
}

/// Hashes of all runs of `size` units; of the whole text, where it is shorter.
pub fn shingles(text: &str, unit: Unit, size: usize) -> HashSet<u64, Hashed> {
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
        return std::iter::once(hash::text(text.as_bytes())).collect();
    }
    bounds.windows(size).map(|run| hash::text(&text.as_bytes()[run[0].0..run[size - 1].1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_agreement_is_the_jaccard_similarity() {
        let minhash = MinHash::new(1024, 3);
        // 300 shared of 500: 0.6. The standard error over 1024 permutations is 0.0153.
        let set = |range: std::ops::Range<u64>| range.map(hash::mix).collect::<HashSet<u64, Hashed>>();
        let (a, b) = (minhash.signature(&set(0..400)), minhash.signature(&set(100..500)));
        let agree = a.iter().zip(&b).filter(|(x, y)| x == y).count() as f64 / 1024.0;
        assert!((agree - 0.6).abs() < 4.0 * 0.0153, "{agree}");
    }

    #[test]
    fn the_remainder_is_what_it_would_be_in_wide_arithmetic() {
        for (a, x, b) in [(1, 0, 0), (PRIME - 1, PRIME - 1, PRIME - 1), (1 << 60, 12345, 99), (987654321, PRIME - 2, 5)]
        {
            let wide = (u128::from(a) * u128::from(x) + u128::from(b)) % u128::from(PRIME);
            assert_eq!(u128::from(remainder(a, x, b)), wide);
        }
    }

    #[test]
    fn shingles_are_all_runs_and_short_texts_are_one() {
        assert_eq!(shingles("abcdef", Unit::Char, 3).len(), 4);
        assert_eq!(shingles("ab", Unit::Char, 3).len(), 1);
        assert_eq!(shingles("äöüß", Unit::Char, 2).len(), 3);
        assert_eq!(shingles("a b c a b", Unit::Word, 2).len(), 3);
        assert_eq!(shingles("", Unit::Char, 5).len(), 1);
    }
}
