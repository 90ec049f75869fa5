//! Files as streams of rows: CSV, TSV, JSONL, plain text.
//!
//! Every row knows the line of the file on which it begins, counted from 1 as editors
//! count; that number and the file's name are its key. A byte order mark and carriage
//! returns are taken off, and UTF-16 is converted. Price: one buffered pass; memory for one row at a time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::rc::Rc;

use retune_roles::Value;
use retune_roles::preprocessor::Fields;
use sha2::{Digest, Sha256};

use crate::encoding::Utf8;
use crate::error::{place, plain_io};
use crate::record::{Record, fields_of_json};
use crate::spec::{Format, Source};
use crate::{DataError, Result};

/// An open file of rows.
///
/// Iterating yields rows in file order and stops after the first error.
pub struct Rows {
    file: String,
    reader: Reader,
    failed: bool,
    path: PathBuf,
    lines: Rc<RefCell<Lines>>,
}

enum Reader {
    Csv { reader: csv::Reader<Counted>, header: Vec<String>, source: Source },
    Lines { reader: BufReader<Counted>, line: u64, format: Format },
}

impl Rows {
    /// Opens a file and reads its header, if its format has one.
    ///
    /// # Errors
    /// The file is missing, unreadable, empty, of unknown format, or its header is broken.
    pub fn open(source: &Source) -> Result<Self> {
        let format = source.resolved_format()?;
        let path = &source.path;
        let handle = File::open(path).map_err(|e| DataError::io(path, &e))?;
        let meta = handle.metadata().map_err(|e| DataError::io(path, &e))?;
        if meta.is_dir() {
            return Err(DataError::FileUnreadable { path: path.clone(), reason: "it is a directory".to_owned() });
        }
        let lines = Rc::new(RefCell::new(Lines::default()));
        let counted = Counted { inner: Utf8::new(BufReader::with_capacity(1 << 16, handle)), lines: Rc::clone(&lines) };
        let file = source.name();
        let reader = match format {
            Format::Csv | Format::Tsv => open_csv(counted, &lines, source, format)?,
            Format::Jsonl | Format::Text | Format::Lines => {
                let mut reader = BufReader::new(counted);
                let start = reader.fill_buf().map_err(|e| DataError::io(path, &e))?;
                if start.is_empty() {
                    return Err(DataError::EmptyFile { path: path.clone() });
                }
                Reader::Lines { reader, line: 0, format }
            }
        };
        Ok(Self { file, reader, failed: false, path: path.clone(), lines })
    }

    /// The columns of the header, for the formats that have one.
    pub fn header(&self) -> Option<&[String]> {
        match &self.reader {
            Reader::Csv { header, .. } => Some(header),
            Reader::Lines { .. } => None,
        }
    }

    /// Bytes taken from the file so far, for progress.
    pub fn bytes_read(&self) -> u64 {
        self.lines.borrow().offset
    }

    /// What to say of this file when it has no row.
    pub fn without_rows(&self) -> DataError {
        match self.header() {
            Some(_) => DataError::NoRows { path: self.path.clone() },
            None => DataError::EmptyFile { path: self.path.clone() },
        }
    }

