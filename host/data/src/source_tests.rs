use std::io::Write as _;

use proptest::prelude::*;

use super::*;

/// A file that is there as long as the value is.
fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, Source) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    File::create(&path).unwrap().write_all(bytes).unwrap();
    (directory, Source::from(path))
}

fn rows(name: &str, bytes: &[u8]) -> Result<Vec<Record>> {
    let (_directory, source) = file(name, bytes);
    Rows::open(&source)?.collect()
}

fn keys(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.key.as_str()).collect()
}

fn texts(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.get("text").unwrap().as_text().unwrap()).collect()
}

/// The message, with the temporary directory taken out.
fn message(name: &str, bytes: &[u8]) -> String {
    let (directory, source) = file(name, bytes);
    let error = Rows::open(&source).and_then(|rows| rows.collect::<Result<Vec<_>>>()).unwrap_err();
    error.to_string().replace(&format!("{}/", directory.path().display()), "")
}

#[test]
fn a_key_is_the_line_the_row_begins_on_also_after_quoted_and_blank_lines() {
    let csv = b"text,label\none,a\n\n\"two\nlines\",b\n\r\nthree,c\n";
    let records = rows("t.csv", csv).unwrap();
    assert_eq!(keys(&records), ["t.csv:2", "t.csv:4", "t.csv:7"]);
    assert_eq!(texts(&records), ["one", "two\nlines", "three"]);
}

#[test]
fn carriage_returns_and_a_byte_order_mark_change_nothing() {
    let plain = rows("t.csv", b"text,label\none,a\n\"two\",b\n").unwrap();
    assert_eq!(rows("t.csv", b"\xef\xbb\xbftext,label\r\none,a\r\n\"two\",b\r\n").unwrap(), plain);
    assert_eq!(rows("t.csv", b"text,label\none,a\n\"two\",b").unwrap(), plain, "no line feed at the end");
    let json = rows("t.jsonl", b"{\"text\":\"a\"}\n{\"text\":\"b\"}\n").unwrap();
    assert_eq!(rows("t.jsonl", b"\xef\xbb\xbf{\"text\":\"a\"}\r\n{\"text\":\"b\"}\r\n").unwrap(), json);
}

#[test]
fn utf16_is_read_as_the_same_rows_in_every_format() {
    let utf16 = |text: &str| -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    };
    for (name, text) in [
        ("t.csv", "text,label\r\n\"schön,\r\ngut\",a\r\nzwei,b\r\n"),
        ("t.tsv", "text\tlabel\r\nschön\ta\r\nzwei\tb\r\n"),
        ("t.jsonl", "{\"text\": \"schön\"}\r\n{\"text\": \"zwei\"}\r\n"),
        ("t.txt", "schön\r\n\r\nzwei\r\n"),
    ] {
        assert_eq!(rows(name, &utf16(text)).unwrap(), rows(name, text.as_bytes()).unwrap(), "{name}");
    }
    assert_eq!(
        message("cut.csv", b"\xff\xfet\0e\0x"),
        "cut.csv cannot be read: the utf-16 text ends in half a character"
    );
}

#[test]
fn a_text_file_gives_passages_and_its_lines_format_gives_lines() {
    let bytes = b"\nfirst\nsecond\n\n \nthird\n";
    let records = rows("t.txt", bytes).unwrap();
    assert_eq!(keys(&records), ["t.txt:2", "t.txt:6"]);
    assert_eq!(texts(&records), ["first\nsecond", "third"]);
    let (_directory, mut source) = file("t.txt", bytes);
    source.format = Some(Format::Lines);
    let records: Vec<Record> = Rows::open(&source).unwrap().map(Result::unwrap).collect();
    assert_eq!(keys(&records), ["t.txt:2", "t.txt:3", "t.txt:6"]);
}

#[test]
fn tabs_separate_in_tsv() {
    let records = rows("t.tsv", b"text\tlabel\na, b\tx\n").unwrap();
    assert_eq!(texts(&records), ["a, b"]);
}

