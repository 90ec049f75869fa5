//! What stands at a path where a file is wanted.
//!
//! Files are read from their beginning, more than once, and measured before. What cannot be so read (a pipe, which would
//! wait for its writer; a device, which has no end) is told as what it is, before it is opened.

use std::fs::{FileType, metadata};
use std::path::Path;

/// What stands at `path`, in words, when it is something else than a file: `a named pipe`. Links are followed; `None` too
/// where nothing is there or can be seen.
pub fn no_file(path: &Path) -> Option<&'static str> {
    let kind = metadata(path).ok()?.file_type();
    match kind {
        kind if kind.is_file() => None,
        kind if kind.is_dir() => Some("a folder"),
        kind => Some(special(kind)),
    }
}

#[cfg(unix)]
fn special(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "something else",
    }
}

#[cfg(not(unix))]
fn special(_: FileType) -> &'static str {
    "something else"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn what_is_no_file_is_told_as_what_it_is() {
        assert_eq!(no_file(Path::new("/dev/zero")), Some("a device"));
        assert_eq!(no_file(Path::new("/")), Some("a folder"));
        assert_eq!(no_file(Path::new("/no/such/thing")), None);
        assert_eq!(no_file(Path::new("Cargo.toml")), None);
    }
}
