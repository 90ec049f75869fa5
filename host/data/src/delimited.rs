//! Rows of a comma- or tab-separated file, and what a quote means in them.
//!
//! A quote opens a quoted field only at the beginning of the field; two of them inside stand for one. CSV (RFC 4180):
//! a quoted field may go over several lines, ends with the quote that closes it, and what follows on the same line is
//! still text of the field, as other readers have it; but a field that goes over several lines and does not end with
//! its quote is an error, because it has most likely swallowed rows. TSV is often written without quoting, and a text
//! may begin with `"`: there a field is quoted only when the closing quote ends it, and when it holds no tab if it goes
//! over several lines; everything else is text. What ends a line, [`LineReader`] decides.
//! Price: for TSV at most [`LONGEST`] bytes are read ahead for a quote that turns out to be text.

use std::io::BufRead;

use crate::lines::{LineReader, without_end};
use crate::{DataError, Result};

/// The longest field of a TSV file that goes over several lines, in bytes.
const LONGEST: usize = 1 << 16;

/// What stands between fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delimiter {
    /// CSV.
    Comma,
    /// TSV.
    Tab,
}

/// The fields of one row.
pub(crate) struct Fields {
    /// The line on which it begins.
    pub line: u64,
    /// Without the delimiters between them and the quotes around them; at least one.
    pub fields: Vec<Vec<u8>>,
}

impl Delimiter {
    fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Tab => b'\t',
        }
    }

    /// The next row that is not an empty line, or `None` at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read, or a CSV file has a quote that nothing closes.
    pub fn read_row<R: BufRead>(self, lines: &mut LineReader<R>) -> Result<Option<Fields>> {
        let mut text = loop {
            match lines.next_bytes()? {
                Some(text) if without_end(&text) == 0 => continue,
                Some(text) => break text,
                None => return Ok(None),
            }
        };
        let place = lines.place();
        let line = lines.number();
        let mut fields = Vec::new();
        let mut from = 0;
        loop {
            let quoted = match text.get(from) {
                Some(b'"') => self.quoted(&mut text, from, lines, &place)?,
                _ => None,
            };
            let (field, end) = quoted.unwrap_or_else(|| {
                let end = self.end(&text, from);
                (text[from..end].to_vec(), end)
            });
            fields.push(field);
            if text.get(end) != Some(&self.byte()) {
                return Ok(Some(Fields { line, fields }));
            }
            from = end + 1;
        }
    }

    /// Where the field ends that goes on at `from`.
    fn end(self, text: &[u8], from: usize) -> usize {
        find(text, from, self.byte()).unwrap_or_else(|| without_end(text).max(from))
    }

    /// The quoted field whose quote stands at `from`, without its quotes, and where it ends; `None` when it is text after
    /// all. Lines that belong to it are added to `text`.
    fn quoted<R: BufRead>(
        self,
        text: &mut Vec<u8>,
        from: usize,
        lines: &mut LineReader<R>,
        place: &str,
    ) -> Result<Option<(Vec<u8>, usize)>> {
        let first = text.len();
        let mut read: Vec<Vec<u8>> = Vec::new();
        let mut field = Vec::new();
        let mut at = from + 1;
        let closed = loop {
            if let Some(quote) = find(text, at, b'"') {
                field.extend_from_slice(&text[at..quote]);
                if text.get(quote + 1) == Some(&b'"') {
                    field.push(b'"');
                    at = quote + 2;
                    continue;
                }
                break Some(quote);
            }
            field.extend_from_slice(&text[at..]);
            at = text.len();
            if self == Self::Tab && (field.contains(&b'\t') || field.len() > LONGEST) {
                break None;
            }
            match lines.next_bytes()? {
                Some(more) => {
                    text.extend_from_slice(&more);
                    read.push(more);
                }
                None if self == Self::Tab => break None,
                None => return Err(DataError::OpenQuote { place: place.to_owned() }),
            }
        };
        match closed {
            Some(quote)
                if (quote + 1 == without_end(text) || text.get(quote + 1) == Some(&self.byte()))
                    && (self == Self::Comma || read.is_empty() || !field.contains(&b'\t')) =>
            {
                return Ok(Some((field, quote + 1)));
            }
            Some(quote) if self == Self::Comma && read.is_empty() => {
                let end = self.end(text, quote + 1);
                field.extend_from_slice(&text[quote + 1..end]);
                return Ok(Some((field, end)));
            }
            Some(_) if self == Self::Comma => {
                return Err(DataError::QuoteInside { place: place.to_owned(), line: lines.number() });
            }
            _ => {}
        }
        text.truncate(first);
        lines.give_back(read);
        Ok(None)
    }
}

