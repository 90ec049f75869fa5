//! One row of source data, and the values in it.

use retune_roles::Value;
use retune_roles::preprocessor::Fields;

use crate::error::place;
use crate::{DataError, Result};

/// One row on its way through the preprocessors.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// File name and line: `train.csv:17`; rows that a stage made beyond the first of one row carry
    /// `#1`, `#2` and so on behind it.
    pub key: String,
    /// The row of the file this came from; rows of one origin never part when a split is made.
    /// `None` for rows that a stage made of many.
    pub line: Option<u64>,
    /// Columns in the order of the file.
    pub fields: Fields,
}

impl Record {
    /// The row that begins on `line` of `file`.
    pub fn new(file: &str, line: u64, fields: Fields) -> Self {
        Self { key: place(file, line), line: Some(line), fields }
    }

    /// The value of a column.
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.fields.iter().find(|(name, _)| name == column).map(|(_, value)| value)
    }

    /// The value of a column that must be there; `purpose` is the recipe's key for it.
    pub fn require(&self, column: &str, purpose: &str) -> Result<&Value> {
        self.get(column).ok_or_else(|| {
            let available: Vec<String> = self.fields.iter().map(|(name, _)| name.clone()).collect();
            let nearest =
                retune_roles::nearest::nearest(column, available.iter().map(String::as_str)).map(str::to_owned);
            DataError::ColumnMissing {
                place: self.key.clone(),
                column: column.to_owned(),
                purpose: purpose.to_owned(),
                nearest,
                available,
            }
        })
    }

    /// The text of a column that must hold some; numbers and booleans count as their text.
    pub fn text(&self, column: &str, purpose: &str) -> Result<String> {
        match self.require(column, purpose)? {
            Value::Null => Err(self.missing(column, purpose)),
            value => scalar(value).ok_or_else(|| self.kind(column, purpose, value, "text")),
        }
    }

    /// The number in a column that must hold one.
    pub fn number(&self, column: &str, purpose: &str) -> Result<f32> {
        let value = self.require(column, purpose)?;
        let number = match value {
            Value::Null => return Err(self.missing(column, purpose)),
            Value::Boolean(b) => Some(f64::from(u8::from(*b))),
            Value::Integer(i) => Some(*i as f64),
            Value::Number(n) => Some(*n),
            Value::Text(text) if text.trim().is_empty() => return Err(self.missing(column, purpose)),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number.map(|n| n as f32).filter(|n| n.is_finite()) {
            Some(number) => Ok(number),
            None => Err(self.kind(column, purpose, value, "a finite number")),
        }
    }

    /// The label in a column that must hold one: text, whole numbers and booleans; text is trimmed.
    pub fn label(&self, column: &str) -> Result<String> {
        let purpose = "data.columns.label";
        let value = self.require(column, purpose)?;
        match value {
            Value::Null => Err(self.missing(column, purpose)),
            Value::Text(text) if text.trim().is_empty() => Err(self.missing(column, purpose)),
            Value::Text(text) => Ok(text.trim().to_owned()),
            Value::Integer(_) | Value::Boolean(_) => {
                scalar(value).ok_or_else(|| self.kind(column, purpose, value, "a label"))
            }
            _ => Err(self.kind(column, purpose, value, "text or a whole number")),
        }
    }

    pub(crate) fn missing(&self, column: &str, purpose: &str) -> DataError {
        DataError::ValueMissing { place: self.key.clone(), column: column.to_owned(), purpose: purpose.to_owned() }
    }

    pub(crate) fn kind(&self, column: &str, purpose: &str, value: &Value, expected: &str) -> DataError {
        let found = match value {
            Value::Text(text) => format!("`{}`", text.chars().take(40).collect::<String>()),
            Value::Number(n) => format!("the number {n}"),
            Value::Json(_) => "nested JSON".to_owned(),
            other => format!("a value of kind {}", other.kind()),
        };
        DataError::ValueKind {
            place: self.key.clone(),
            column: column.to_owned(),
            purpose: purpose.to_owned(),
            found,
            expected: expected.to_owned(),
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(i) => Some(i.to_string()),
        Value::Number(n) => Some(n.to_string()),
        Value::Boolean(b) => Some(b.to_string()),
        _ => None,
    }
}

/// The fields of one line of JSON. Strings, numbers, booleans and null become values of their kind; arrays
/// and objects stay JSON.
pub fn fields_of_json(line: &str, place: impl Fn() -> String) -> Result<Fields> {
    if line.trim_start().starts_with('[') {
        return Err(DataError::NotAnObject { place: place(), found: "an array" });
    }
    let value: serde_json::Value = serde_json::from_str(line).map_err(|e| DataError::BadJson {
        place: place(),
        reason: e.to_string().replace("at line 1 column", "at column"),
    })?;
    let found = match value {
        serde_json::Value::Object(object) => {
            return Ok(object.into_iter().map(|(name, value)| (name, value_of_json(value))).collect());
        }
        serde_json::Value::Array(_) => "an array",
        serde_json::Value::String(_) => "a string",
        serde_json::Value::Number(_) => "a number",
        serde_json::Value::Bool(_) => "a boolean",
        serde_json::Value::Null => "null",
    };
    Err(DataError::NotAnObject { place: place(), found })
}

fn value_of_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(b) => Value::Boolean(b),
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Value::Integer(i),
            (None, Some(f)) => Value::Number(f),
            (None, None) => Value::Json(n.to_string()),
        },
        nested @ (serde_json::Value::Array(_) | serde_json::Value::Object(_)) => Value::Json(nested.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: &str) -> Record {
        Record::new("t.jsonl", 4, fields_of_json(json, || "t.jsonl:4".to_owned()).unwrap())
    }

    #[test]
    fn json_values_keep_their_kind_and_order() {
        let row = record(r#"{"b": 1, "a": "x", "c": null, "d": [1, {"e": 2}], "f": 1.5, "g": true}"#);
        let names: Vec<&str> = row.fields.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["b", "a", "c", "d", "f", "g"]);
        assert_eq!(row.get("b"), Some(&Value::Integer(1)));
        assert_eq!(row.get("d"), Some(&Value::Json(r#"[1,{"e":2}]"#.to_owned())));
        assert_eq!(row.get("f"), Some(&Value::Number(1.5)));
        assert_eq!(row.get("c"), Some(&Value::Null));
    }

    #[test]
    fn a_label_may_be_text_or_a_whole_number_and_nothing_else() {
        assert_eq!(record(r#"{"l": 3}"#).label("l").unwrap(), "3");
        assert_eq!(record(r#"{"l": " spam "}"#).label("l").unwrap(), "spam");
        assert!(matches!(record(r#"{"l": 0.5}"#).label("l"), Err(DataError::ValueKind { .. })));
        assert!(matches!(record(r#"{"l": null}"#).label("l"), Err(DataError::ValueMissing { .. })));
        assert!(matches!(record(r#"{"l": "  "}"#).label("l"), Err(DataError::ValueMissing { .. })));
        assert!(matches!(record(r#"{"l": ["a"]}"#).label("l"), Err(DataError::ValueKind { .. })));
    }

    #[test]
    fn a_number_is_finite_or_an_error() {
        assert_eq!(record(r#"{"w": "0.25"}"#).number("w", "data.extra_columns").unwrap(), 0.25);
        assert!(matches!(
            record(r#"{"w": "NaN"}"#).number("w", "data.extra_columns"),
            Err(DataError::ValueKind { .. })
        ));
        assert!(matches!(
            record(r#"{"w": "big"}"#).number("w", "data.extra_columns"),
            Err(DataError::ValueKind { .. })
        ));
    }
}
