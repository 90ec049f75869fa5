//! Writing a file of prepared rows, row by row.

use std::collections::HashMap;
use std::io::{BufWriter, Error, ErrorKind, Result, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::reader::{Index, RowsFile};
use super::row_head::{Numbered, encode};
use super::{Account, FoundLabel, Head, MAGIC, START, WRITING, map};
use crate::error::place;
use crate::row::{FURTHER, Row, Several, Tags};

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
