//! Small files that are read whole: never more than a limit, and nothing that is no file. A pipe would be waited for, and a
//! device read, without end.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// More than a `config.json` has, label names of a hundred thousand classes included.
pub(crate) const LARGEST_CONFIG: u64 = 16 << 20;

/// More than the index of a checkpoint of a hundred thousand tensors has.
pub(crate) const LARGEST_INDEX: u64 = 64 << 20;

/// The bytes of a file that has at most `limit` of them.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let length = std::fs::metadata(path)?.len();
        return Err(refused(format!("it has {length} bytes, expected at most {limit}")));
    }
    Ok(bytes)
}

/// Opens what is a file, without waiting.
pub(crate) fn open(path: &Path) -> Result<File> {
    match std::fs::metadata(path)? {
        kind if kind.is_file() => File::open(path),
        kind if kind.is_dir() => Err(refused("it is a directory, expected a file".to_owned())),
        _ => Err(refused("it is a pipe, a socket or a device, expected a file".to_owned())),
    }
}

fn refused(reason: String) -> Error {
    Error::new(ErrorKind::InvalidInput, reason)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_no_file_or_a_larger_one_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().to_string(), "it has 5 bytes, expected at most 4");
        let error = read(directory.path(), 5).unwrap_err().to_string();
        assert_eq!(error, "it is a directory, expected a file");
        if cfg!(unix) {
            let error = read(Path::new("/dev/zero"), 5).unwrap_err().to_string();
            assert_eq!(error, "it is a pipe, a socket or a device, expected a file");
        }
    }
}
