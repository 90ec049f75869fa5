//! What a row teaches that is more than one label: any number of labels, or numbers.
//!
//! Labels stand in one column, as a list (in a table: JSON, or names with a separator between them), or in a column of 0 and 1
//! for each. Numbers stand in one column, as a number or a list, or in a column for each.

use retune_roles::{TaskKind, Value};

use crate::record::Record;
use crate::row::Several;
use crate::rows_file::RowsFile;
use crate::spec::Columns;
use crate::{DataError, Result};

const LABEL: &str = "data.columns.label";
const LABELS: &str = "data.columns.labels";

/// The columns that are read, each with the recipe's key for it.
pub(crate) fn columns(columns: &Columns) -> Vec<(String, &'static str)> {
    match columns.labels.as_slice() {
        [] => columns.label.iter().map(|column| (column.clone(), LABEL)).collect(),
        several => several.iter().map(|column| (column.clone(), LABELS)).collect(),
    }
}

/// What a row teaches for `task`.
///
/// # Errors
/// A column is missing, or holds something else.
pub(crate) fn read(record: &Record, columns: &Columns, task: TaskKind) -> Result<Several> {
    let column = columns.label.as_deref().unwrap_or_default();
    match (task, columns.labels.as_slice()) {
        (TaskKind::Regression, []) => numbers(record, column).map(Several::Values),
        (TaskKind::Regression, each) => {
            let values = each.iter().map(|column| record.number(column, LABELS));
            values.collect::<Result<_>>().map(Several::Values)
        }
        (_, []) => names(record, column, columns.label_separator.as_deref()).map(Several::Labels),
        (_, each) => {
            let mut held = Vec::new();
            for column in each {
                if flag(record, column)? {
                    held.push(column.clone());
                }
            }
            Ok(Several::Labels(held))
        }
    }
}

/// The names in a column that holds any number of them, each once.
fn names(record: &Record, column: &str, separator: Option<&str>) -> Result<Vec<String>> {
    let expected = match separator {
        Some(_) => "a list of labels, or text with the separator between labels",
        None => "a list of labels (for labels in one text, write label_separator = \",\" or what stands between them)",
    };
    let value = record.require(column, LABEL)?;
    let wrong = || record.kind(column, LABEL, value, expected);
    let mut all: Vec<String> = match (value, separator) {
        (Value::Null, _) => return Err(record.missing(column, LABEL)),
        (Value::Text(text), _) if text.trim().is_empty() => Vec::new(),
        (Value::Text(text), Some(separator)) => {
            text.split(separator).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
        }
        (Value::Json(text), _) => list(text, name).ok_or_else(wrong)?,
        (Value::Text(text), None) if text.trim_start().starts_with('[') => list(text, name).ok_or_else(wrong)?,
        // A number in a table, where names are numbers and there is one of them.
        (Value::Integer(number), Some(_)) => vec![number.to_string()],
        _ => return Err(wrong()),
    };
    let mut seen = std::collections::HashSet::new();
    all.retain(|name| seen.insert(name.clone()));
    Ok(all)
}

/// The numbers in a column that holds one or a list.
fn numbers(record: &Record, column: &str) -> Result<Vec<f32>> {
    let value = record.require(column, LABEL)?;
    let text = match value {
        Value::Json(text) => text,
        Value::Text(text) if text.trim_start().starts_with('[') => text,
        _ => return record.number(column, LABEL).map(|number| vec![number]),
    };
    let finite = |item: &serde_json::Value| item.as_f64().map(|x| x as f32).filter(|x| x.is_finite());
    let found = list(text, finite).filter(|numbers| !numbers.is_empty());
    found.ok_or_else(|| record.kind(column, LABEL, value, "a finite number, or a list of them"))
}

/// Whether a column of 0 and 1 says that its label holds.
fn flag(record: &Record, column: &str) -> Result<bool> {
    let value = record.require(column, LABELS)?;
    match value {
        Value::Null => Err(record.missing(column, LABELS)),
        Value::Text(text) if text.trim().is_empty() => Err(record.missing(column, LABELS)),
        Value::Boolean(held) => Ok(*held),
        Value::Integer(number @ (0 | 1)) => Ok(*number == 1),
        Value::Number(number) if *number == 0.0 || *number == 1.0 => Ok(*number == 1.0),
        Value::Text(text) => match text.trim() {
            "0" | "0.0" | "false" | "False" => Ok(false),
            "1" | "1.0" | "true" | "True" => Ok(true),
            _ => Err(record.kind(column, LABELS, value, "0 or 1")),
        },
        Value::Integer(number) => Err(DataError::ValueKind {
            place: record.key.clone(),
            column: column.to_owned(),
            purpose: LABELS.to_owned(),
            found: format!("the number {number}"),
            expected: "0 or 1".to_owned(),
        }),
        _ => Err(record.kind(column, LABELS, value, "0 or 1")),
    }
}

fn list<T>(text: &str, of: impl Fn(&serde_json::Value) -> Option<T>) -> Option<Vec<T>> {
    let items: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
    items.iter().map(of).collect()
}

/// A name in a list: text, or a whole number.
fn name(item: &serde_json::Value) -> Option<String> {
    match item {
        serde_json::Value::String(name) if !name.trim().is_empty() => Some(name.trim().to_owned()),
        serde_json::Value::Number(number) => number.as_i64().map(|number| number.to_string()),
        _ => None,
    }
}

