//! Files as streams of rows: CSV, TSV, JSONL, plain text.
//!
//! Every row knows the line of the file on which it begins, counted from 1 as editors
//! count; that number and the file's name are its key. A byte order mark and carriage
//! returns are taken off, and UTF-16 is converted. Price: one buffered pass; memory for one row at a time.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use retune_roles::Value;
use retune_roles::file::no_file;
use sha2::{Digest, Sha256};

use crate::delimited::{Delimiter, Fields};
use crate::encoding::Utf8;
use crate::error::place;
use crate::lines::LineReader;
use crate::record::{Record, fields_of_json};
use crate::spec::{Format, Source};
use crate::{DataError, Result};

/// An open file of rows.
///
/// Iterating yields rows in file order and stops after the first error.
pub struct Rows {
    file: String,
    path: PathBuf,
    lines: Lines,
    kind: Kind,
    failed: bool,
}

type Lines = LineReader<BufReader<Utf8<BufReader<File>>>>;

enum Kind {
    Delimited { delimiter: Delimiter, header: Vec<String> },
    Lines { format: Format },
}

impl Rows {
    /// Opens a file and reads its header, if its format has one.
    ///
    /// # Errors
    /// The file is missing, unreadable, empty, of unknown format, or its header is broken.
    pub fn open(source: &Source) -> Result<Self> {
        let format = source.resolved_format()?;
        let path = &source.path;
        let handle = open(path)?;
        let file = source.name();
        let mut reader = BufReader::with_capacity(1 << 16, Utf8::new(BufReader::with_capacity(1 << 16, handle)));
        if reader.fill_buf().map_err(|e| DataError::io(path, &e))?.is_empty() {
            return Err(DataError::EmptyFile { path: path.clone() });
        }
        let mut lines = LineReader::new(reader, file.clone(), path.clone());
        let kind = match format {
            Format::Csv => Kind::delimited(Delimiter::Comma, &mut lines, &file, path)?,
            Format::Tsv => Kind::delimited(Delimiter::Tab, &mut lines, &file, path)?,
            Format::Jsonl | Format::Text | Format::Lines | Format::Conll => Kind::Lines { format },
        };
        Ok(Self { file, path: path.clone(), lines, kind, failed: false })
    }

    /// The columns of the header, for the formats that have one.
    pub fn header(&self) -> Option<&[String]> {
        match &self.kind {
            Kind::Delimited { header, .. } => Some(header),
            Kind::Lines { .. } => None,
        }
    }

    /// Bytes taken from the file so far, for progress.
    pub fn bytes_read(&self) -> u64 {
        self.lines.bytes()
    }

    /// What to say of this file when it has no row.
    pub fn without_rows(&self) -> DataError {
        match self.header() {
            Some(_) => DataError::NoRows { path: self.path.clone() },
            None => DataError::EmptyFile { path: self.path.clone() },
        }
    }

    fn read(&mut self) -> Result<Option<Record>> {
        match &self.kind {
            Kind::Delimited { delimiter, header } => read_delimited(*delimiter, &mut self.lines, header, &self.file),
            Kind::Lines { format: Format::Text } => read_passage(&mut self.lines, &self.file),
            Kind::Lines { format: Format::Conll } => read_sentence(&mut self.lines, &self.file),
            Kind::Lines { format } => read_line_row(&mut self.lines, *format, &self.file),
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let row = self.read();
        self.failed = row.is_err();
        row.transpose()
    }
}

/// Opens a file, and nothing else: a pipe would wait for its writer, and be empty the second time.
fn open(path: &Path) -> Result<File> {
    match no_file(path) {
        Some("a folder") => {
            Err(DataError::FileUnreadable { path: path.to_owned(), reason: "it is a directory".to_owned() })
        }
        Some(what) => Err(DataError::NoFile { path: path.to_owned(), what }),
        None => File::open(path).map_err(|e| DataError::io(path, &e)),
    }
}

/// SHA-256 of a file, and its length; one pass, constant memory.
pub fn digest(source: &Source) -> Result<(String, u64)> {
    let path = &source.path;
    let mut handle = open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 16];
    let mut length = 0;
    loop {
        let read = handle.read(&mut buffer).map_err(|e| DataError::io(path, &e))?;
        if read == 0 {
            return Ok((retune_roles::digest::hex(&hash.finalize()), length));
        }
        hash.update(&buffer[..read]);
        length += read as u64;
    }
}

