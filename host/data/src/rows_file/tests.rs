use proptest::prelude::*;

use retune_roles::digest::Digest;

use super::*;
use crate::row::{FURTHER, Row, Several, Tags};

fn account() -> Account {
    let dropped = Dropped { stage: "dedup".into(), reason: "duplicate".into(), count: 1, keys: vec!["t:4".to_owned()] };
    Account { read: 3, limited: 0, added: 1, dropped: vec![dropped] }
}

fn sample() -> Vec<Row> {
    let row = |line: u64, label: &str| Row {
        key: format!("t.csv:{line}"),
        line: Some(line),
        input_ids: vec![1, 2, 3],
        label: Some(label.to_owned()),
        ..Row::default()
    };
    let made = Row { key: "t.csv:5#1".to_owned(), token_type_ids: vec![0, 1, 1], ..row(5, "b") };
    vec![row(2, "b"), row(3, "a"), made]
}

fn write(directory: &Path, key: &str, rows: &[Row]) -> std::path::PathBuf {
    let path = directory.join(format!("{key}.rows"));
    let mut writer = RowsWriter::new(Some(directory), "t.csv".to_owned()).unwrap();
    rows.iter().for_each(|row| writer.push(row).unwrap());
    writer.finish(key, account(), Some(&path)).unwrap();
    path
}

/// A row as it was before it was written.
fn read(file: &RowsFile, row: usize) -> Row {
    let head = file.head(row);
    assert_eq!(head.tokens, file.tokens(row));
    Row {
        key: file.key(row),
        line: head.line,
        input_ids: file.ids(row, 0, u32::MAX).collect(),
        token_type_ids: file.segments(row).to_vec(),
        learnt: file.learnt(row),
        label: head.label.map(|label| file.labels()[label as usize].name.clone()),
        tags: file.tags(row).map(|numbers| tags(file, numbers, head.lost)),
        several: several(file, row),
        extra: file.extra(row),
        text: head.text,
        group: head.group,
        truncated: head.truncated,
        doubled_bos: head.doubled_bos,
        empty: head.empty,
        seam: head.seam,
        unended: head.unended,
        silent: head.silent,
        listed: head.listed,
        control: head.control,
    }
}

/// What a row teaches besides one label, with names in place of numbers.
fn several(file: &RowsFile, row: usize) -> Option<Several> {
    let name = |label: u32| file.labels()[label as usize].name.clone();
    let labels = file.several_labels(row).map(|labels| Several::Labels(labels.into_iter().map(name).collect()));
    labels.or_else(|| file.values(row).map(Several::Values))
}

#[test]
fn any_number_of_labels_and_numbers_are_read_as_they_were_written() {
    let directory = tempfile::tempdir().unwrap();
    let names = |names: &[&str]| Some(Several::Labels(names.iter().map(|name| (*name).to_owned()).collect()));
    let several = [names(&["b", "a"]), names(&[]), Some(Several::Values(vec![0.5, -3.0])), None];
    let rows: Vec<Row> = several
        .into_iter()
        .zip(2..)
        .map(|(several, line)| Row { several, extra: vec![7.0], token_type_ids: vec![0, 1, 1], ..sample_of(line) })
        .collect();
    let path = write(directory.path(), "several", &rows);
    let Opened::Whole(file) = RowsFile::open(&path, "several") else { panic!("it is whole") };
    assert_eq!((0..rows.len()).map(|row| read(&file, row)).collect::<Vec<_>>(), rows);
    assert_eq!(file.several_labels(2), None, "numbers are no labels");
    assert_eq!((file.values(0), file.values(3), file.several_labels(3)), (None, None, None));
}

fn sample_of(line: u64) -> Row {
    let mut row = Row { key: format!("t.csv:{line}"), line: Some(line), input_ids: vec![1, 2, 3], ..Row::default() };
    row.learn_from(1);
    row
}

/// Tags with the names of their row, in the order in which they appear.
fn tags(file: &RowsFile, numbers: Vec<i32>, lost: u32) -> Tags {
    let mut tags = Tags { lost, ..Tags::default() };
    for number in numbers {
        let Some(label) = file.labels().get((number & !FURTHER) as usize).filter(|_| number >= 0) else {
            tags.numbers.push(number);
            continue;
        };
        let at = tags.names.iter().position(|name| *name == label.name).unwrap_or_else(|| {
            tags.names.push(label.name.clone());
            tags.names.len() - 1
        });
        tags.numbers.push(at as i32 | number & FURTHER);
    }
    tags
}

fn whole(path: &Path, key: &str) -> Option<RowsFile> {
    match RowsFile::open(path, key) {
        Opened::Whole(file) => Some(file),
        Opened::Absent | Opened::Damaged => None,
    }
}

