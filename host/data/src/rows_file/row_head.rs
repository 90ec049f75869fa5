//! A row in the file: a head of fixed size, and how long what follows it is.
//!
//! Writing and reading of the head stand side by side, because each place in it is named by a number.

use crate::row::{Row, Several};

use super::{u32_at, u64_at};

/// Bytes of a row's head.
pub(super) const HEAD: usize = 76;

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
const SILENT: u8 = 32;
const LISTED: u8 = 64;

/// What the file's own numbers make of a row.
pub(super) struct Numbered {
    pub label: Option<u32>,
    pub tags: Option<Vec<i32>>,
    pub several: Option<Vec<u32>>,
    /// The key is file and line.
    pub plain: bool,
}

/// Writes a row.
pub(super) fn encode(out: &mut Vec<u8>, row: &Row, numbered: &Numbered) {
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
        (row.silent, SILENT),
        (row.listed, LISTED),
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
    pub silent: bool,
    pub listed: bool,
    /// Words of a tagged row of which no token is there.
    pub lost: u32,
    /// It has tags.
    pub(super) tagged: bool,
    /// It has any number of labels.
    pub(super) labelled: bool,
    /// It has numbers.
    pub(super) valued: bool,
    /// How many labels or numbers are written.
    pub(super) several: u32,
    /// The first token that is learnt.
    pub(super) first: u32,
    /// How many ranges are written.
    pub(super) ranges: u32,
    pub(super) extra: u32,
    pub(super) key: u32,
    flags: u8,
}

impl RowHead {
    /// Reads the first [`HEAD`] bytes of a row.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let digest = |at: usize| {
            let mut digest = [0; 16];
            digest.copy_from_slice(&bytes[at..at + 16]);
            digest
        };
        let flags = bytes[60];
        let label = u32_at(bytes, 48);
        Self {
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
            silent: bytes[61] & SILENT != 0,
            listed: bytes[61] & LISTED != 0,
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

    /// Bytes of ids, extra columns, ranges, tags, and labels or numbers.
    pub(super) fn numbers(&self) -> usize {
        self.before_several() + 4 * self.several as usize
    }

    /// Bytes of ids, extra columns, ranges and tags.
    pub(super) fn before_several(&self) -> usize {
        self.before_tags() + 4 * self.tags()
    }

    /// Bytes of ids, extra columns and ranges.
    pub(super) fn before_tags(&self) -> usize {
        4 * (self.tokens as usize + self.extra as usize + 2 * self.ranges as usize)
    }

    /// How many tags are written.
    pub(super) fn tags(&self) -> usize {
        if self.tagged { self.tokens as usize } else { 0 }
    }

    /// How many segments are written.
    pub(super) fn segments(&self) -> usize {
        if self.flags & SEGMENTS != 0 { self.tokens as usize } else { 0 }
    }

    /// The key is file and line.
    pub(super) fn plain_key(&self) -> bool {
        self.flags & PLAIN_KEY != 0
    }

    /// Bytes of the whole row; counted in 64 bits, since a damaged file may claim anything.
    pub(super) fn size(&self) -> u64 {
        let tags = if self.tagged { u64::from(self.tokens) } else { 0 };
        let segments = if self.flags & SEGMENTS != 0 { u64::from(self.tokens) } else { 0 };
        let numbers = u64::from(self.tokens)
            + u64::from(self.extra)
            + 2 * u64::from(self.ranges)
            + tags
            + u64::from(self.several);
        (HEAD as u64 + 4 * numbers + segments + u64::from(self.key)).next_multiple_of(4)
    }
}