/// What the numbers of the rows in `file` are called.
///
/// # Errors
/// A row has more or fewer of them than the first.
pub(crate) fn outputs(columns: &Columns, file: &RowsFile) -> Result<Vec<String>> {
    if !columns.labels.is_empty() {
        return Ok(columns.labels.clone());
    }
    let column = columns.label.clone().unwrap_or_default();
    let count = if file.len() > 0 { file.values(0).map_or(1, |values| values.len()) } else { 1 };
    let names = if count == 1 { vec![column] } else { (0..count).map(|at| format!("{column}_{at}")).collect() };
    let first = || format!("{} has {count}", file.key(0));
    check_count(columns, file, count, first).map(|()| names)
}

/// Refuses a row that has not `count` numbers; `because` says where the count comes from.
///
/// # Errors
/// Names the row.
pub(crate) fn check_count(
    columns: &Columns,
    file: &RowsFile,
    count: usize,
    because: impl Fn() -> String,
) -> Result<()> {
    for row in 0..file.len() {
        let found = file.values(row).map_or(count, |values| values.len());
        if found != count {
            return Err(DataError::NumbersUneven {
                place: file.key(row),
                column: columns.label.clone().unwrap_or_default(),
                found,
                because: because(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fields_of_json;

    fn record(json: &str) -> Record {
        Record::new("t.jsonl", 4, fields_of_json(json, || "t.jsonl:4".to_owned()).unwrap())
    }

    fn one(separator: Option<&str>) -> Columns {
        Columns { label: Some("l".to_owned()), label_separator: separator.map(str::to_owned), ..Columns::default() }
    }

    fn each() -> Columns {
        Columns { labels: vec!["rude".to_owned(), "spam".to_owned()], ..Columns::default() }
    }

    fn labels(json: &str, columns: &Columns) -> Vec<String> {
        match read(&record(json), columns, TaskKind::MultiLabelClassification).unwrap() {
            Several::Labels(labels) => labels,
            Several::Values(values) => panic!("{values:?}"),
        }
    }

    fn values(json: &str, columns: &Columns) -> Vec<f32> {
        match read(&record(json), columns, TaskKind::Regression).unwrap() {
            Several::Values(values) => values,
            Several::Labels(labels) => panic!("{labels:?}"),
        }
    }

    fn refused(json: &str, columns: &Columns, task: TaskKind) -> String {
        read(&record(json), columns, task).unwrap_err().to_string()
    }

    #[test]
    fn labels_are_a_list_a_text_with_separators_or_columns_of_0_and_1() {
        assert_eq!(labels(r#"{"l": ["b", " a ", "b"]}"#, &one(None)), ["b", "a"]);
        assert_eq!(labels(r#"{"l": [2, 0]}"#, &one(None)), ["2", "0"]);
        assert_eq!(labels(r#"{"l": []}"#, &one(None)), [""; 0]);
        assert_eq!(labels(r#"{"l": "[\"a\"]"}"#, &one(None)), ["a"], "a list in a table");
        assert_eq!(labels(r#"{"l": ""}"#, &one(None)), [""; 0]);
        assert_eq!(labels(r#"{"l": "a; b c;"}"#, &one(Some(";"))), ["a", "b c"]);
        assert_eq!(labels(r#"{"l": 7}"#, &one(Some(" "))), ["7"]);
        assert_eq!(labels(r#"{"rude": 1, "spam": "0"}"#, &each()), ["rude"]);
        assert_eq!(labels(r#"{"rude": false, "spam": 1.0}"#, &each()), ["spam"]);
    }

    #[test]
    fn numbers_are_one_a_list_or_columns() {
        assert_eq!(values(r#"{"l": 2}"#, &one(None)), [2.0]);
        assert_eq!(values(r#"{"l": "-0.5"}"#, &one(None)), [-0.5]);
        assert_eq!(values(r#"{"l": [1, 2.5]}"#, &one(None)), [1.0, 2.5]);
        assert_eq!(values(r#"{"l": "[3]"}"#, &one(None)), [3.0]);
        assert_eq!(values(r#"{"rude": 0.25, "spam": "4"}"#, &each()), [0.25, 4.0]);
    }

    #[test]
    fn what_is_no_list_of_labels_is_told_with_its_row() {
        let several = TaskKind::MultiLabelClassification;
        insta::assert_snapshot!(refused(r#"{"l": "a, b"}"#, &one(None), several));
        insta::assert_snapshot!(refused(r#"{"l": [0.5]}"#, &one(None), several));
        insta::assert_snapshot!(refused(r#"{"l": null}"#, &one(None), several));
        insta::assert_snapshot!(refused(r#"{"rude": 2, "spam": 0}"#, &each(), several));
        insta::assert_snapshot!(refused(r#"{"rude": "yes", "spam": 0}"#, &each(), several));
        insta::assert_snapshot!(refused(r#"{"rude": 1, "spma": 0}"#, &each(), several));
    }

    #[test]
    fn what_is_no_number_is_told_with_its_row() {
        let numbers = TaskKind::Regression;
        insta::assert_snapshot!(refused(r#"{"l": "high"}"#, &one(None), numbers));
        insta::assert_snapshot!(refused(r#"{"l": "NaN"}"#, &one(None), numbers));
        insta::assert_snapshot!(refused(r#"{"l": [1, "two"]}"#, &one(None), numbers));
        insta::assert_snapshot!(refused(r#"{"l": []}"#, &one(None), numbers));
        insta::assert_snapshot!(refused(r#"{"l": 1e39}"#, &one(None), numbers));
        insta::assert_snapshot!(refused(r#"{"rude": 1, "spam": ""}"#, &each(), numbers));
    }
}
