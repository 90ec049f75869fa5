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

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Error, ErrorKind, Result, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempPath};

use crate::dropped::Dropped;
use crate::error::place;
use crate::row::{FURTHER, Row, Several, Tags};

const MAGIC: &[u8; 16] = b"retune-rows 4\n\0\0";
const START: usize = 48;
const TRAILER: usize = 24;
/// Bytes of a row's head.
const HEAD: usize = 76;

const HAS_LINE: u8 = 1;
const HAS_GROUP: u8 = 2;
const SEGMENTS: u8 = 4;
/// The key is file and line, and is not stored.
const PLAIN_KEY: u8 = 8;
const TRUNCATED: u8 = 16;
const DOUBLED_BOS: u8 = 32;
const EMPTY: u8 = 64;
const SEAM: u8 = 128;
/// In a second byte of flags.
const UNENDED: u8 = 1;
const CONTROL: u8 = 2;
const TAGS: u8 = 4;
const LABELS: u8 = 8;
const VALUES: u8 = 16;

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

/// A file in the making.
pub(crate) struct RowsWriter {
    out: BufWriter<NamedTempFile>,
    hash: Sha256,
    at: u64,
    offsets: Vec<u64>,
    file: String,
    labels: Vec<FoundLabel>,
    numbers: HashMap<String, u32>,
    buffer: Vec<u8>,
}

impl RowsWriter {
    /// Rows of the source named `file`, to be written into `directory`, or where temporary files go.
    pub fn new(directory: Option<&Path>, file: String) -> Result<Self> {
        let temporary = match directory {
            Some(directory) => {
                std::fs::create_dir_all(directory)?;
                NamedTempFile::with_prefix_in(WRITING, directory)?
            }
            None => NamedTempFile::with_prefix(WRITING)?,
        };
        let mut out = BufWriter::with_capacity(1 << 18, temporary);
        out.write_all(&[0; START])?;
        Ok(Self {
            out,
            hash: Sha256::new(),
            at: START as u64,
            offsets: vec![START as u64],
            file,
            labels: Vec::new(),
            numbers: HashMap::new(),
            buffer: Vec::new(),
        })
    }

    /// Rows written so far.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Adds one row.
    pub fn push(&mut self, row: &Row) -> Result<()> {
        if self.len() == u32::MAX as usize {
            return Err(Error::new(ErrorKind::FileTooLarge, "more rows than 32 bits can count"));
        }
        let label = row.label.as_ref().map(|label| self.number(label, &row.key));
        let tags = row.tags.as_ref().map(|tags| self.numbered(tags, &row.key));
        let several = row.several.as_ref().map(|several| self.words(several, &row.key));
        let plain = row.line.is_some_and(|line| row.key == place(&self.file, line));
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        encode(&mut buffer, row, &Numbered { label, tags, several, plain });
        self.write(&buffer)?;
        self.buffer = buffer;
        self.offsets.push(self.at);
        Ok(())
    }

    fn number(&mut self, label: &str, key: &str) -> u32 {
        if let Some(&number) = self.numbers.get(label) {
            return number;
        }
        let number = self.labels.len() as u32;
        self.numbers.insert(label.to_owned(), number);
        self.labels.push(FoundLabel { name: label.to_owned(), first: key.to_owned() });
        number
    }

    /// Labels by the numbers that the file gives them, or the bits of numbers.
    fn words(&mut self, several: &Several, key: &str) -> Vec<u32> {
        match several {
            Several::Labels(labels) => labels.iter().map(|label| self.number(label, key)).collect(),
            Several::Values(values) => values.iter().map(|value| value.to_bits()).collect(),
        }
    }