/// Where `byte` stands at `from` or behind it.
fn find(text: &[u8], from: usize, byte: u8) -> Option<usize> {
    text[from..].iter().position(|&other| other == byte).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(delimiter: Delimiter, text: &str) -> Result<Vec<(u64, String)>> {
        let mut lines = LineReader::new(text.as_bytes(), "t".to_owned(), "t".into());
        let mut rows = Vec::new();
        while let Some(Fields { line, fields }) = delimiter.read_row(&mut lines)? {
            let fields: Vec<String> = fields.into_iter().map(|field| String::from_utf8(field).unwrap()).collect();
            rows.push((line, fields.join("|")));
        }
        Ok(rows)
    }

    fn texts(delimiter: Delimiter, text: &str) -> Vec<String> {
        rows(delimiter, text).unwrap().into_iter().map(|(_, fields)| fields).collect()
    }

    #[test]
    fn in_tsv_a_quote_that_begins_a_text_is_a_character() {
        let text =
            "good\tpos\n\"great card, he said\tpos\nbad\tneg\n\"poor\" my card\tneg\nsaid \"fine\"\tpos\n\"\tneg\n";
        let rows =
            ["good|pos", "\"great card, he said|pos", "bad|neg", "\"poor\" my card|neg", "said \"fine\"|pos", "\"|neg"];
        assert_eq!(texts(Delimiter::Tab, text), rows);
        assert_eq!(texts(Delimiter::Tab, "\"\"\tx\n\"a \"\"b\"\" c\"\tx\n"), ["|x", "a \"b\" c|x"]);
    }

    #[test]
    fn a_field_over_several_lines_is_one_field_and_the_next_row_keeps_its_line() {
        for (delimiter, d) in [(Delimiter::Tab, "\t"), (Delimiter::Comma, ",")] {
            let text = format!("\"two\n\nlines\"{d}x\n\nnext{d}y");
            assert_eq!(rows(delimiter, &text).unwrap(), [(1, "two\n\nlines|x".to_owned()), (5, "next|y".to_owned())]);
        }
        assert_eq!(texts(Delimiter::Comma, "\"a,\nb\",c\n"), ["a,\nb|c"]);
    }

    #[test]
    fn in_tsv_a_bare_quote_swallows_no_rows() {
        assert_eq!(texts(Delimiter::Tab, "\"open\ta\nb\tc\nd\t\"\ne\tf\n"), ["\"open|a", "b|c", "d|\"", "e|f"]);
        assert_eq!(texts(Delimiter::Tab, "x\t\"open\nb\tc\nd\te\"\n"), ["x|\"open", "b|c", "d|e\""]);
        assert_eq!(rows(Delimiter::Tab, "\"never closed\nb\n").unwrap()[1].0, 2, "a line read ahead is a row again");
    }

    #[test]
    fn in_csv_a_quote_that_swallows_rows_is_an_error_with_its_lines() {
        let said = |text: &str| rows(Delimiter::Comma, text).unwrap_err().to_string();
        insta::assert_snapshot!(said("a,b\n\"great, he said,pos\nbad,neg\n\"poor\" my card,neg\n"), @"t:2 opens a quote that goes on to line 4, where text follows the quote that closes it");
        insta::assert_snapshot!(said("a,b\n\"open,x\nb,c\n"), @"t:2 opens a quote that is never closed");
        assert_eq!(texts(Delimiter::Comma, "\"a, b\" c,d\n"), ["a, b c|d"], "as other readers have it");
    }

    #[test]
    fn a_file_whose_lines_end_with_carriage_returns_is_read_row_by_row_with_their_lines() {
        let told = |rows: &[(u64, &str)]| rows.iter().map(|(line, row)| (*line, (*row).to_owned())).collect::<Vec<_>>();
        let expected = told(&[(1, "text|label"), (2, "good|pos"), (3, "two\rlines|neg"), (6, "bad|neg")]);
        for (delimiter, d) in [(Delimiter::Tab, "\t"), (Delimiter::Comma, ",")] {
            let text = format!("text{d}label\rgood{d}pos\r\"two\rlines\"{d}neg\r\rbad{d}neg");
            assert_eq!(rows(delimiter, &text).unwrap(), expected);
            assert_eq!(rows(delimiter, &(text + "\r")).unwrap(), expected);
        }
        let broken = rows(Delimiter::Comma, "a,b\rc,d\r\"open,x\r").unwrap_err().to_string();
        assert_eq!(broken, "t:3 opens a quote that is never closed");
        let quoted = rows(Delimiter::Comma, "\"a\rb\",c\nd\re,f\n").unwrap();
        assert_eq!(quoted, told(&[(1, "a\rb|c"), (2, "d\re|f")]), "elsewhere it is text");
    }

    #[test]
    fn an_empty_field_at_the_end_is_a_field() {
        assert_eq!(texts(Delimiter::Tab, "a\t\n\tb\n"), ["a|", "|b"]);
        assert_eq!(texts(Delimiter::Comma, "a,\n,b\n\"\"\n"), ["a|", "|b", ""]);
    }
}
