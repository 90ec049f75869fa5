//! Values as Python writes them: by `json.dumps`, for the filter `tojson` of chat templates, and by `str`, where a template prints
//! a list or a dictionary.
//!
//! The former differs from other writers of JSON in spaces (`", "` and `": "`), in how floats look and in what is escaped; a
//! template that lists tools would make other tokens without it.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};
use serde_json::Value as Json;

/// The most bytes and values of a list or dictionary that is written out.
const MOST: usize = 4 << 20;

/// The deepest that lists and dictionaries stand in one another.
const DEEPEST: usize = 100;

/// The most spaces that a level is set in by.
const WIDEST: usize = 64;

/// Refuses what would be too long once it is written out: a list that holds another twice, which holds another twice, is small
/// itself.
fn affordable(value: &Value, left: &mut usize, deep: usize) -> Result<(), Error> {
    let spent = 1 + value.as_str().map_or(0, str::len);
    *left = left.checked_sub(spent).filter(|left| *left > 0).ok_or(Error::from(ErrorKind::OutOfFuel))?;
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
        return Ok(());
    }
    if deep == DEEPEST {
        let reason = format!("lists and dictionaries stand in one another more than {DEEPEST} deep");
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    for item in value.try_iter()? {
        affordable(&item, left, deep + 1)?;
        if value.kind() == ValueKind::Map {
            affordable(&value.get_item(&item)?, left, deep + 1)?;
        }
    }
    Ok(())
}

/// `json.dumps(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub(crate) fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::InvalidOperation, "an undefined value cannot be written as JSON"));
    }
    let mut left = MOST;
    affordable(value, &mut left, 0)?;
    let json = serde_json::to_value(value)
        .map_err(|e| Error::new(ErrorKind::InvalidOperation, format!("it cannot be written as JSON: {e}")))?;
    let indent = match options.get::<Option<Value>>("indent")? {
        None => None,
        Some(indent) => match (indent.as_usize(), indent.as_str()) {
            (Some(spaces), _) if spaces <= WIDEST => Some(" ".repeat(spaces)),
            (None, Some(text)) if text.len() <= WIDEST => Some(text.to_owned()),
            (None, None) if indent.is_none() => None,
            _ => {
                let reason = format!("indent is not a number of spaces, expected at most {WIDEST}");
                return Err(Error::new(ErrorKind::InvalidOperation, reason));
            }
        },
    };
    let (item, key) = match options.get::<Option<Vec<String>>>("separators")?.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(Error::new(ErrorKind::InvalidOperation, "separators are not a pair")),
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sorted = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    let mut out = String::new();
    Writer { indent, item, key, ascii, sorted }.write(&json, 0, &mut out);
    Ok(out)
}

struct Writer {
    indent: Option<String>,
    item: String,
    key: String,
    ascii: bool,
    sorted: bool,
}

impl Writer {
    fn write(&self, value: &Json, level: usize, out: &mut String) {
        match value {
            Json::Null => out.push_str("null"),
            Json::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Json::Number(n) => match n.as_f64().filter(|_| n.is_f64()) {
                Some(float) => out.push_str(&float_repr(float)),
                None => out.push_str(&n.to_string()),
            },
            Json::String(text) => self.string(text, out),
            Json::Array(items) => {
                let each = items.iter().map(|item| (None, item)).collect();
                self.list(('[', ']'), each, level, out);
            }
            Json::Object(members) => {
                let mut each: Vec<_> = members.iter().map(|(key, value)| (Some(key), value)).collect();
                if self.sorted {
                    each.sort_by_key(|(key, _)| *key);
                }
                self.list(('{', '}'), each, level, out);
            }
        }
    }

    fn list(&self, (open, close): (char, char), each: Vec<(Option<&String>, &Json)>, level: usize, out: &mut String) {
        out.push(open);
        let some = !each.is_empty();
        for (at, (key, value)) in each.into_iter().enumerate() {
            if at > 0 {
                out.push_str(&self.item);
            }
            self.line(level + 1, out);
            if let Some(key) = key {
                self.string(key, out);
                out.push_str(&self.key);
            }
            self.write(value, level + 1, out);
        }
        if some {
            self.line(level, out);
        }
        out.push(close);
    }

