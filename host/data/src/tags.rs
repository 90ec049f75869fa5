//! Words with a tag each, and the tokens that the tokenizer makes of them.
//!
//! As in the data sets of Hugging Face a row has a list of words and as many tags. In a table (CSV) a list is JSON, or words with
//! spaces between them. The words are tokenised as such, so that every token knows its word; whether its tag stands at the
//! first piece of a word or at all of them is decided when the row is read.

use retune_roles::{IGNORE_INDEX, Value};

use crate::record::Record;
use crate::row::{FURTHER, Tags};
use crate::{DataError, Result};

/// The words of a row, which may be none.
///
/// # Errors
/// The column is missing, or is no list of texts.
pub(crate) fn words(record: &Record, column: &str) -> Result<Vec<String>> {
    let purpose = "data.columns.tokens";
    list(record, column, purpose, "a list of words", |item| item.as_str().map(str::to_owned))
}

/// The tags of a row of so many words.
///
/// # Errors
/// The column is missing, is no list of names or whole numbers, or has more or fewer than there are words.
pub(crate) fn tags(record: &Record, column: &str, words: (&str, usize)) -> Result<Vec<String>> {
    let purpose = "data.columns.tags";
    let name = |item: &serde_json::Value| match item {
        serde_json::Value::String(name) if !name.trim().is_empty() => Some(name.trim().to_owned()),
        serde_json::Value::Number(number) => number.as_i64().map(|number| number.to_string()),
        _ => None,
    };
    let tags = list(record, column, purpose, "a list of names or whole numbers", name)?;
    if tags.len() != words.1 {
        return Err(DataError::TagsUnlikeWords {
            place: record.key.clone(),
            words: words.1,
            tags: tags.len(),
            columns: [words.0.to_owned(), column.to_owned()],
        });
    }
    Ok(tags)
}

fn list(
    record: &Record,
    column: &str,
    purpose: &str,
    expected: &str,
    of: impl Fn(&serde_json::Value) -> Option<String>,
) -> Result<Vec<String>> {
    let wrong = || record.kind(column, purpose, record.get(column).unwrap_or(&Value::Null), expected);
    let text = match record.require(column, purpose)? {
        Value::Null => return Err(record.missing(column, purpose)),
        Value::Json(text) | Value::Text(text) => text,
        _ => return Err(wrong()),
    };
    if !text.trim_start().starts_with(['[', '{']) {
        return Ok(text.split_whitespace().map(str::to_owned).collect());
    }
    let items: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|_| wrong())?;
    items.iter().map(of).collect::<Option<Vec<_>>>().ok_or_else(wrong)
}

/// The tags of tokens, each given by the number of its word; without `names` numbers stay those of words.
pub(crate) fn aligned(of_token: &[Option<u32>], words: usize, names: Option<Vec<String>>) -> Tags {
    let mut tags = Tags::default();
    let of_word: Option<Vec<i32>> = names.map(|names| {
        let number = |name: String| {
            let at = tags.names.iter().position(|known| *known == name).unwrap_or_else(|| {
                tags.names.push(name);
                tags.names.len() - 1
            });
            at as i32
        };
        names.into_iter().map(number).collect()
    });
    let (mut before, mut seen) = (None, vec![false; words]);
    for word in of_token {
        tags.numbers.push(match word {
            None => IGNORE_INDEX as i32,
            Some(word) => {
                let number = of_word.as_ref().map_or(Some(*word as i32), |tags| tags.get(*word as usize).copied());
                seen.get_mut(*word as usize).into_iter().for_each(|seen| *seen = true);
                number.map_or(IGNORE_INDEX as i32, |n| n | if before == Some(*word) { FURTHER } else { 0 })
            }
        });
        before = *word;
    }
    tags.lost = seen.iter().filter(|seen| !**seen).count() as u32;
    tags
}

/// Whether a tag goes on with an entity that no word before it began: `I-PER` behind anything but `B-PER` and `I-PER`.
pub(crate) fn strays(before: Option<&str>, tag: &str) -> bool {
    let Some(kind) = tag.strip_prefix("I-") else { return false };
    let begun = before.and_then(|tag| tag.strip_prefix("B-").or_else(|| tag.strip_prefix("I-")));
    begun != Some(kind)
}

/// What is to be said of tags that say nothing of entities.
pub(crate) fn warning(names: &[String]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let entity = |name: &String| name == "O" || name.get(1..2) == Some("-") && name.starts_with(['B', 'I', 'E', 'S']);
    if names.iter().all(|name| name.parse::<i64>().is_ok()) {
        let more = "entities cannot be told from numbers; name them, in their order, in data.labels";
        return Some(format!("the tags are the numbers {} to {}: {more}", names[0], names[names.len() - 1]));
    }
    if names.iter().any(entity) {
        return None;
    }
    Some(format!(
        "no tag begins with B- or I- (there is {}): runs of one tag count as entities; the metric `accuracy` counts words",
        crate::naming::list(names)
    ))
}

/// For each class the one that a further piece of its word has, where all pieces are labelled: the inside of an entity that the
/// first piece begins.
pub(crate) fn insides(names: &[String]) -> Vec<u32> {
    let inside = |name: &String| {
        let kind = name.strip_prefix("B-")?;
        names.iter().position(|other| other.strip_prefix("I-") == Some(kind))
    };
    names.iter().enumerate().map(|(class, name)| inside(name).unwrap_or(class) as u32).collect()
}

#[cfg(test)]
#[path = "tags_tests.rs"]
mod tests;
