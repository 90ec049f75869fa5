//! What goes between the host and the device that tensors live on, counted.
//!
//! On a GPU a piece that is sent costs some ten microseconds beside its bytes, and one that is read back makes the host wait for
//! all that was asked of the device before. So both are counted where they happen, also on the CPU, where nothing moves: with
//! [`Portable`](crate::device::Portable) a machine without a GPU can say what a step would transfer. Counts are the thread's own.
//!
//! Price: two additions a piece.

use std::cell::Cell;
use std::ops::Sub;

/// Pieces and bytes, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfers {
    /// Pieces that were sent to the device.
    pub sends: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Pieces that were read back.
    pub reads: u64,
    /// Their bytes.
    pub read_bytes: u64,
}

impl Sub for Transfers {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            sends: self.sends - earlier.sends,
            sent_bytes: self.sent_bytes - earlier.sent_bytes,
            reads: self.reads - earlier.reads,
            read_bytes: self.read_bytes - earlier.read_bytes,
        }
    }
}

thread_local! {
    static TOTAL: Cell<Transfers> = const {
        Cell::new(Transfers { sends: 0, sent_bytes: 0, reads: 0, read_bytes: 0 })
    };
}

/// Counts a piece of `count` values of type `E` that goes to a device.
pub fn sent<E>(count: usize) {
    let mut total = so_far();
    total.sends += 1;
    total.sent_bytes += (count * size_of::<E>()) as u64;
    TOTAL.set(total);
}

/// Counts a piece that comes back.
pub(crate) fn read(bytes: u64) {
    let mut total = so_far();
    total.reads += 1;
    total.read_bytes += bytes;
    TOTAL.set(total);
}

/// All that this thread has transferred.
pub fn so_far() -> Transfers {
    TOTAL.get()
}
