//! How much memory there is, and what becomes of what is freed.
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

/// Gives back to the system what was freed and kept. Called between two parts of a program that allocate other sizes: what
/// threads freed that prepared data is of no use to the thread that trains.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> i32;
        }
        // SAFETY: it frees nothing that is in use.
        unsafe {
            malloc_trim(0);
        }
    }
}

/// Makes the calling thread, the one that is going to train, one of the threads that compute.
///
/// Otherwise each forward and backward pass runs on whichever thread of the pool is free, and takes its memory from that
/// thread's own heap: what one step frees in one heap, the next asks of another, and both stay with the process (a sixth of the
/// peak of SmolLM2-135M on two threads). Called once, before anything is computed; does nothing where a pool is there
/// already, or where one thread is to compute: that one must stay free for whoever asks while the caller waits.
pub fn compute_here() {
    let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|count| count.parse().ok()).filter(|count| *count > 0);
    let threads = asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    if threads > 1 {
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build_global();
    }
}

/// Bytes of memory in all, and bytes free for new work, where Linux says.
pub fn of_machine() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    Some((field(&text, "MemTotal:")?, field(&text, "MemAvailable:")?))
}

/// Bytes that processes can use at most, swap included, where Linux says.
pub fn usable() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    Some(field(&text, "MemTotal:")?.saturating_add(field(&text, "SwapTotal:").unwrap_or(0)))
}

/// A line of `/proc` in kB, as bytes.
pub fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The largest block that is kept; glibc takes no more.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGEST: i32 = 32 << 20;

/// Free memory at the top of the heap that is not given back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: i32 = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_system_is_read_as_bytes() {
        assert_eq!(field("MemTotal:       16 kB\nMemAvailable: 8 kB\n", "MemAvailable:"), Some(8192));
        assert_eq!(field("MemTotal: x kB", "MemTotal:"), None);
    }
}