    fn read(&mut self) -> Result<Option<Record>> {
        match &mut self.reader {
            Reader::Csv { reader, header, source } => read_csv(reader, &self.lines, header, &self.file, source),
            Reader::Lines { reader, line, format } => match format {
                Format::Text => read_passage(reader, line, &self.file, &self.path),
                _ => read_line_row(reader, line, *format, &self.file, &self.path),
            },
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

/// SHA-256 of a file, and its length; one pass, constant memory.
pub fn digest(source: &Source) -> Result<(String, u64)> {
    let path = &source.path;
    let mut handle = File::open(path).map_err(|e| DataError::io(path, &e))?;
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

fn open_csv(counted: Counted, lines: &Rc<RefCell<Lines>>, source: &Source, format: Format) -> Result<Reader> {
    let delimiter = if format == Format::Tsv { b'\t' } else { b',' };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).has_headers(false).from_reader(counted);
    let mut record = csv::ByteRecord::new();
    let file = source.name();
    if !read_bytes(&mut reader, &mut record, source)? {
        return Err(DataError::EmptyFile { path: source.path.clone() });
    }
    let line = lines.borrow_mut().line_of(&record);
    let mut header = Vec::with_capacity(record.len());
    for (index, field) in record.iter().enumerate() {
        let name =
            text(field, || place(&file, line), || format!("in the name of column {}", index + 1))?.trim().to_owned();
        if name.is_empty() && header.contains(&name) {
            let (columns, trailing) = (record.len(), record.iter().next_back().is_some_and(<[u8]>::is_empty));
            return Err(DataError::ColumnsWithoutName { place: place(&file, line), columns, trailing });
        }
        if header.contains(&name) {
            return Err(DataError::DuplicateColumn { place: place(&file, line), column: name });
        }
        header.push(name);
    }
    Ok(Reader::Csv { reader, header, source: source.clone() })
}

fn read_bytes(reader: &mut csv::Reader<Counted>, record: &mut csv::ByteRecord, source: &Source) -> Result<bool> {
    reader.read_byte_record(record).map_err(|e| DataError::FileUnreadable {
        path: source.path.clone(),
        reason: match e.into_kind() {
            csv::ErrorKind::Io(e) => plain_io(&e),
            other => format!("{other:?}"),
        },
    })
}

fn read_csv(
    reader: &mut csv::Reader<Counted>,
    lines: &Rc<RefCell<Lines>>,
    header: &[String],
    file: &str,
    source: &Source,
) -> Result<Option<Record>> {
    let mut record = csv::ByteRecord::new();
    if !read_bytes(reader, &mut record, source)? {
        return Ok(None);
    }
    let line = lines.borrow_mut().line_of(&record);
    // A quote that nothing closes swallows the rest of the file into one field, and the file
    // then does not end with the quote that would have closed it.
    let swallowed = record.iter().next_back().is_some_and(|field| field.contains(&b'\n'));
    if swallowed && lines.borrow().ended && lines.borrow().last != Some(b'"') {
        return Err(DataError::OpenQuote { place: place(file, line) });
    }
    if record.len() != header.len() {
        return Err(DataError::RaggedRow { place: place(file, line), expected: header.len(), found: record.len() });
    }
    let mut fields: Fields = Vec::with_capacity(header.len());
    for (name, field) in header.iter().zip(record.iter()) {
        let value = text(field, || place(file, line), || format!("in column `{name}`"))?;
        fields.push((name.clone(), Value::Text(value.to_owned())));
    }
    Ok(Some(Record::new(file, line, fields)))
}

/// The next line without its end, or `None` at the end of the file; counts it.
fn read_line(
    reader: &mut BufReader<Counted>,
    line: &mut u64,
    file: &str,
    path: &std::path::Path,
) -> Result<Option<String>> {
    let mut bytes = Vec::new();
    if reader.read_until(b'\n', &mut bytes).map_err(|e| DataError::io(path, &e))? == 0 {
        return Ok(None);
    }
    *line += 1;
    while bytes.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
        bytes.pop();
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(e) => {
            let at = e.utf8_error().valid_up_to();
            let byte = e.as_bytes().get(at).copied().unwrap_or(0);
            Err(DataError::InvalidUtf8 {
                place: place(file, *line),
                byte,
                where_: format!("at byte {} of the line", at + 1),
            })
        }
    }
}

/// One row a line: JSON, or the line itself.
fn read_line_row(
    reader: &mut BufReader<Counted>,
    line: &mut u64,
    format: Format,
    file: &str,
    path: &std::path::Path,
) -> Result<Option<Record>> {
    while let Some(content) = read_line(reader, line, file, path)? {
        if content.trim().is_empty() {
            continue;
        }
        let fields = match format {
            Format::Jsonl => fields_of_json(&content, || place(file, *line))?,
            _ => vec![("text".to_owned(), Value::Text(content))],
        };
        return Ok(Some(Record::new(file, *line, fields)));
    }
    Ok(None)
}

/// One row a passage: lines up to the next blank one, joined by line feeds.
fn read_passage(
    reader: &mut BufReader<Counted>,
    line: &mut u64,
    file: &str,
    path: &std::path::Path,
) -> Result<Option<Record>> {
    let mut passage = String::new();
    let mut begin = 0;
    while let Some(content) = read_line(reader, line, file, path)? {
        match (content.trim().is_empty(), begin) {
            (true, 0) => continue,
            (true, _) => break,
            (false, 0) => begin = *line,
            (false, _) => passage.push('\n'),
        }
        passage.push_str(&content);
    }
    Ok((begin > 0).then(|| Record::new(file, begin, vec![("text".to_owned(), Value::Text(passage))])))
}

/// The text of a field, or where it stops being text.
fn text(field: &[u8], place: impl Fn() -> String, where_: impl Fn() -> String) -> Result<&str> {
    std::str::from_utf8(field).map_err(|e| DataError::InvalidUtf8 {
        place: place(),
        byte: field.get(e.valid_up_to()).copied().unwrap_or(0),
        where_: where_(),
    })
}

/// Where lines begin in the bytes handed to a parser that reads ahead.
#[derive(Default)]
struct Lines {
    /// Bytes handed over.
    offset: u64,
    /// Line feeds among them.
    feeds: u64,
    /// Whether the current line has a byte besides its end.
    begun: bool,
    /// Offset and number of the lines that have such a byte, and that no row has passed yet.
    starts: VecDeque<(u64, u64)>,
    /// The last byte that ends no line.
    last: Option<u8>,
    /// The end of the file was seen.
    ended: bool,
}

impl Lines {
    fn see(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\n' => {
                    self.feeds += 1;
                    self.begun = false;
                }
                b'\r' => {}
                other => {
                    if !self.begun {
                        self.starts.push_back((self.offset, self.feeds + 1));
                        self.begun = true;
                    }
                    self.last = Some(other);
                }
            }
            self.offset += 1;
        }
        self.ended = bytes.is_empty();
    }

    /// The line a row begins on. The parser's own position may lie on a blank line, or on the line
    /// feed, before it.
    fn line_of(&mut self, record: &csv::ByteRecord) -> u64 {
        let from = record.position().map_or(0, csv::Position::byte);
        while self.starts.front().is_some_and(|&(offset, _)| offset < from) {
            self.starts.pop_front();
        }
        self.starts.front().map_or(self.feeds + 1, |&(_, line)| line)
    }
}

/// A reader that tells [`Lines`] what it hands over, as UTF-8.
struct Counted {
    inner: Utf8<BufReader<File>>,
    lines: Rc<RefCell<Lines>>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(into)?;
        self.lines.borrow_mut().see(&into[..read]);
        Ok(read)
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
