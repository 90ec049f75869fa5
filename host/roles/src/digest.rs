//! SHA-256 over named parts, in hex: equal digests, equal contents.
//!
//! Every part goes in with its length, so that none runs into the next.

use sha2::{Digest as _, Sha256};

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The SHA-256 of `bytes` alone, as `sha256sum` prints it.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A digest in the making.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    hash: Sha256,
    /// Bytes of numbers on their way; kept from part to part.
    buffer: Vec<u8>,
}

impl Digest {
    /// Adds a part with its name.
    #[must_use]
    pub fn part(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.add(name.as_bytes());
        self.add(value.as_ref());
        self
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.hash.update((bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }

    /// Adds numbers by their little-endian bytes, as one part.
    pub fn add_numbers<const N: usize>(&mut self, values: impl Iterator<Item = [u8; N]>) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        values.for_each(|value| buffer.extend_from_slice(&value));
        self.add(&buffer);
        self.buffer = buffer;
    }

    /// The digest, in hex.
    pub fn finish(self) -> String {
        hex(&self.hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_sha256_of_the_parts_and_their_lengths() {
        // printf '\1\0\0\0\0\0\0\0a\2\0\0\0\0\0\0\0bc' | sha256sum
        assert_eq!(Digest::default().part("a", "bc").finish(), sha256(b"\x01\0\0\0\0\0\0\0a\x02\0\0\0\0\0\0\0bc"),);
        // printf abc | sha256sum
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn parts_do_not_run_into_one_another() {
        let of = |name, value| Digest::default().part(name, value).finish();
        assert_ne!(of("a", "bc"), of("ab", "c"));
    }

    #[test]
    fn numbers_are_one_part() {
        let mut numbers = Digest::default();
        numbers.add_numbers([1_u16, 2].iter().map(|n| n.to_le_bytes()));
        let mut bytes = Digest::default();
        bytes.add(&[1, 0, 2, 0]);
        assert_eq!(numbers.finish(), bytes.finish());
    }
}
