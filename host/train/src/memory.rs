//! What becomes of memory that is freed.
//!
//! A step allocates and frees the same sizes as the step before. glibc gives blocks of more than 128 KiB back to the system at
//! once, which then has to fault every page in again and clear it.

/// Lets this process keep freed blocks of up to 32 MiB for the next step, where the C library is glibc; elsewhere nothing.
///
/// Called once, at the start of a program. Price: up to [`KEPT`] bytes at the top of the heap stay with the process.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn mallopt(parameter: i32, value: i32) -> i32;
        }
        const TRIM_THRESHOLD: i32 = -1;
        const MMAP_THRESHOLD: i32 = -3;
        // SAFETY: `mallopt` takes two numbers, and says with its result whether it knows the parameter.
        unsafe {
            mallopt(MMAP_THRESHOLD, LARGEST);
            mallopt(TRIM_THRESHOLD, KEPT);
        }
    }
}

/// The largest block that is kept; glibc takes no more.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGEST: i32 = 32 << 20;

/// Free memory at the top of the heap that is not given back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: i32 = 256 << 20;