    /// Tags by the numbers that the file gives their names.
    fn numbered(&mut self, tags: &Tags, key: &str) -> Vec<i32> {
        let numbers: Vec<i32> = tags.names.iter().map(|name| self.number(name, key) as i32).collect();
        let of_file =
            |tag: &i32| tags.in_names(*tag).and_then(|name| numbers.get(name)).map(|number| number | tag & FURTHER);
        tags.numbers.iter().map(|tag| of_file(tag).unwrap_or(*tag)).collect()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Ends the file, under the name `path`, or without a name when it is to go with the value.
    pub fn finish(mut self, key: &str, account: Account, path: Option<&Path>) -> Result<RowsFile> {
        let (rows, offsets_at) = (self.len() as u64, self.at);
        for offset in std::mem::take(&mut self.offsets) {
            self.write(&offset.to_le_bytes())?;
        }
        let head_at = self.at;
        let labels = std::mem::take(&mut self.labels);
        let head = Head { key: key.to_owned(), file: self.file.clone(), account, labels };
        self.write(&serde_json::to_vec(&head)?)?;
        for number in [rows, offsets_at, head_at] {
            self.write(&number.to_le_bytes())?;
        }
        let hash = self.hash.finalize();
        let mut temporary = self.out.into_inner().map_err(|e| e.into_error())?;
        temporary.seek(SeekFrom::Start(0))?;
        temporary.write_all(MAGIC)?;
        temporary.write_all(&hash)?;
        let (file, temporary) = match path {
            Some(path) => {
                temporary.as_file().sync_all()?;
                (temporary.persist(path).map_err(|e| e.error)?, None)
            }
            None => {
                let (file, path) = temporary.into_parts();
                (file, Some(path))
            }
        };
        let map = map(&file)?;
        let index = Index { rows: rows as usize, offsets: offsets_at as usize };
        Ok(RowsFile { map, index, file: head.file, account: head.account, labels: head.labels, temporary })
    }
}

/// How the names of files begin that are being written.
pub(crate) const WRITING: &str = ".writing-";

fn map(file: &File) -> Result<Mmap> {
    // SAFETY: the file is written once, under a name of its own, before it is mapped. Who cuts a file of the cache short
    // while a run reads it ends the run; nothing here can give such a file to other code as anything but bytes.
    unsafe { Mmap::map(file) }
}

/// What the file's own numbers make of a row.
struct Numbered {
    label: Option<u32>,
    tags: Option<Vec<i32>>,
    several: Option<Vec<u32>>,
    /// The key is file and line.
    plain: bool,
}

fn encode(out: &mut Vec<u8>, row: &Row, numbered: &Numbered) {
    let Numbered { label, tags, several, plain } = numbered;
    let flags = [
        (row.line.is_some(), HAS_LINE),
        (row.group.is_some(), HAS_GROUP),
        (!row.token_type_ids.is_empty(), SEGMENTS),
        (*plain, PLAIN_KEY),
        (row.truncated, TRUNCATED),
        (row.doubled_bos, DOUBLED_BOS),
        (row.empty, EMPTY),
        (row.seam, SEAM),
    ];
    let more = [
        (row.unended, UNENDED),
        (row.control, CONTROL),
        (tags.is_some(), TAGS),
        (matches!(row.several, Some(Several::Labels(_))), LABELS),
        (matches!(row.several, Some(Several::Values(_))), VALUES),
    ];
    let key = if *plain { "" } else { row.key.as_str() };
    out.extend(row.line.unwrap_or(0).to_le_bytes());
    out.extend(row.text);
    out.extend(row.group.unwrap_or_default());
    out.extend((row.input_ids.len() as u32).to_le_bytes());
    let tokens = row.input_ids.len() as u32;
    let first = row.learnt.first().map_or(tokens, |range| range.start);
    let ranges = match row.learnt.as_slice() {
        [] => &[],
        [only] if only.end == tokens => &[],
        several => several,
    };
    out.extend(first.to_le_bytes());
    out.extend(label.unwrap_or(u32::MAX).to_le_bytes());
    out.extend((row.extra.len() as u32).to_le_bytes());
    out.extend((key.len() as u32).to_le_bytes());
    out.extend([
        flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum(),
        more.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum(),
        0,
        0,
    ]);
    out.extend((ranges.len() as u32).to_le_bytes());
    out.extend(row.tags.as_ref().map_or(0, |tags| tags.lost).to_le_bytes());
    let several = several.as_deref().unwrap_or_default();
    out.extend((several.len() as u32).to_le_bytes());
    debug_assert_eq!(out.len(), HEAD);
    row.input_ids.iter().for_each(|id| out.extend(id.to_le_bytes()));
    row.extra.iter().for_each(|value| out.extend(value.to_le_bytes()));
    ranges.iter().flat_map(|range| [range.start, range.end]).for_each(|at| out.extend(at.to_le_bytes()));
    tags.iter().flatten().for_each(|tag| out.extend(tag.to_le_bytes()));
    several.iter().for_each(|word| out.extend(word.to_le_bytes()));
    out.extend(&row.token_type_ids);
    out.extend(key.as_bytes());
    out.resize(out.len().next_multiple_of(4), 0);
}

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
    map: Mmap,
    index: Index,
    /// Name of the source, as it stands in keys.
    file: String,
    account: Account,
    labels: Vec<FoundLabel>,
    /// A file that goes with the value.
    #[allow(dead_code, reason = "held for its drop")]
    temporary: Option<TempPath>,
}

