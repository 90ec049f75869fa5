//! A digest of a tensor's bytes.

use sha2::{Digest, Sha256};

/// SHA-256 over little-endian float32.
pub(super) fn of(values: &[f32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut buffer = Vec::with_capacity(4 * 4096);
    for chunk in values.chunks(4096) {
        buffer.clear();
        chunk.iter().for_each(|x| buffer.extend_from_slice(&x.to_le_bytes()));
        hash.update(&buffer);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_sha256_of_the_little_endian_bytes() {
        // printf '\0\0\200\077' | sha256sum
        let hex = retune_roles::digest::hex(&of(&[1.0]));
        assert_eq!(hex, "e00e5eb9444182f352323374ef4e08ebcb784725fdd4fd612d7730540b3e0c8c");
        assert_ne!(of(&[0.0]), of(&[-0.0]));
    }
}
