//! What this machine has: processors, memory, directories.

use std::path::PathBuf;

use retune_data::cache::DEFAULT_LIMIT;
use retune_recipe::diagnostic::{Diagnostic, Result};

use crate::manifest::Hardware;
use crate::words::parse_bytes;

/// Processors this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Bytes of memory in all, and bytes free for new work, where Linux says.
pub fn memory() -> Option<(u64, u64)> {
    retune_train::memory::of_machine()
}

/// Most memory this process ever held, in bytes, where Linux says.
pub fn peak_memory() -> Option<u64> {
    retune_train::memory::field(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The processor's own name, where Linux says.
pub fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// For the manifest.
pub fn hardware(device: String) -> Hardware {
    Hardware {
        device,
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        cores: cores(),
        memory: memory().map(|(total, _)| total),
    }
}

/// Where prepared data and compiled plugins are kept: `RETUNE_CACHE`, else the
/// user's cache directory; none when neither is known.
pub fn cache_directory() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(directory) = set("RETUNE_CACHE") {
        return Some(directory);
    }
    let base = if cfg!(windows) {
        set("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        set("HOME").map(|home| home.join("Library/Caches"))
    } else {
        set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))
    };
    base.map(|base| base.join("retune"))
}

/// How many bytes of prepared rows are kept: `RETUNE_CACHE_SIZE`, else 10 GiB.
///
/// # Errors
/// The variable holds no size.
pub fn cache_limit() -> Result<u64> {
    let Some(text) = std::env::var("RETUNE_CACHE_SIZE").ok().filter(|text| !text.is_empty()) else {
        return Ok(DEFAULT_LIMIT);
    };
    parse_bytes(&text).map_err(|e| Diagnostic::new(format!("RETUNE_CACHE_SIZE is `{text}`: {e}")))
}