impl Kind {
    /// Reads the header of a delimited file.
    fn delimited(delimiter: Delimiter, lines: &mut Lines, file: &str, path: &Path) -> Result<Self> {
        let first = delimiter.read_row(lines)?;
        let Fields { line, fields } = first.ok_or_else(|| DataError::EmptyFile { path: path.to_owned() })?;
        let mut names = Vec::with_capacity(fields.len());
        for (index, field) in fields.into_iter().enumerate() {
            names.push(text(field, || place(file, line), || format!("in the name of column {}", index + 1))?);
        }
        Ok(Self::Delimited { delimiter, header: header(names, &place(file, line))? })
    }
}

/// The names of the columns; each but one has a name, and no two the same.
fn header(fields: Vec<String>, place: &str) -> Result<Vec<String>> {
    let columns = fields.len();
    let trailing = fields.last().is_some_and(String::is_empty);
    let mut header: Vec<String> = Vec::with_capacity(columns);
    for field in fields {
        let name = field.trim().to_owned();
        if name.is_empty() && header.contains(&name) {
            return Err(DataError::ColumnsWithoutName { place: place.to_owned(), columns, trailing });
        }
        if header.contains(&name) {
            return Err(DataError::DuplicateColumn { place: place.to_owned(), column: name });
        }
        header.push(name);
    }
    Ok(header)
}

fn read_delimited(delimiter: Delimiter, lines: &mut Lines, header: &[String], file: &str) -> Result<Option<Record>> {
    let Some(Fields { line, fields }) = delimiter.read_row(lines)? else { return Ok(None) };
    if fields.len() != header.len() {
        return Err(DataError::RaggedRow { place: place(file, line), expected: header.len(), found: fields.len() });
    }
    let mut values = Vec::with_capacity(header.len());
    for (name, field) in header.iter().zip(fields) {
        let value = text(field, || place(file, line), || format!("in column `{name}`"))?;
        values.push((name.clone(), Value::Text(value)));
    }
    Ok(Some(Record::new(file, line, values)))
}

/// One row per line: JSON, or the line itself.
fn read_line_row(lines: &mut Lines, format: Format, file: &str) -> Result<Option<Record>> {
    let Some(content) = lines.next_filled()? else { return Ok(None) };
    let fields = match format {
        Format::Jsonl => fields_of_json(&content, || lines.place())?,
        _ => vec![("text".to_owned(), Value::Text(content))],
    };
    Ok(Some(Record::new(file, lines.number(), fields)))
}

/// One row per sentence, a word a line up to the next blank one: its first column in `tokens`, its last in `tags`. Lines that begin
/// a document (`-DOCSTART-`) are no words.
fn read_sentence(lines: &mut Lines, file: &str) -> Result<Option<Record>> {
    loop {
        let Some(first) = lines.next_filled()? else { return Ok(None) };
        let (begin, mut line) = (lines.number(), Some(first));
        let (mut words, mut tags) = (Vec::new(), Vec::new());
        while let Some(content) = line.filter(|content| !content.trim().is_empty()) {
            let columns: Vec<&str> = content.split_whitespace().collect();
            if let [word, others @ ..] = &columns[..]
                && *word != "-DOCSTART-"
            {
                words.push((*word).to_owned());
                tags.extend(others.last().map(|tag| (*tag).to_owned()));
            }
            line = lines.next_text()?;
        }
        if words.is_empty() {
            continue;
        }
        let list = |items: Vec<String>| Value::Json(serde_json::Value::from(items).to_string());
        let mut fields = vec![("tokens".to_owned(), list(words))];
        // A file of words alone is one to be predicted.
        if !tags.is_empty() {
            fields.push(("tags".to_owned(), list(tags)));
        }
        return Ok(Some(Record::new(file, begin, fields)));
    }
}

/// One row per passage: lines up to the next blank one, joined by line feeds.
fn read_passage(lines: &mut Lines, file: &str) -> Result<Option<Record>> {
    let Some(mut passage) = lines.next_filled()? else { return Ok(None) };
    let begin = lines.number();
    while let Some(content) = lines.next_text()?.filter(|content| !content.trim().is_empty()) {
        passage.push('\n');
        passage.push_str(&content);
    }
    Ok(Some(Record::new(file, begin, vec![("text".to_owned(), Value::Text(passage))])))
}

/// The text of a field, or where it stops being text.
fn text(field: Vec<u8>, place: impl Fn() -> String, where_: impl Fn() -> String) -> Result<String> {
    String::from_utf8(field).map_err(|e| DataError::InvalidUtf8 {
        place: place(),
        byte: e.as_bytes().get(e.utf8_error().valid_up_to()).copied().unwrap_or(0),
        where_: where_(),
    })
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