#[derive(Clone, Copy)]
struct Index {
    rows: usize,
    /// Where the offsets begin.
    offsets: usize,
}

/// A row without its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowHead {
    pub line: Option<u64>,
    pub text: [u8; 16],
    pub group: Option<[u8; 16]>,
    pub tokens: u32,
    /// Its number among [`RowsFile::labels`].
    pub label: Option<u32>,
    pub truncated: bool,
    pub doubled_bos: bool,
    pub empty: bool,
    pub seam: bool,
    pub unended: bool,
    pub control: bool,
    /// Words of a tagged row of which no token is there.
    pub lost: u32,
    /// It has tags.
    tagged: bool,
    /// It has any number of labels.
    labelled: bool,
    /// It has numbers.
    valued: bool,
    /// How many labels or numbers are written.
    several: u32,
    /// The first token that is learnt.
    first: u32,
    /// How many ranges are written.
    ranges: u32,
    extra: u32,
    key: u32,
    flags: u8,
}

impl RowHead {
    /// Bytes of ids, extra columns, ranges, tags, and labels or numbers.
    fn numbers(&self) -> usize {
        self.before_several() + 4 * self.several as usize
    }

    /// Bytes of ids, extra columns, ranges and tags.
    fn before_several(&self) -> usize {
        self.before_tags() + 4 * self.tags()
    }

    /// Bytes of ids, extra columns and ranges.
    fn before_tags(&self) -> usize {
        4 * (self.tokens as usize + self.extra as usize + 2 * self.ranges as usize)
    }

    /// How many tags are written.
    fn tags(&self) -> usize {
        if self.tagged { self.tokens as usize } else { 0 }
    }
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
            let segments = if head.flags & SEGMENTS != 0 { u64::from(head.tokens) } else { 0 };
            let tags = if head.tagged { u64::from(head.tokens) } else { 0 };
            let numbers = 4
                * (u64::from(head.tokens)
                    + u64::from(head.extra)
                    + 2 * u64::from(head.ranges)
                    + tags
                    + u64::from(head.several));
            let size = HEAD as u64 + numbers + segments + u64::from(head.key);
            let known = head.label.is_none_or(|label| (label as usize) < self.labels.len());
            if size.next_multiple_of(4) != (end - at) as u64 || !known {
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
        let bytes = &self.map[at..at + HEAD];
        let digest = |at: usize| {
            let mut digest = [0; 16];
            digest.copy_from_slice(&bytes[at..at + 16]);
            digest
        };
        let flags = bytes[60];
        let label = u32_at(bytes, 48);
        RowHead {
            line: (flags & HAS_LINE != 0).then(|| u64_at(bytes, 0)),
            text: digest(8),
            group: (flags & HAS_GROUP != 0).then(|| digest(24)),
            tokens: u32_at(bytes, 40),
            label: (label != u32::MAX).then_some(label),
            truncated: flags & TRUNCATED != 0,
            doubled_bos: flags & DOUBLED_BOS != 0,
            empty: flags & EMPTY != 0,
            seam: flags & SEAM != 0,
            unended: bytes[61] & UNENDED != 0,
            control: bytes[61] & CONTROL != 0,
            tagged: bytes[61] & TAGS != 0,
            lost: u32_at(bytes, 68),
            labelled: bytes[61] & LABELS != 0,
            valued: bytes[61] & VALUES != 0,
            several: u32_at(bytes, 72),
            first: u32_at(bytes, 44),
            ranges: u32_at(bytes, 64),
            extra: u32_at(bytes, 52),
            key: u32_at(bytes, 56),
            flags,
        }
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
        let count = if head.flags & SEGMENTS != 0 { head.tokens as usize } else { 0 };
        let at = self.offset(row) + HEAD + head.numbers();
        &self.map[at..at + count]
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
        if head.flags & PLAIN_KEY != 0 {
            return place(&self.file, head.line.unwrap_or(0));
        }
        let segments = if head.flags & SEGMENTS != 0 { head.tokens as usize } else { 0 };
        let at = self.offset(row) + HEAD + head.numbers() + segments;
        String::from_utf8_lossy(&self.map[at..at + head.key as usize]).into_owned()
    }
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
#[path = "rows_file_tests.rs"]
mod tests;
