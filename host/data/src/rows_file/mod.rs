//! A file of prepared rows: written as a stream, read through a memory map.
//!
//! ```text
//! retune-rows 4          16 bytes
//! SHA-256 of what follows  32 bytes
//! rows                   a head of fixed size each, then ids, extra columns, ranges, tags, labels or numbers, segments, key; padded to 4 bytes
//! offsets                u64 for each row, and one for the end of the last
//! head                   JSON: key, file, account, labels as they appeared
//! trailer                number of rows, place of the offsets, place of the head (u64 each)
//! ```
//!
//! All numbers are little-endian. Labels are numbered in the order in which they appear, and [`RowsFile::labels`] says
//! what they are: which class a label is, is decided by who reads. A file is written under another name, synced and
//! renamed, so it is there whole or not at all; one that is damaged all the same is noticed when it is opened, because
//! checksum, key and every row's size are checked. Ranges of learnt tokens are written only where they are not one range
//! up to the end, whose first token stands in the head, and tags where a row has them. Price: 76 bytes for a row and four for a token on disk, and one
//! pass over the file when it is opened.

mod reader;
mod row_head;
mod writer;

use std::fs::File;
use std::io::Result;
use std::path::Path;

use memmap2::Mmap;
use serde::{Deserialize, Serialize};

use crate::dropped::Dropped;

pub(crate) use reader::{Opened, RowsFile};
pub(crate) use row_head::RowHead;
pub(crate) use writer::RowsWriter;

const MAGIC: &[u8; 16] = b"retune-rows 4\n\0\0";
const START: usize = 48;
const TRAILER: usize = 24;

/// What is known of a source besides its rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Rows in the file.
    pub read: u64,
    /// Rows left out by `limit_per_label`.
    pub limited: u64,
    /// Rows that stages added.
    pub added: u64,
    /// Rows that stages dropped.
    pub dropped: Vec<Dropped>,
}

/// A label, and the first row that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FoundLabel {
    pub name: String,
    /// Key of the row.
    pub first: String,
}

#[derive(Serialize, Deserialize)]
struct Head {
    key: String,
    file: String,
    account: Account,
    labels: Vec<FoundLabel>,
}

/// How the names of files begin that are being written.
pub(crate) const WRITING: &str = ".writing-";

fn map(file: &File) -> Result<Mmap> {
    // SAFETY: the file is written once, under a name of its own, before it is mapped. Who cuts a file of the cache short
    // while a run reads it ends the run; nothing here can give such a file to other code as anything but bytes.
    unsafe { Mmap::map(file) }
}

/// Marks a file as used; the cache lets go first what was not used for longest. One that cannot be marked is only
/// made anew sooner.
pub(crate) fn touch(path: &Path) {
    let _ = File::options().append(true).open(path).and_then(|file| file.set_modified(std::time::SystemTime::now()));
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests;
