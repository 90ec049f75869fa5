//! What is compared of a row: its texts, and its label.

use std::collections::HashMap;

use retune_sdk::{Error, Result, Sample, Value};

/// The columns of text of a row, but for the label.
///
/// # Errors
/// When there is none.
pub fn of_text(sample: &Sample, label: Option<&str>) -> Result<Vec<String>> {
    let is_text = |(name, value): &&(String, Value)| Some(name.as_str()) != label && matches!(value, Value::Text(_));
    let names: Vec<String> = sample.fields.iter().filter(is_text).map(|(name, _)| name.clone()).collect();
    match names.is_empty() {
        true => Err(Error::input(format!("{} has no column of text; name those to compare in `fields`", sample.key))),
        false => Ok(names),
    }
}

/// The text in a column. Numbers and booleans count as their text, as the host reads them; null is empty.
///
/// # Errors
/// When there is no such column or it holds something else.
pub fn text(sample: &Sample, name: &str) -> Result<String> {
    match sample.get(name) {
        Some(Value::Null) => Ok(String::new()),
        value => value.and_then(plain).map_or_else(|| sample.text(name).map(String::from), Ok),
    }
}

/// Lower case, one space between words.
pub fn normal(text: &str) -> String {
    text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

fn plain(value: &Value) -> Option<String> {
    Some(match value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        _ => return None,
    })
}

/// The labels of a file, numbered in the order they come.
#[derive(Debug, Default)]
pub struct Labels {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
}

impl Labels {
    /// The number of a row without a label.
    pub const NONE: u32 = 0;

    /// The number of a row's label, which is in `column`.
    ///
    /// # Errors
    /// When the column holds something that is no label.
    pub fn number(&mut self, sample: &Sample, column: Option<&str>) -> Result<u32> {
        let label = match column.and_then(|column| Some((column, sample.get(column)?))) {
            None | Some((_, Value::Null)) => return Ok(Self::NONE),
            Some((column, value)) => match plain(value) {
                Some(label) => label.trim().to_owned(),
                None => {
                    let (key, kind) = (&sample.key, value.kind());
                    return Err(Error::input(format!("the label `{column}` of {key} holds {kind}, not a label")));
                }
            },
        };
        if label.is_empty() {
            return Ok(Self::NONE);
        }
        if let Some(number) = self.numbers.get(&label) {
            return Ok(*number);
        }
        self.names.push(label.clone());
        let number = self.names.len() as u32;
        self.numbers.insert(label, number);
        Ok(number)
    }

    /// The label of a number.
    pub fn name(&self, number: u32) -> &str {
        (number as usize).checked_sub(1).and_then(|at| self.names.get(at)).map_or("", String::as_str)
    }
}
