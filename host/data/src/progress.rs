//! How far the reading of a file has come.

use crate::spec::SplitName;

/// How far the reading of a file has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataProgress {
    /// The split it is read for.
    pub split: SplitName,
    /// The file's name.
    pub file: String,
    /// Bytes taken from it.
    pub bytes_read: u64,
    /// Its length.
    pub bytes_total: u64,
    /// Rows that came through so far.
    pub rows: u64,
}
