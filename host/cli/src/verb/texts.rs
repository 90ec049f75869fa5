//! What `retune predict` is asked: texts of the command line, lines, or rows of a file by column.
//!
//! There is one [`Asked`] per line or row, in order, those without text included, so that answers can be put
//! beside what they answer. Price: all of them are in memory.

use std::io::{BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};

use retune_data::encoding::Utf8;
use retune_data::record::Record;
use retune_data::source::Rows;
use retune_data::{Columns, DataError, Format, Source};
use retune_recipe::diagnostic::{Diagnostic, Result, listed, unreadable};
use retune_roles::Value;
use retune_roles::nearest::nearest;
use retune_run::Reporter;
use serde_json::{Map, Value as Json};

/// One text or pair of texts.
#[derive(Debug, PartialEq)]
pub struct Asked {
    /// As it is printed beside the answer: of a pair, both with a tab between.
    pub text: String,
    /// Its columns; none where there is no text.
    pub fields: Option<Map<String, Json>>,
}

/// Where texts come from.
#[derive(Debug, Default, clap::Args)]
pub struct Texts {
    /// The texts [default: one per line of standard input]; of a model that reads pairs, two with a tab between
    #[arg(value_name = "TEXT", conflicts_with = "file")]
    texts: Vec<String>,
    /// Read a file: CSV, TSV and JSONL by the columns of the recipe, any other one text per line; `-` is standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How the file is written: csv, tsv, jsonl, text, lines, conll [default: told by the file's name, else lines]
    #[arg(long, value_name = "FORMAT", requires = "file", conflicts_with = "texts")]
    format: Option<Format>,
}

impl Texts {
    /// All of them, in order.
    ///
    /// # Errors
    /// When there is none, a file cannot be read, or a row lacks a column of `columns`.
    pub fn read(&self, columns: &Columns, console: &dyn Reporter) -> Result<Vec<Asked>> {
        let asked = match &self.file {
            None if !self.texts.is_empty() => self.texts.iter().map(|text| of_line(text, columns)).collect(),
            None => {
                if std::io::stdin().is_terminal() {
                    console.line("reading texts from standard input, one per line; end with Ctrl-D");
                }
                lines("standard input", std::io::stdin(), columns)
            }
            Some(path) if path.as_os_str() == "-" => self.of_standard_input(columns),
            Some(path) => self.of_file(path, columns),
        }?;
        if asked.iter().all(|asked| asked.fields.is_none()) {
            return Err(Diagnostic::new("there is no text to predict")
                .help("give it as an argument, by --file, or on standard input, one per line"));
        }
        Ok(asked)
    }

    fn of_standard_input(&self, columns: &Columns) -> Result<Vec<Asked>> {
        match self.format.filter(|format| *format != Format::Lines) {
            Some(format) => with_standard_input(format, |source| rows(source, columns)),
            None => lines("standard input", std::io::stdin(), columns),
        }
    }

    fn of_file(&self, path: &Path, columns: &Columns) -> Result<Vec<Asked>> {
        let mut source = Source::from(path);
        source.format = self.format;
        match source.resolved_format() {
            Ok(format @ (Format::Csv | Format::Tsv | Format::Jsonl | Format::Conll)) => source.format = Some(format),
            _ if self.format == Some(Format::Text) => {}
            _ => {
                let file = std::fs::File::open(path).map_err(|e| unreadable(path, &e))?;
                return lines(&path.display().to_string(), file, columns);
            }
        }
        std::fs::metadata(path).map_err(|e| unreadable(path, &e))?;
        rows(&source, columns)
    }
}

/// One text per line, blank ones included.
fn lines(name: &str, from: impl Read, columns: &Columns) -> Result<Vec<Asked>> {
    whole(name, from)?.lines().map(|line| of_line(line, columns)).collect()
}

