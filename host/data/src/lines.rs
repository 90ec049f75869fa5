//! The lines of a text file, numbered as editors number them.
//!
//! A line ends with a line feed, and a carriage return before it belongs to the end. In a file whose first line ends with
//! a carriage return alone, as on old Macs and from some spreadsheets, every carriage return and every line feed ends a
//! line; in other files a carriage return by itself is text.
//! Price: the first line, [`PEEKED`] bytes of it at most, is held twice.

use std::collections::VecDeque;
use std::io::{BufRead, Cursor};
use std::path::PathBuf;

use crate::error::place;
use crate::{DataError, Result};

/// Bytes in which the end of the first line is looked for.
const PEEKED: usize = 1 << 20;

/// What ends a line.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// A line feed.
    Feed,
    /// A carriage return, a line feed, or both.
    Return,
}

/// Reads lines, and takes some back.
pub(crate) struct LineReader<R> {
    reader: R,
    /// What was read to find out how lines end, and is still to be handed out.
    peeked: Cursor<Vec<u8>>,
    /// Unknown before the first line.
    end: Option<End>,
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
        let peeked = Cursor::new(Vec::new());
        Self { reader, peeked, end: None, file, path, number: 0, bytes: 0, returned: VecDeque::new() }
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
        let bytes = self.read().map_err(|e| DataError::io(&self.path, &e))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        self.bytes += bytes.len() as u64;
        Ok(Some(bytes))
    }

    /// The next line with its end; empty at the end of the file.
    fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let end = match self.end {
            Some(end) => end,
            None => self.peek()?,
        };
        self.end = Some(end);
        let mut line = Vec::new();
        if !read_line(&mut self.peeked, end, &mut line)? {
            read_line(&mut self.reader, end, &mut line)?;
        }
        // A line feed behind the carriage return is part of the same end.
        if end == End::Return && line.ends_with(b"\r") {
            for source in [&mut self.peeked as &mut dyn BufRead, &mut self.reader] {
                match source.fill_buf()?.first().copied() {
                    None => continue,
                    Some(b'\n') => {
                        source.consume(1);
                        line.push(b'\n');
                    }
                    Some(_) => {}
                }
                break;
            }
        }
        Ok(line)
    }

    /// Reads as far as it takes to know how lines end.
    fn peek(&mut self) -> std::io::Result<End> {
        loop {
            let more = self.reader.fill_buf()?;
            let (read, peeked) = (more.len(), self.peeked.get_mut());
            peeked.extend_from_slice(more);
            self.reader.consume(read);
            let all = read == 0 || peeked.len() >= PEEKED;
            if let Some(end) = first_end(peeked, true, all).or_else(|| first_end(peeked, false, all).filter(|_| all)) {
                return Ok(end);
            }
            if all {
                return Ok(End::Feed);
            }
        }
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

/// Reads to the next end of a line; false when the source ends before one.
fn read_line(source: &mut (impl BufRead + ?Sized), end: End, line: &mut Vec<u8>) -> std::io::Result<bool> {
    loop {
        let more = source.fill_buf()?;
        if more.is_empty() {
            return Ok(false);
        }
        let at = more.iter().position(|&byte| byte == b'\n' || (byte == b'\r' && end == End::Return));
        let taken = at.map_or(more.len(), |at| at + 1);
        line.extend_from_slice(&more[..taken]);
        source.consume(taken);
        if at.is_some() {
            return Ok(true);
        }
    }
}

/// What the first line of `text` ends with, when that can be told; `quoted`: ends between quotes do not count. With `all`
/// of the text there is nothing to wait for behind a carriage return.
fn first_end(text: &[u8], quoted: bool, all: bool) -> Option<End> {
    let mut open = false;
    let at = text.iter().position(|&byte| {
        open ^= quoted && byte == b'"';
        !open && matches!(byte, b'\n' | b'\r')
    })?;
    // Several carriage returns before a line feed are one end, which some programs write.
    match text[at..].iter().find(|&&byte| byte != b'\r') {
        Some(b'\n') => Some(End::Feed),
        Some(_) => Some(End::Return),
        None => all.then_some(End::Return),
    }
}

/// The length of a line without the line feed and carriage returns that end it.
pub(crate) fn without_end(line: &[u8]) -> usize {
    line.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn lines(text: &str, buffer: usize) -> Vec<(u64, String)> {
        let reader = BufReader::with_capacity(buffer, text.as_bytes());
        let mut lines = LineReader::new(reader, "t".to_owned(), "t".into());
        let mut all = Vec::new();
        while let Some(line) = lines.next_bytes().unwrap() {
            all.push((lines.number(), String::from_utf8(line).unwrap()));
        }
        assert_eq!(lines.bytes(), text.len() as u64);
        all
    }

    #[test]
    fn a_carriage_return_ends_lines_where_it_ends_the_first() {
        let cases: [(&str, &[&str]); 9] = [
            ("a\rb\r\rc", &["a\r", "b\r", "\r", "c"]),
            ("a\rb\r\nc\nd\r", &["a\r", "b\r\n", "c\n", "d\r"]),
            ("a\nb\rc\nd", &["a\n", "b\rc\n", "d"]),
            ("a\r\nb\rc\r\n", &["a\r\n", "b\rc\r\n"]),
            ("a\r\r\nb\r\r\n", &["a\r\r\n", "b\r\r\n"]),
            ("\"x\ry\",l\nb\n", &["\"x\ry\",l\n", "b\n"]),
            ("\"x\ny\",l\rb\r", &["\"x\n", "y\",l\r", "b\r"]),
            ("only \"one\r", &["only \"one\r"]),
            ("none", &["none"]),
        ];
        for (text, expected) in cases {
            for buffer in [1, 2, 3, 1 << 16] {
                let expected: Vec<_> =
                    expected.iter().enumerate().map(|(n, line)| (n as u64 + 1, (*line).to_owned())).collect();
                assert_eq!(lines(text, buffer), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn the_end_of_a_long_first_line_is_found() {
        let text = format!("{}\rb\r", "a".repeat(PEEKED - 10));
        assert_eq!(lines(&text, 1 << 16).len(), 2);
    }
}