#[test]
fn a_quote_at_the_beginning_of_a_tsv_field_swallows_no_rows() {
    let tsv = b"text\tlabel\nit was good\tpos\n\"great card, he said\tpos\nvery bad\tneg\nfine\tpos\n\"poor\" my card\tneg\nbad\tneg\n";
    let records = rows("t.tsv", tsv).unwrap();
    assert_eq!(keys(&records), ["t.tsv:2", "t.tsv:3", "t.tsv:4", "t.tsv:5", "t.tsv:6", "t.tsv:7"]);
    assert_eq!(texts(&records)[1..5], ["\"great card, he said", "very bad", "fine", "\"poor\" my card"]);
}

#[test]
fn a_file_with_the_line_ends_of_an_old_mac_is_read_in_every_format() {
    let read = |name: &str, text: &str| {
        let records = rows(name, text.replace('\n', "\r").as_bytes()).unwrap();
        let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect::<Vec<_>>();
        (owned(keys(&records)), owned(texts(&records)))
    };
    let told = |keys: [&str; 2], texts: [&str; 2]| (keys.map(String::from).to_vec(), texts.map(String::from).to_vec());
    assert_eq!(read("t.csv", "text,label\nfine,a\n\nbad,b\n"), told(["t.csv:2", "t.csv:4"], ["fine", "bad"]));
    assert_eq!(read("t.tsv", "text\tlabel\nfine\ta\nbad\tb"), told(["t.tsv:2", "t.tsv:3"], ["fine", "bad"]));
    let jsonl = "{\"text\": \"fine\"}\n{\"text\": \"bad\"}\n";
    assert_eq!(read("t.jsonl", jsonl), told(["t.jsonl:1", "t.jsonl:2"], ["fine", "bad"]));
    assert_eq!(read("t.txt", "fine\nline\n\nbad\n"), told(["t.txt:1", "t.txt:4"], ["fine\nline", "bad"]));
}

#[test]
fn each_broken_file_has_its_own_message() {
    let all = [
        message("empty.csv", b""),
        message("empty.jsonl", b""),
        message("ragged.csv", b"text,label\nfine,a\na, b,c\n"),
        message("short.csv", b"text,label\n\nfine\n"),
        message("quote.csv", b"text,label\n\"open,a\nb,c\nd,e\n"),
        message("quote-last.csv", b"label,text\na,\"open\nb,c\nd,e\n"),
        message("latin.csv", b"text,label\nfine,a\ncaf\xe9,b\n"),
        message("latin.jsonl", b"{\"text\": \"fine\"}\n{\"text\": \"caf\xe9\"}\n"),
        message("latin-header.csv", b"t\xe9xt,label\n"),
        message("twice.csv", b"text,text\na,b\n"),
        message("trailing.csv", b"text,label,,\na,b,,\n"),
        message("unnamed.csv", b",,text\na,b,c\n"),
        message("bad.jsonl", b"{\"text\": \"fine\"}\n\n{\"text\": \"cut\n"),
        message("list.jsonl", b"[\n{\"text\": \"a\"}\n]\n"),
        message("string.jsonl", b"\"just text\"\n"),
        message("data.parquet", b"PAR1"),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    empty.csv is empty
    empty.jsonl is empty
    ragged.csv:3 has 3 fields, and the header has 2
    short.csv:3 has 1 field, and the header has 2
    quote.csv:2 opens a quote that is never closed
    quote-last.csv:2 opens a quote that is never closed
    latin.csv:3 is not valid UTF-8: byte 0xe9 in column `text`
    latin.jsonl:2 is not valid UTF-8: byte 0xe9 at byte 14 of the line
    latin-header.csv:1 is not valid UTF-8: byte 0xe9 in the name of column 1
    twice.csv:1 names the column `text` twice
    trailing.csv:1 gives several of its 4 columns no name, the last among them
    unnamed.csv:1 gives several of its 3 columns no name
    bad.jsonl:3 is not valid JSON: EOF while parsing a string at column 13
    list.jsonl:1 holds an array, and a row is an object like {"text": "…"}
    string.jsonl:1 holds a string, and a row is an object like {"text": "…"}
    data.parquet does not say its format by its name; expected .csv, .tsv, .jsonl, .txt or .conll
    "#);
}

#[test]
fn a_missing_file_names_the_nearest_one_beside_it() {
    let (directory, _) = file("train.csv", b"text\na\n");
    let error = Rows::open(&Source::from(directory.path().join("trian.csv"))).err().unwrap();
    assert!(error.to_string().ends_with("trian.csv does not exist; did you mean `train.csv`?"), "{error}");
    let error = Rows::open(&Source { path: directory.path().to_owned(), format: Some(Format::Csv) }).err().unwrap();
    assert!(error.to_string().ends_with("cannot be read: it is a directory"), "{error}");
}

#[test]
fn a_pipe_and_a_device_are_told_as_what_they_are_and_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("train.csv");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (path, what) in [(pipe, "a named pipe"), ("/dev/zero".into(), "a device")] {
        let source = Source { path, format: Some(Format::Csv) };
        let opened = Rows::open(&source).err().unwrap().to_string();
        assert!(opened.ends_with(&format!(" is {what}, not a file")), "{opened}");
        assert_eq!(digest(&source).unwrap_err().to_string(), opened);
    }
}