/// All of a text. UTF-16 is converted and a byte order mark taken off.
pub(super) fn whole(name: &str, from: impl Read) -> Result<String> {
    let mut text = String::new();
    Utf8::new(BufReader::new(from)).read_to_string(&mut text).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => Diagnostic::new(format!("`{name}` is not UTF-8 text"))
            .because(e)
            .help("convert it first, for example: iconv -f WINDOWS-1252 -t UTF-8"),
        _ => Diagnostic::new(format!("cannot read `{name}`")).because(e),
    })?;
    Ok(text)
}

/// Standard input as a file of this format, while `read` reads it.
pub(super) fn with_standard_input<T>(format: Format, read: impl FnOnce(&Source) -> Result<T>) -> Result<T> {
    let cannot = |e: std::io::Error| Diagnostic::new("cannot keep standard input in a temporary file").because(e);
    let folder = tempfile::tempdir().map_err(cannot)?;
    let path = folder.path().join("standard input");
    let mut file = std::fs::File::create(&path).map_err(cannot)?;
    std::io::copy(&mut std::io::stdin(), &mut file).map_err(cannot)?;
    read(&Source { path, format: Some(format) })
}

/// A text in the column that the model reads; two with a tab between for a model that reads pairs.
fn of_line(text: &str, columns: &Columns) -> Result<Asked> {
    let asked = |fields: Vec<(&String, &str)>| {
        let fields = fields.into_iter().map(|(name, text)| (name.clone(), Json::from(text))).collect();
        Ok(Asked { text: text.to_owned(), fields: Some(fields) })
    };
    if text.trim().is_empty() {
        return Ok(Asked { text: text.to_owned(), fields: None });
    }
    let Some(pair) = &columns.text_pair else { return asked(vec![(&columns.text, text)]) };
    match text.split_once('\t') {
        Some((first, second)) => asked(vec![(&columns.text, first), (pair, second)]),
        None => Err(Diagnostic::new(format!("this model reads pairs, and there is no tab in `{text}`"))
            .help(format!("write `{}` and `{pair}` with a tab between them", columns.text))),
    }
}

/// The rows of a file, all columns of each.
fn rows(source: &Source, columns: &Columns) -> Result<Vec<Asked>> {
    let failed = |e: DataError| Diagnostic::new(e.to_string()).help_some(e.help());
    let rows = Rows::open(source).map_err(failed)?;
    rows.map(|record| of_record(&record.map_err(failed)?, columns)).collect()
}

fn of_record(record: &Record, columns: &Columns) -> Result<Asked> {
    let read = |column: &String, purpose: &str| match record.get(column) {
        None => Err(without_column(record, column)),
        Some(Value::Null) => Ok(String::new()),
        // Words, for a model that labels these.
        Some(Value::Json(list)) if columns.tokens.as_ref() == Some(column) => {
            Ok(serde_json::from_str::<Vec<String>>(list).map(|words| words.join(" ")).unwrap_or_else(|_| list.clone()))
        }
        Some(_) => record.text(column, purpose).map_err(|e| Diagnostic::new(e.to_string()).help_some(e.help())),
    };
    let mut texts = vec![read(&columns.text, "data.columns.text")?];
    if let Some(pair) = &columns.text_pair {
        texts.push(read(pair, "data.columns.text_pair")?);
    }
    let blank = texts.iter().any(|text| text.trim().is_empty());
    let fields = || record.fields.iter().map(|(name, value)| (name.clone(), json(value))).collect();
    // One answer stands on one line, whatever the text holds.
    let text = texts.join("\t").replace(['\n', '\r'], " ");
    Ok(Asked { text, fields: (!blank).then(fields) })
}

fn without_column(record: &Record, column: &str) -> Diagnostic {
    let names = || record.fields.iter().map(|(name, _)| name.as_str());
    Diagnostic::new(format!("{}: there is no column `{column}`, which the model's texts are in", record.key))
        .help_some(nearest(column, names()).map(|near| format!("did you mean `{near}`?")))
        .help(format!("the columns there are: {}", listed(names())))
}

