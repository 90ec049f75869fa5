//! A digest of a tensor's bytes.

use sha2::{Digest, Sha256};

/// SHA-256 over little-endian float32.
pub(super) fn of(values: &[f32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut buffer = [0; 4 * 1024];
    for chunk in values.chunks(1024) {
        for (bytes, value) in buffer.chunks_exact_mut(4).zip(chunk) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        hash.update(&buffer[..4 * chunk.len()]);
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
