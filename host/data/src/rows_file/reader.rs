//! Reading a file of prepared rows where it is mapped into memory.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;
use sha2::{Digest, Sha256};
use tempfile::TempPath;

use super::row_head::{HEAD, RowHead};
use super::{Account, FoundLabel, Head, MAGIC, START, TRAILER, map, touch, u32_at, u64_at};
use crate::error::place;

/// What a look at a file found.
pub(crate) enum Opened {
    /// Rows that are what was written.
    Whole(RowsFile),
    /// No file.
    Absent,
    /// Something that is not what was written.
    Damaged,
}

/// Prepared rows in a mapped file.
pub(crate) struct RowsFile {
    pub(super) map: Mmap,
    pub(super) index: Index,
    /// Name of the source, as it stands in keys.
    pub(super) file: String,
    pub(super) account: Account,
    pub(super) labels: Vec<FoundLabel>,
    /// A file that goes with the value.
    #[allow(dead_code, reason = "held for its drop")]
    pub(super) temporary: Option<TempPath>,
}

#[derive(Clone, Copy)]
pub(super) struct Index {
    pub rows: usize,
    /// Where the offsets begin.
    pub offsets: usize,
}

impl RowsFile {
    /// Opens and checks the file at `path`, which must have been written for `key`.
    pub fn open(path: &Path, key: &str) -> Opened {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Opened::Absent,
            Err(_) => return Opened::Damaged,
        };
        touch(path);
        map(&file).ok().and_then(|map| Self::checked(map, key)).map_or(Opened::Damaged, Opened::Whole)
    }

    fn checked(map: Mmap, key: &str) -> Option<Self> {
        let body = map.get(START..)?;
        if !map.starts_with(MAGIC) || Sha256::digest(body).as_slice() != map.get(16..START)? {
            return None;
        }
        let trailer = map.len().checked_sub(TRAILER).filter(|at| *at >= START)?;
        let [rows, offsets, head_at] = [0, 8, 16].map(|at| u64_at(&map, trailer + at) as usize);
        if rows.checked_add(1)?.checked_mul(8)?.checked_add(offsets)? != head_at {
            return None;
        }
        let head: Head = serde_json::from_slice(map.get(head_at..trailer)?).ok()?;
        let index = Index { rows, offsets };
        let file = Self { map, index, file: head.file, account: head.account, labels: head.labels, temporary: None };
        (head.key == key && file.sizes_hold()).then_some(file)
    }

    /// Whether every row is as long as its head says, so that later reads stay inside.
    fn sizes_hold(&self) -> bool {
        let mut at = START;
        for row in 0..self.index.rows {
            let end = self.offset(row + 1);
            if self.offset(row) != at || end < at + HEAD || end > self.index.offsets {
                return false;
            }
            let head = self.head(row);
            let known = head.label.is_none_or(|label| (label as usize) < self.labels.len());
            if head.size() != (end - at) as u64 || !known {
                return false;
            }
            at = end;
        }
        at == self.index.offsets
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.index.rows
    }

    /// Where the rows came from and went.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The labels, in the order in which they appeared.
    pub fn labels(&self) -> &[FoundLabel] {
        &self.labels
    }

    fn offset(&self, row: usize) -> usize {
        u64_at(&self.map, self.index.offsets + 8 * row) as usize
    }

    /// A row without its tokens; `row` is below [`len`](Self::len).
    pub fn head(&self, row: usize) -> RowHead {
        let at = self.offset(row);
        RowHead::read(&self.map[at..at + HEAD])
    }

    /// Tokens of a row, cheaper than its head.
    pub fn tokens(&self, row: usize) -> u32 {
        u32_at(&self.map, self.offset(row) + 40)
    }

    /// Token ids from `from` on, at most `most`.
    pub fn ids(&self, row: usize, from: u32, most: u32) -> impl Iterator<Item = u32> + '_ {
        let at = self.offset(row) + HEAD;
        let end = self.tokens(row).min(from.saturating_add(most)) as usize;
        self.map[at + 4 * from as usize..at + 4 * end].chunks_exact(4).map(|bytes| u32_at(bytes, 0))
    }

    /// Segment of each token, or empty for all zero.
    pub fn segments(&self, row: usize) -> &[u8] {
        let head = self.head(row);
        let at = self.offset(row) + HEAD + head.numbers();
        &self.map[at..at + head.segments()]
    }

    /// The tokens that are learnt.
    pub fn learnt(&self, row: usize) -> Vec<Range<u32>> {
        let head = self.head(row);
        if head.ranges == 0 {
            return std::iter::once(head.first..head.tokens).filter(|range| !range.is_empty()).collect();
        }
        let at = self.offset(row) + HEAD + 4 * (head.tokens + head.extra) as usize;
        let bytes = &self.map[at..at + 8 * head.ranges as usize];
        bytes.chunks_exact(8).map(|pair| u32_at(pair, 0)..u32_at(pair, 4)).collect()
    }

    /// For each token its tag among [`labels`](Self::labels), with [`FURTHER`] for further pieces of a word, or a negative
    /// number for none; `None` for a row without tags.
    pub fn tags(&self, row: usize) -> Option<Vec<i32>> {
        let head = self.head(row);
        let at = self.offset(row) + HEAD + head.before_tags();
        let bytes = &self.map[at..at + 4 * head.tags()];
        head.tagged.then(|| bytes.chunks_exact(4).map(|bytes| u32_at(bytes, 0) as i32).collect())
    }

    /// The numbers among [`labels`](Self::labels) of a row that has any number of labels; `None` for another row.
    pub fn several_labels(&self, row: usize) -> Option<Vec<u32>> {
        let head = self.head(row);
        head.labelled.then(|| self.several(row, &head).collect())
    }

    /// The numbers that a row is to give; `None` for one that has none.
    pub fn values(&self, row: usize) -> Option<Vec<f32>> {
        let head = self.head(row);
        head.valued.then(|| self.several(row, &head).map(f32::from_bits).collect())
    }

    fn several(&self, row: usize, head: &RowHead) -> impl Iterator<Item = u32> + '_ {
        let at = self.offset(row) + HEAD + head.before_several();
        self.map[at..at + 4 * head.several as usize].chunks_exact(4).map(|bytes| u32_at(bytes, 0))
    }

    /// The extra columns.
    pub fn extra(&self, row: usize) -> Vec<f32> {
        let head = self.head(row);
        let at = self.offset(row) + HEAD + 4 * head.tokens as usize;
        let bytes = &self.map[at..at + 4 * head.extra as usize];
        bytes.chunks_exact(4).map(|bytes| f32::from_bits(u32_at(bytes, 0))).collect()
    }

    /// The row's key.
    pub fn key(&self, row: usize) -> String {
        let head = self.head(row);
        if head.plain_key() {
            return place(&self.file, head.line.unwrap_or(0));
        }
        let at = self.offset(row) + HEAD + head.numbers() + head.segments();
        String::from_utf8_lossy(&self.map[at..at + head.key as usize]).into_owned()
    }
}
