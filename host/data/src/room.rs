//! How much text is tokenised at a time: of one row, and of all rows that are worked on together.
//!
//! A tokenizer takes up to some hundred bytes of memory for each byte of a text, and knows no limit of its own. So a row with
//! more than [`LONGEST_TEXT`] bytes is refused, and long rows wait until together they have no more than that. Short rows,
//! which are all rows of most data, do not ask. Price: two look-ups of columns a row; where rows are long, workers that wait.

use std::sync::{Condvar, Mutex, PoisonError};

use retune_roles::LONGEST_TEXT;

use crate::record::Record;
use crate::spec::Columns;
use crate::{DataError, Result};

/// Bytes from which a row asks for room.
const LONG: usize = 256 << 10;

/// Room for the texts that are worked on.
#[derive(Debug, Default)]
pub(crate) struct Room {
    taken: Mutex<usize>,
    freed: Condvar,
}

/// Room that was taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    room: &'a Room,
    length: usize,
}

impl Room {
    /// Waits until there is room for the text of `record` in `columns`.
    ///
    /// # Errors
    /// It has more than there ever is room for.
    pub fn take(&self, record: &Record, columns: &[String]) -> Result<Taken<'_>> {
        let lengths = || {
            let read = record.fields.iter().filter(|(name, _)| columns.contains(name));
            read.map(|(name, value)| (value.byte_len(), name))
        };
        let length = lengths().fold(0_usize, |sum, (length, _)| sum.saturating_add(length));
        if length > LONGEST_TEXT {
            let column = lengths().max_by_key(|(length, _)| *length).map(|(_, name)| name.clone()).unwrap_or_default();
            return Err(DataError::TextTooLong { place: record.key.clone(), column, length, most: LONGEST_TEXT });
        }
        let length = if length < LONG { 0 } else { length };
        if length > 0 {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            while *taken > 0 && *taken + length > LONGEST_TEXT {
                taken = self.freed.wait(taken).unwrap_or_else(PoisonError::into_inner);
            }
            *taken += length;
        }
        Ok(Taken { room: self, length })
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.length > 0 {
            let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
            *taken = taken.saturating_sub(self.length);
            self.room.freed.notify_all();
        }
    }
}

/// The columns whose text is tokenised.
pub(crate) fn texts(columns: &Columns) -> Vec<String> {
    let optional = [
        &columns.text_pair,
        &columns.prompt,
        &columns.completion,
        &columns.messages,
        &columns.tools,
        &columns.tokens,
        &columns.tags,
    ];
    optional.into_iter().flatten().chain([&columns.text]).cloned().collect()
}

#[cfg(test)]
mod tests {
    use retune_roles::Value;

    use super::*;

    fn record(line: u64, texts: &[(&str, usize)]) -> Record {
        let field = |(name, length): &(&str, usize)| ((*name).to_owned(), Value::Text("x".repeat(*length)));
        Record::new("train.csv", line, texts.iter().map(field).collect())
    }

    fn columns() -> Vec<String> {
        vec!["prompt".to_owned(), "text".to_owned()]
    }

    #[test]
    fn a_row_with_more_text_than_is_tokenised_is_refused_by_its_place() {
        let room = Room::default();
        assert!(room.take(&record(1, &[("text", LONGEST_TEXT), ("other", LONGEST_TEXT)]), &columns()).is_ok());
        let long = record(7, &[("prompt", 9), ("text", LONGEST_TEXT)]);
        insta::assert_snapshot!(room.take(&long, &columns()).unwrap_err(), @"train.csv:7 has 8388617 bytes of text, most of them in column `text`; at most 8388608 are tokenised of a row");
    }

    #[test]
    fn long_rows_wait_until_there_is_room_and_short_ones_do_not() {
        let room = Room::default();
        let half = record(1, &[("text", LONGEST_TEXT / 2 + 1)]);
        let most = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _taken = room.take(&half, &columns()).unwrap();
                        most.fetch_max(*room.taken.lock().unwrap(), std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), LONGEST_TEXT / 2 + 1, "one at a time");
        assert_eq!(*room.taken.lock().unwrap(), 0);
        let _one = room.take(&half, &columns()).unwrap();
        let _short = room.take(&record(2, &[("text", LONG - 1)]), &columns()).unwrap();
    }
}
