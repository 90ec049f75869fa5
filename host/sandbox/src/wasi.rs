//! A WASI with nothing in it, for one instance; [`crate::wasi_host`] links it.
//!
//! There are no files, no environment, no arguments and no input. Time stands still, chance is a function of
//! the seed, and what the guest prints is kept (the last [`KEPT`] bytes) for the message of a trap: a Rust panic says
//! there what went wrong.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

/// Bytes of the guest's output that are kept.
const KEPT: usize = 16 << 10;

/// Bytes of randomness before it repeats.
const CHANCE: usize = 4 << 10;

/// A context that grants nothing. `seed` is where its randomness comes from.
pub(crate) fn empty(seed: u64) -> WasiCtx {
    WasiCtxBuilder::new()
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .wall_clock(Frozen)
        .monotonic_clock(Frozen)
        .secure_random(Deterministic::new(chance(seed, b"secure")))
        .insecure_random(Deterministic::new(chance(seed, b"insecure")))
        .insecure_random_seed(u128::from(seed))
        .max_random_size(1 << 20)
        .build()
}

fn chance(seed: u64, purpose: &[u8]) -> Vec<u8> {
    (0..CHANCE / 32)
        .flat_map(|block| {
            let mut hash = Sha256::new();
            hash.update(seed.to_le_bytes());
            hash.update(purpose);
            hash.update((block as u64).to_le_bytes());
            <[u8; 32]>::from(hash.finalize())
        })
        .collect()
}

/// Time that stands still, but not at zero: Go's runtime takes a zero clock for a broken one.
pub(crate) struct Frozen;

/// 1 January 2025, 00:00 UTC.
const NOW: Duration = Duration::from_secs(1_735_689_600);

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }
    fn now(&self) -> Duration {
        NOW
    }
}

impl HostMonotonicClock for Frozen {
    fn resolution(&self) -> u64 {
        1
    }
    fn now(&self) -> u64 {
        1_000_000_000
    }
}

/// What the guest printed last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Printed(Arc<Mutex<VecDeque<u8>>>);

impl Printed {
    pub(crate) fn write(&self, text: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(&text[text.len().saturating_sub(KEPT)..]);
        let excess = kept.len().saturating_sub(KEPT);
        kept.drain(..excess);
    }

    /// Takes what is there.
    pub(crate) fn take(&self) -> String {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.drain(..).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_long_output_is_kept() {
        let printed = Printed::default();
        printed.write(&vec![b'a'; KEPT * 3]);
        printed.write(b"the end");
        let text = printed.take();
        assert_eq!(text.len(), KEPT);
        assert!(text.ends_with("the end"));
        assert_eq!(printed.take(), "");
    }

    #[test]
    fn chance_depends_on_the_seed_alone() {
        assert_eq!(chance(7, b"secure"), chance(7, b"secure"));
        assert_ne!(chance(7, b"secure"), chance(8, b"secure"));
        assert_ne!(chance(7, b"secure"), chance(7, b"insecure"));
        assert_eq!(chance(7, b"secure").len(), CHANCE);
    }
}
