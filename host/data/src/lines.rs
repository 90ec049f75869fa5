//! The lines of a text file, numbered as editors number them. A line ends with a line feed.

use std::collections::VecDeque;
use std::io::BufRead;
use std::path::PathBuf;

use crate::error::place;
use crate::{DataError, Result};

/// Reads lines, and takes some back.
pub(crate) struct LineReader<R> {
    reader: R,
    file: String,
    path: PathBuf,
    /// Number of the line handed out last; 0 before the first.
    number: u64,
    /// Bytes read.
    bytes: u64,
    returned: VecDeque<Vec<u8>>,
}

impl<R: BufRead> LineReader<R> {
    /// Lines of `reader`, which reads `path`; `file` is its name in messages.
    pub fn new(reader: R, file: String, path: PathBuf) -> Self {
        Self { reader, file, path, number: 0, bytes: 0, returned: VecDeque::new() }
    }

    /// The line handed out last, counted from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// File and line of the line handed out last: `train.tsv:3`.
    pub fn place(&self) -> String {
        place(&self.file, self.number)
    }

    /// Bytes read so far, for progress.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line as bytes, with its end, or `None` at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next_bytes(&mut self) -> Result<Option<Vec<u8>>> {
        if let Some(line) = self.returned.pop_front() {
            self.number += 1;
            return Ok(Some(line));
        }
        let mut bytes = Vec::new();
        let read = self.reader.read_until(b'\n', &mut bytes).map_err(|e| DataError::io(&self.path, &e))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.bytes += read as u64;
        Ok(Some(bytes))
    }

    /// The next line that is not blank, as text without its end.
    ///
    /// # Errors
    /// The file cannot be read, or a line is not UTF-8.
    pub fn next_filled(&mut self) -> Result<Option<String>> {
        while let Some(line) = self.next_text()? {
            if !line.trim().is_empty() {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// The next line as text, without its end.
    ///
    /// # Errors
    /// As [`next_filled`](Self::next_filled).
    pub fn next_text(&mut self) -> Result<Option<String>> {
        let Some(mut bytes) = self.next_bytes()? else { return Ok(None) };
        bytes.truncate(without_end(&bytes));
        String::from_utf8(bytes).map(Some).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            let byte = e.as_bytes().get(at).copied().unwrap_or(0);
            DataError::InvalidUtf8 { place: self.place(), byte, where_: format!("at byte {} of the line", at + 1) }
        })
    }

    /// Takes back the lines that were handed out last, in their order.
    pub fn give_back(&mut self, lines: Vec<Vec<u8>>) {
        self.number -= lines.len() as u64;
        for line in lines.into_iter().rev() {
            self.returned.push_front(line);
        }
    }
}

/// The length of a line without the line feed and carriage returns that end it.
pub(crate) fn without_end(line: &[u8]) -> usize {
    line.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1)
}
