//! Results of preprocessing and tokenising, kept by the content they were made of.
//!
//! The key is a SHA-256 over everything that decides a result; nothing in it is a date or a path. A file is
//! `retune-rows` and a version, the SHA-256 of what follows, a JSON head, and the rows. It is
//! written under a temporary name, synced and renamed, so that it is there whole or not at all. One that
//! is damaged all the same (checksum, key or shape do not hold) is told apart from one
//! that is absent, and made again. Price: about five bytes per token on disk.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::report::Dropped;
use crate::row::Row;

const MAGIC: &[u8] = b"retune-rows 1\n";
const HASH: usize = 32;

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

/// What a look into the cache found.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// The result.
    Whole(Account, Vec<Row>),
    /// Nothing.
    Absent,
    /// Something that is not what was written.
    Damaged,
}

#[derive(Serialize, Deserialize)]
struct Head {
    key: String,
    rows: u64,
    account: Account,
}

/// A directory of results.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// The cache in `rows` below `directory`, which need not exist yet.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.join("rows") }
    }

    /// Where the result of `key` is kept.
    pub fn path(&self, key: &str) -> PathBuf {
        self.directory.join(format!("{key}.rows"))
    }

    /// Looks for the result of `key`.
    pub fn load(&self, key: &str) -> Found {
        match std::fs::read(self.path(key)) {
            Ok(bytes) => decode(key, &bytes).map_or(Found::Damaged, |(account, rows)| Found::Whole(account, rows)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Found::Absent,
            Err(_) => Found::Damaged,
        }
    }

    /// Keeps the result of `key`.
    ///
    /// # Errors
    /// The system's, when the directory cannot be made or written.
    pub fn store(&self, key: &str, account: &Account, rows: &[Row]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.directory)?;
        let bytes = encode(key, account, rows)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(self.path(key)).map_err(|e| e.error)?;
        Ok(())
    }
}

fn encode(key: &str, account: &Account, rows: &[Row]) -> std::io::Result<Vec<u8>> {
    let head = Head { key: key.to_owned(), rows: rows.len() as u64, account: account.clone() };
    let head = serde_json::to_vec(&head)?;
    let mut out = MAGIC.to_vec();
    out.extend([0; HASH]);
    put_bytes(&mut out, &head);
    for row in rows {
        put_row(&mut out, row);
    }
    let start = MAGIC.len() + HASH;
    let sum = Sha256::digest(&out[start..]);
    out[MAGIC.len()..start].copy_from_slice(&sum);
    Ok(out)
}

fn decode(key: &str, bytes: &[u8]) -> Option<(Account, Vec<Row>)> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let sum = take(&mut rest, HASH)?;
    if Sha256::digest(rest).as_slice() != sum {
        return None;
    }
    let head: Head = serde_json::from_slice(take_bytes(&mut rest)?).ok()?;
    if head.key != key {
        return None;
    }
    let rows: Option<Vec<Row>> = (0..head.rows).map(|_| take_row(&mut rest)).collect();
    rest.is_empty().then_some((head.account, rows?))
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

fn put_row(out: &mut Vec<u8>, row: &Row) {
    let flags = [row.line.is_some(), row.class.is_some(), row.truncated, row.doubled_bos, row.empty, row.seam];
    out.push(flags.iter().enumerate().map(|(bit, &flag)| u8::from(flag) << bit).sum());
    put_bytes(out, row.key.as_bytes());
    out.extend(row.line.unwrap_or(0).to_le_bytes());
    out.extend(row.class.unwrap_or(0).to_le_bytes());
    out.extend(row.prompt_tokens.to_le_bytes());
    out.extend(row.text);
    out.extend((row.input_ids.len() as u32).to_le_bytes());
    row.input_ids.iter().for_each(|id| out.extend(id.to_le_bytes()));
    put_bytes(out, &row.token_type_ids);
    out.extend((row.extra.len() as u32).to_le_bytes());
    row.extra.iter().for_each(|value| out.extend(value.to_le_bytes()));
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    take(rest, 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    take(rest, 8)?.try_into().ok().map(u64::from_le_bytes)
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_u32(rest)? as usize;
    take(rest, length)
}

fn take_words<'a>(rest: &mut &'a [u8]) -> Option<impl Iterator<Item = [u8; 4]> + 'a> {
    let length = take_u32(rest)? as usize;
    let bytes = take(rest, length.checked_mul(4)?)?;
    Some(bytes.chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]]))
}

fn take_row(rest: &mut &[u8]) -> Option<Row> {
    let flags = *take(rest, 1)?.first()?;
    let flag = |bit: u8| flags & (1 << bit) != 0;
    let key = String::from_utf8(take_bytes(rest)?.to_vec()).ok()?;
    let (line, class, prompt_tokens) = (take_u64(rest)?, take_u32(rest)?, take_u32(rest)?);
    Some(Row {
        key,
        line: flag(0).then_some(line),
        class: flag(1).then_some(class),
        prompt_tokens,
        text: take(rest, 16)?.try_into().ok()?,
        input_ids: take_words(rest)?.map(u32::from_le_bytes).collect(),
        token_type_ids: take_bytes(rest)?.to_vec(),
        extra: take_words(rest)?.map(f32::from_le_bytes).collect(),
        truncated: flag(2),
        doubled_bos: flag(3),
        empty: flag(4),
        seam: flag(5),
    })
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
