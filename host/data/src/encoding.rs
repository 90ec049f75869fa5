//! The bytes of a file as UTF-8: a byte order mark is taken off, and UTF-16 is converted.
//!
//! What a file is written in is told by its first bytes: `FF FE` and `FE FF` are UTF-16 (what spreadsheet
//! programs call "Unicode text"), `EF BB BF` is UTF-8. Without a mark a file is taken as UTF-8 and handed
//! on unchanged, so that the parsers can name the line of a byte that is not.

use std::io::{BufRead, Error, ErrorKind, Read};

/// A reader whose bytes are UTF-8, unless the file has no byte order mark and is not UTF-8.
#[derive(Debug)]
pub struct Utf8<R> {
    inner: R,
    encoding: Option<Encoding>,
    /// Converted bytes that were not handed over yet.
    converted: Vec<u8>,
    /// How many of them were.
    taken: usize,
    /// The first half of a character beyond U+FFFF, whose second half is still to come.
    high: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Encoding {
    Utf8,
    Utf16Little,
    Utf16Big,
}

impl<R: BufRead> Utf8<R> {
    /// Reads `inner` from its first byte.
    pub fn new(inner: R) -> Self {
        Self { inner, encoding: None, converted: Vec::new(), taken: 0, high: None }
    }

    fn recognise(&mut self) -> std::io::Result<Encoding> {
        if let Some(encoding) = self.encoding {
            return Ok(encoding);
        }
        let (encoding, mark) = match self.inner.fill_buf()? {
            [0xef, 0xbb, 0xbf, ..] => (Encoding::Utf8, 3),
            [0xff, 0xfe, ..] => (Encoding::Utf16Little, 2),
            [0xfe, 0xff, ..] => (Encoding::Utf16Big, 2),
            _ => (Encoding::Utf8, 0),
        };
        self.inner.consume(mark);
        self.encoding = Some(encoding);
        Ok(encoding)
    }

    /// Converts what the inner reader has at hand; false at the end of the file.
    fn convert(&mut self, encoding: Encoding) -> std::io::Result<bool> {
        self.converted.clear();
        self.taken = 0;
        let mut units = Vec::new();
        while units.len() < 1 << 14 {
            let mut unit = [0; 2];
            match read_unit(&mut self.inner, &mut unit)? {
                0 => break,
                1 => return Err(Error::new(ErrorKind::InvalidData, "the UTF-16 text ends in half a character")),
                _ if encoding == Encoding::Utf16Big => units.push(u16::from_be_bytes(unit)),
                _ => units.push(u16::from_le_bytes(unit)),
            }
        }
        let ended = units.is_empty();
        let mut all: Vec<u16> = self.high.take().into_iter().chain(units).collect();
        if !ended {
            self.high = all.pop_if(|last| (0xd800..0xdc00).contains(last));
        }
        let text = String::from_utf16(&all)
            .map_err(|_| Error::new(ErrorKind::InvalidData, "it begins like UTF-16 and is not valid UTF-16"))?;
        self.converted = text.into_bytes();
        Ok(!ended)
    }
}

/// Reads two bytes, fewer only at the end.
fn read_unit(reader: &mut impl Read, unit: &mut [u8; 2]) -> std::io::Result<usize> {
    let mut read = 0;
    while read < 2 {
        match reader.read(&mut unit[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

impl<R: BufRead> Read for Utf8<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let encoding = self.recognise()?;
        if encoding == Encoding::Utf8 {
            return self.inner.read(into);
        }
        while self.taken == self.converted.len() {
            if !self.convert(encoding)? {
                return Ok(0);
            }
        }
        let count = (&self.converted[self.taken..]).read(into)?;
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn read(bytes: &[u8], buffer: usize) -> std::io::Result<String> {
        let mut text = String::new();
        Utf8::new(BufReader::with_capacity(buffer, bytes)).read_to_string(&mut text)?;
        Ok(text)
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(bytes).collect()
    }

    #[test]
    fn utf16_of_both_byte_orders_reads_as_the_same_text() {
        let text = "text,label\nЗдравствуй 🙂,a\n".repeat(3000);
        for buffer in [4, 7, 1 << 16] {
            assert_eq!(read(&utf16(&text, u16::to_le_bytes), buffer).unwrap(), text);
            assert_eq!(read(&utf16(&text, u16::to_be_bytes), buffer).unwrap(), text);
        }
    }

    #[test]
    fn a_mark_of_utf8_is_taken_off_and_nothing_else_is_touched() {
        assert_eq!(read(b"\xef\xbb\xbfabc", 16).unwrap(), "abc");
        assert_eq!(read("aé".as_bytes(), 16).unwrap(), "aé");
        assert_eq!(read(b"", 16).unwrap(), "");
    }

    #[test]
    fn broken_utf16_is_an_error_and_not_replacement_characters() {
        assert_eq!(read(b"\xff\xfea\0b", 16).unwrap_err().to_string(), "the UTF-16 text ends in half a character");
        assert!(read(b"\xff\xfe\x00\xd8a\0", 16).unwrap_err().to_string().contains("not valid UTF-16"));
        assert!(read(b"\xff\xfe\x00\xd8", 16).is_err(), "half of a pair at the end");
    }
}
