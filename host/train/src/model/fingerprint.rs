//! A digest of a tensor's bytes.

use retune_tensor::{AnyTensor, TensorError};
use sha2::{Digest, Sha256};

/// Values that are copied at a time.
const PIECE: usize = 1 << 20;

/// SHA-256 over little-endian float32.
pub(super) fn of(values: &[f32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    add(&mut hash, values);
    hash.finalize().into()
}

/// The same of a tensor, of which a piece at a time is copied to the host.
///
/// # Errors
/// When it cannot be read back.
pub(super) fn of_tensor(value: &AnyTensor) -> Result<[u8; 32], TensorError> {
    let (flat, length, mut hash) = (value.reshape(&[-1])?, value.numel() as i64, Sha256::new());
    for start in (0..length).step_by(PIECE) {
        let end = (start + PIECE as i64).min(length);
        add(&mut hash, &flat.slice(0, start, end, 1)?.to_float32()?);
    }
    Ok(hash.finalize().into())
}

fn add(hash: &mut Sha256, values: &[f32]) {
    let mut buffer = [0; 4 * 1024];
    for chunk in values.chunks(1024) {
        for (bytes, value) in buffer.chunks_exact_mut(4).zip(chunk) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        hash.update(&buffer[..4 * chunk.len()]);
    }
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