    fn line(&self, level: usize, out: &mut String) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            out.push_str(&indent.repeat(level));
        }
    }

    fn string(&self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if c < ' ' || (self.ascii && !c.is_ascii()) || (self.ascii && c == '\u{7f}') => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

/// `str(value)` of what Python writes otherwise than minijinja: floats, lists and dictionaries.
///
/// # Errors
/// It would be too long.
pub(crate) fn shown(value: &Value) -> Result<Option<String>, Error> {
    Ok(match value.kind() {
        ValueKind::Number => float(value).map(float_repr),
        ValueKind::Seq | ValueKind::Map => {
            let mut left = MOST;
            affordable(value, &mut left, 0)?;
            let mut out = String::new();
            repr(value, &mut out).then_some(out)
        }
        _ => None,
    })
}

/// A number that Python has as a float.
fn float(value: &Value) -> Option<f64> {
    (value.kind() == ValueKind::Number && !value.is_integer()).then(|| f64::try_from(value.clone()).ok()).flatten()
}

/// `repr(value)`; false of one that Python has no plain word for.
fn repr(value: &Value, out: &mut String) -> bool {
    match value.kind() {
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => out.push_str(&float(value).map_or_else(|| value.to_string(), float_repr)),
        ValueKind::String => match value.as_str() {
            Some(text) => text_repr(text, out),
            None => return false,
        },
        ValueKind::Seq | ValueKind::Map => {
            let Ok(items) = value.try_iter() else { return false };
            let map = value.kind() == ValueKind::Map;
            out.push(if map { '{' } else { '[' });
            for (at, item) in items.enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                if !repr(&item, out) {
                    return false;
                }
                if map {
                    out.push_str(": ");
                    if !value.get_item(&item).is_ok_and(|value| repr(&value, out)) {
                        return false;
                    }
                }
            }
            out.push(if map { '}' } else { ']' });
        }
        _ => return false,
    }
    true
}

/// `repr(text)`: in single quotes unless only double ones need no escape; what cannot be printed by its number.
fn text_repr(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            '\'' | '"' => out.push(c),
            c if is_printable(c) => out.push(c),
            c => {
                let number = u32::from(c);
                out.push_str(&match number {
                    0..=0xff => format!("\\x{number:02x}"),
                    0x100..=0xffff => format!("\\u{number:04x}"),
                    _ => format!("\\U{number:08x}"),
                });
            }
        }
    }
    out.push(quote);
}

/// As `str.isprintable` of Python. Rust has the same table, behind the escapes of text for people who look for mistakes; of a
/// character that is not the first it escapes nothing else.
fn is_printable(c: char) -> bool {
    let mut buffer = [b'x'; 5];
    let length = 1 + c.encode_utf8(&mut buffer[1..]).len();
    std::str::from_utf8(&buffer[..length]).is_ok_and(|text| text.escape_debug().eq(text.chars()))
}

/// `repr(float)`: the shortest digits that give it back, an exponent below 1e-4 and from 1e16 on.
pub(crate) fn float_repr(value: f64) -> String {
    let short = format!("{value:e}");
    let Some((digits, exponent)) = short.split_once('e') else { return short };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_look_as_in_python() {
        let known = [
            ("it's", "\"it's\""),
            ("\"it\"", "'\"it\"'"),
            ("\"it's\"", "'\"it\\'s\"'"),
            ("a\\b\n\t\r\0", "'a\\\\b\\n\\t\\r\\x00'"),
            ("Zürich 🙂 e\u{301}", "'Zürich 🙂 e\u{301}'"),
            ("\u{a0}\u{ad}\u{200b}\u{e000}\u{10ffff}", "'\\xa0\\xad\\u200b\\ue000\\U0010ffff'"),
        ];
        for (text, wanted) in known {
            let mut out = String::new();
            text_repr(text, &mut out);
            assert_eq!(out, wanted);
        }
    }

    #[test]
    fn floats_look_as_in_python() {
        let known = [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e15, "1000000000000000.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (0.0, "0.0"),
            (1e300, "1e+300"),
        ];
        for (value, text) in known {
            assert_eq!(float_repr(value), text);
        }
    }
}