#[test]
fn what_is_written_is_found_under_its_key_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let key = Digest::default().part("a", "1").finish();
    assert!(matches!(RowsFile::open(&directory.path().join("none"), &key), Opened::Absent));
    let path = write(&directory.path().join("not/there/yet"), &key, &sample());
    let file = whole(&path, &key).unwrap();
    assert_eq!((file.len(), file.account()), (3, &account()));
    assert_eq!((0..3).map(|row| read(&file, row)).collect::<Vec<_>>(), sample());
    let labels: Vec<(&str, &str)> = file.labels().iter().map(|l| (l.name.as_str(), l.first.as_str())).collect();
    assert_eq!(labels, [("b", "t.csv:2"), ("a", "t.csv:3")], "numbered as they appear, with their first row");
    let other = Digest::default().part("a", "2").finish();
    assert!(matches!(RowsFile::open(&path, &other), Opened::Damaged), "a file under another key is not its result");
}

#[test]
fn every_single_changed_byte_and_every_cut_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(directory.path(), "k", &sample());
    let bytes = std::fs::read(&path).unwrap();
    let changed = directory.path().join("changed");
    for at in 0..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 0x40;
        std::fs::write(&changed, &other).unwrap();
        assert!(matches!(RowsFile::open(&changed, "k"), Opened::Damaged), "byte {at}");
        std::fs::write(&changed, &bytes[..at]).unwrap();
        assert!(matches!(RowsFile::open(&changed, "k"), Opened::Damaged), "cut at {at}");
    }
}

#[test]
fn rows_without_a_place_in_the_cache_go_with_the_value() {
    let mut writer = RowsWriter::new(None, "t.csv".to_owned()).unwrap();
    writer.push(&sample()[0]).unwrap();
    let file = writer.finish("k", account(), None).unwrap();
    let path = file.temporary.as_ref().unwrap().to_path_buf();
    assert_eq!(read(&file, 0), sample()[0]);
    assert!(path.exists());
    drop(file);
    assert!(!path.exists());
}

#[test]
fn parts_of_a_key_do_not_run_into_each_other() {
    let key = |parts: &[(&str, &str)]| parts.iter().fold(Digest::default(), |key, (n, v)| key.part(n, v)).finish();
    assert_ne!(key(&[("a", "bc")]), key(&[("ab", "c")]));
    assert_ne!(key(&[("a", "b"), ("c", "d")]), key(&[("a", "bc"), ("", "d")]));
    assert_eq!(key(&[("a", "b")]), key(&[("a", "b")]));
}

proptest! {
    #[test]
    fn rows_survive_the_file_bit_for_bit(
        (ids, segmented) in (prop::collection::vec(any::<u32>(), 0..20), any::<bool>()),
        extra in prop::collection::vec(any::<f32>().prop_filter("equal to itself", |f| !f.is_nan()), 0..4),
        flags in any::<[bool; 8]>(),
        (key, line, label) in (".{0,20}", any::<Option<u64>>(), any::<Option<String>>()),
        cuts in prop::collection::btree_set(0u32..20, 0..7),
        (text, group) in (any::<[u8; 16]>(), any::<Option<[u8; 16]>>()),
        (from, most) in (0u32..20, 0u32..20),
        (tagged, lost) in (any::<bool>(), any::<u32>()),
    ) {
        let [truncated, doubled_bos, empty, seam, unended, control, silent, listed] = flags;
        let cuts: Vec<u32> = cuts.into_iter().filter(|cut| *cut <= ids.len() as u32).collect();
        let learnt = cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
        let token_type_ids = if segmented { ids.iter().map(|id| *id as u8).collect() } else { Vec::new() };
        // Each second token has a tag; every third of them is a further piece.
        let tag = |at: usize| if at % 2 == 1 { -100 } else { (at as i32 / 2) | if at % 3 == 2 { FURTHER } else { 0 } };
        let tags = tagged.then(|| Tags {
            names: (0..ids.len().div_ceil(2)).map(|name| format!("tag {name}")).collect(),
            numbers: (0..ids.len()).map(tag).collect(),
            lost,
        });
        let several = match ids.len() % 3 {
            0 => None,
            1 => Some(Several::Values(vec![0.5; ids.len() % 7])),
            _ => Some(Several::Labels((0..ids.len() % 5).map(|name| format!("label {name}")).collect())),
        };
        let row = Row {
            tags, several, key, line, input_ids: ids, token_type_ids, learnt, label, extra, text, group, truncated,
            doubled_bos, empty, seam, unended, control, silent, listed,
        };
        let plain = Row { key: format!("t.csv:{}", line.unwrap_or(0)), ..row.clone() };
        let directory = tempfile::tempdir().unwrap();
        let path = write(directory.path(), "k", &[row.clone(), plain.clone()]);
        let file = whole(&path, "k").unwrap();
        prop_assert_eq!(read(&file, 0), row.clone());
        prop_assert_eq!(read(&file, 1), plain);
        let from = from.min(row.input_ids.len() as u32);
        let end = row.input_ids.len().min((from + most) as usize);
        prop_assert_eq!(file.ids(0, from, most).collect::<Vec<_>>(), &row.input_ids[from as usize..end]);
    }
}
