//! Hashes that are the same on every machine and in every run.

use std::hash::{BuildHasherDefault, Hasher};

/// For tables whose keys are hashes already.
pub type Hashed = BuildHasherDefault<Passed>;

/// Takes a `u64` for what it is: a hash.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed(u64);

impl Hasher for Passed {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = text(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// FNV-1a (Fowler, Noll, Vo), finished with [`mix`].
pub fn text(bytes: &[u8]) -> u64 {
    mix(bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)))
}

/// The finaliser of SplitMix64 (Steele et al. 2014): every bit depends on every bit.
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Numbers without end, a function of the seed.
pub fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    (1u64..).map(move |i| mix(seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15))))
}