/// As a JSONL file writes it.
fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(b) => Json::from(*b),
        Value::Integer(i) => Json::from(*i),
        Value::Number(n) => Json::from(*n),
        Value::Text(text) => Json::from(text.as_str()),
        Value::Bytes(bytes) => Json::from(bytes.as_slice()),
        Value::Ids(ids) => Json::from(ids.as_slice()),
        Value::Numbers(numbers) => Json::from(numbers.as_slice()),
        Value::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| Json::from(text.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use retune_run::Silent;

    use super::*;

    fn pair() -> Columns {
        Columns { text: "first".to_owned(), text_pair: Some("second".to_owned()), ..Columns::default() }
    }

    fn read(name: &str, bytes: &[u8], columns: &Columns) -> Result<Vec<Asked>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Texts { file: Some(path), ..Texts::default() }.read(columns, &Silent)
    }

    fn texts(asked: &[Asked]) -> Vec<&str> {
        asked.iter().map(|asked| asked.text.as_str()).collect()
    }

    #[test]
    fn every_line_is_asked_for_blank_ones_too() {
        let asked = read("texts.txt", b"it was good\n\nvery bad\r\n   \nfine\n", &Columns::default()).unwrap();
        assert_eq!(texts(&asked), ["it was good", "", "very bad", "   ", "fine"]);
        assert_eq!(
            asked.iter().map(|asked| asked.fields.is_some()).collect::<Vec<_>>(),
            [true, false, true, false, true]
        );
    }

    #[test]
    fn a_byte_order_mark_is_no_text_and_utf_16_is_read() {
        assert_eq!(texts(&read("bom.txt", b"\xef\xbb\xbfgood\nbad\n", &Columns::default()).unwrap()), ["good", "bad"]);
        let utf16: Vec<u8> = "\u{feff}gut\nböse\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(texts(&read("wide.txt", &utf16, &Columns::default()).unwrap()), ["gut", "böse"]);
        let error = read("latin.txt", b"b\xf6se\n", &Columns::default()).unwrap_err();
        assert!(error.to_string().contains("is not UTF-8 text"), "{error}");
    }

    #[test]
    fn files_with_columns_are_read_by_column_and_keep_the_others() {
        let csv = read("rows.csv", b"label,text\npos,\"two\nlines\"\nneg,bad\n", &Columns::default()).unwrap();
        assert_eq!(texts(&csv), ["two lines", "bad"]);
        assert_eq!(csv[1].fields.as_ref().unwrap()["label"], "neg");
        assert_eq!(csv[0].fields.as_ref().unwrap()["text"], "two\nlines");
        let tsv = read("rows.tsv", b"first\tsecond\na\tb\n", &pair()).unwrap();
        assert_eq!(texts(&tsv), ["a\tb"]);
        let jsonl = read("rows.jsonl", b"{\"text\":\"a\",\"n\":1.5}\n{\"text\":null}\n", &Columns::default()).unwrap();
        assert_eq!(jsonl[0].fields.as_ref().unwrap()["n"], 1.5);
        assert_eq!(jsonl[1].fields, None);
    }

    #[test]
    fn a_file_without_the_models_column_is_refused_with_those_it_has() {
        let error = read("rows.csv", b"texts,label\na,b\n", &Columns::default()).unwrap_err();
        let said = error.render(false, None);
        assert!(
            said.contains("rows.csv:2: there is no column `text`") && said.contains("did you mean `texts`?"),
            "{said}"
        );
        assert!(said.contains("`texts`, `label`"), "{said}");
    }

    #[test]
    fn a_pair_without_a_tab_is_refused() {
        assert_eq!(of_line("a\tb", &pair()).unwrap().fields.unwrap()["second"], "b");
        let error = of_line("a", &pair()).unwrap_err();
        assert!(error.to_string().contains("there is no tab in `a`"), "{error}");
        assert_eq!(of_line(" ", &pair()).unwrap().fields, None, "a blank line is no mistake");
    }
}
