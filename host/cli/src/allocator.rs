//! Memory that a step gives back is asked for again by the next.
//!
//! glibc returns large buffers to the system when they are freed, so that every step would fault the same
//! pages in again: a twelfth of the CPU time of a MiniLM step (BENCHMARKS.md). The process keeps them instead.
//! Price: memory that the largest step needed stays with the process until it ends.

/// Keeps freed memory for the next step; does nothing where the C library is not glibc.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// From where on a buffer gets pages of its own: 1 GiB, so that those of a step do not.
        const OWN_PAGES_FROM: libc::c_int = 1 << 30;
        /// How much may lie unused at the end of the heap before it is given back.
        const UNUSED_AT_MOST: libc::c_int = libc::c_int::MAX;
        // SAFETY: mallopt only sets numbers of the allocator. A value it does not know is refused, and
        // memory is then managed as it was: slower, not wrong.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES_FROM);
            libc::mallopt(libc::M_TRIM_THRESHOLD, UNUSED_AT_MOST);
        }
    }
}