#[test]
fn rows_stop_after_the_first_error() {
    let (_directory, source) = file("t.jsonl", b"{\"text\": 1}\nbroken\n{\"text\": 2}\n");
    let results: Vec<bool> = Rows::open(&source).unwrap().map(|row| row.is_ok()).collect();
    assert_eq!(results, [true, false]);
}

#[test]
fn the_digest_is_that_of_the_bytes() {
    let (_directory, source) = file("t.csv", b"abc");
    let (digest, length) = digest(&source).unwrap();
    assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(length, 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_a_csv_writer_quotes_is_read_back_with_the_line_it_begins_on(
        cells in prop::collection::vec(("[a-zé,\"\n\r ]{0,12}", "[a-z\"\n]{1,6}"), 1..12),
        crlf in any::<bool>(),
    ) {
        // RFC 4180: what has a delimiter, a quote or an end of a line in it stands in quotes, and quotes are doubled.
        let cell = |text: &str| match text.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => text.to_owned(),
        };
        let end = if crlf { "\r\n" } else { "\n" };
        let mut out = format!("text,label{end}");
        let mut lines = Vec::new();
        for (text, label) in &cells {
            lines.push(1 + out.matches('\n').count() as u64);
            out.push_str(&format!("{},{}{end}", cell(text), cell(label)));
        }
        let records = rows("p.csv", out.as_bytes()).unwrap();
        prop_assert_eq!(records.len(), cells.len());
        for ((record, (text, label)), line) in records.iter().zip(&cells).zip(lines) {
            prop_assert_eq!(record.get("text").unwrap().as_text().unwrap(), text);
            prop_assert_eq!(record.get("label").unwrap().as_text().unwrap(), label);
            prop_assert_eq!(record.line, Some(line));
        }
    }
}

#[test]
fn a_sentence_of_a_conll_file_is_a_row_with_the_first_column_and_the_last() {
    let text = "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n\nGerman\tB-MISC\r\ncall\tO\n";
    let rows = rows("t.conll", text.as_bytes()).unwrap();
    let json = |text: &str| Value::Json(text.to_owned());
    assert_eq!(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["t.conll:3", "t.conll:7"]);
    assert_eq!(rows[0].get("tokens"), Some(&json(r#"["EU","rejects"]"#)));
    assert_eq!(rows[0].get("tags"), Some(&json(r#"["B-ORG","O"]"#)));
    assert_eq!(rows[1].get("tags"), Some(&json(r#"["B-MISC","O"]"#)));
    assert!(rows[1].get("text").is_none());
}

#[test]
fn a_conll_file_of_words_alone_has_no_tags() {
    let rows = rows("words.conll", b"EU\nrejects\n").unwrap();
    assert_eq!((rows.len(), rows[0].get("tags")), (1, None));
}
