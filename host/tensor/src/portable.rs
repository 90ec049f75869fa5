//! Whether the CPU uses kernels of its own, or computes as every other device does.
//!
//! What training spends its time in is written twice: for the CPU, and as operations of burn for other devices. While a
//! [`Portable`] lives, the CPU too runs the second way, so that tests and `retune self-check` reach it on a machine
//! without a GPU, and a GPU can be compared with it.
//!
//! The choice is the process's. State that is kept between steps lies where the way wants it: a run goes one way from
//! beginning to end. Price: one relaxed load a kernel.

use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::Device;

/// How many guards there are.
static GUARDS: AtomicUsize = AtomicUsize::new(0);

/// While one lives, the CPU computes with the operations that other devices run.
#[derive(Debug)]
pub struct Portable(());

impl Portable {
    /// From now on, for all threads.
    #[allow(clippy::new_without_default, reason = "making one changes how the process computes")]
    pub fn new() -> Self {
        GUARDS.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Portable {
    fn drop(&mut self) {
        GUARDS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether a [`Portable`] lives.
#[inline]
pub fn portable() -> bool {
    GUARDS.load(Ordering::Relaxed) > 0
}

/// Whether tensors of `device` lie in this process's memory and are worked on there by kernels of our own.
pub fn is_host(device: &Device) -> bool {
    !portable() && device.clone().inner() == Device::flex()
}
