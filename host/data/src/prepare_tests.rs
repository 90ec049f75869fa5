use std::fmt::Write as _;

use retune_roles::{BatchResult, Output, Preprocessor, PreprocessorContract, Rejection, Sample, Target, Value};

use super::*;
use crate::cache::Cache;
use crate::spec::{Columns, Format, Layout};
use crate::testing::{Directory, bert, bert_json, bpe};
use crate::tokenize::{NO_TOKENS, NOTHING_TO_LEARN};
use crate::{CacheUse, SourceReport};

const INTENTS: [&str; 3] = ["card_arrival", "lost_card", "top_up_failed"];

/// Rows of three intents in turn, `rows` of them, each text different.
fn intents(rows: usize, offset: usize) -> String {
    let words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let mut csv = "text,category\n".to_owned();
    for i in offset..offset + rows {
        let (a, b, c) = (words[i % 10], words[i / 10 % 10], words[i / 100 % 10]);
        let _ = writeln!(csv, "\"my card {a} {b}, {c}\",{}", INTENTS[i % 3]);
    }
    csv
}

fn spec(directory: &Directory) -> DataSpec {
    let mut spec = DataSpec::new(directory.path().join("train.csv"), TaskKind::SequenceClassification);
    spec.columns.label = Some("category".to_owned());
    spec.max_length = 16;
    spec
}

fn run(spec: &DataSpec, stages: &[Stage]) -> Result<Prepared> {
    prepare(spec, stages, &bert(), &mut |_| {})
}

fn said(directory: &Directory, error: &DataError) -> String {
    directory.strip(&error.to_string())
}

/// A stage that rejects or filters by a word of the text.
struct ByWord(PreprocessorContract, &'static str);

impl Preprocessor for ByWord {
    fn name(&self) -> &str {
        self.1
    }
    fn describe(&self) -> &PreprocessorContract {
        &self.0
    }
    fn process(&mut self, batch: &[Sample]) -> retune_roles::Result<BatchResult> {
        let mut result = BatchResult::default();
        for (source, sample) in batch.iter().enumerate() {
            let text = sample.fields.iter().find(|(name, _)| name == "text").unwrap().1.as_text().unwrap();
            let source = source as u32;
            if self.1 == "everything" || text.contains(self.1) {
                result.rejected.push(Rejection { source, reason: "unwanted".to_owned() });
            } else {
                result.outputs.push(Output { source, fields: sample.fields.clone() });
            }
        }
        Ok(result)
    }
    fn finish(&mut self) -> retune_roles::Result<Vec<Output>> {
        Ok(Vec::new())
    }
}

fn without(word: &'static str, cacheable: bool) -> Stage {
    let contract = PreprocessorContract {
        reads: vec!["text".to_owned()],
        writes: vec!["text".to_owned()],
        stateful: false,
        cacheable,
    };
    Stage {
        name: format!("without-{word}"),
        fingerprint: word.to_owned(),
        make: Box::new(move || Ok(Box::new(ByWord(contract.clone(), word)))),
    }
}

#[test]
fn a_classification_is_read_split_and_counted() {
    let directory = Directory::new();
    directory.write("train.csv", intents(90, 0));
    directory.write("test.csv", intents(12, 84));
    let mut spec = spec(&directory);
    spec.validation = Validation::Split { fraction: 0.1 };
    spec.test = Some(directory.path().join("test.csv").into());
    let prepared = run(&spec, &[]).unwrap();

    assert_eq!(prepared.labels, INTENTS);
    assert_eq!((prepared.train.len(), prepared.validation.len()), (81, 9));
    let test = prepared.test.as_ref().unwrap().to_vec();
    assert_eq!(test.len(), 12);
    assert_eq!(test[0].key, "test.csv:2");
    assert_eq!(test[0].target, Target::Class(0));
    assert_eq!(test[1].target, Target::Class(1));

    let report = &prepared.report;
    let train = report.split(SplitName::Train).unwrap();
    assert_eq!(train.labels.iter().map(|l| l.count).collect::<Vec<_>>(), [27, 27, 27]);
    assert_eq!(train.tokens, prepared.train.to_vec().iter().map(|e| e.tokens() as u64).sum::<u64>());
    assert_eq!(train.lengths.iter().map(|bin| bin.count).sum::<u64>(), 81);
    // Rows 84 to 89 stand in the training file: some of them in train, the others in validation.
    let counts: Vec<(SplitName, SplitName, u64)> = report.overlaps.iter().map(|o| (o.split, o.with, o.count)).collect();
    assert!(counts.iter().all(|&(split, _, _)| split == SplitName::Test), "{counts:?}");
    assert_eq!(counts.iter().map(|&(_, _, count)| count).sum::<u64>(), 6);
    assert!(report.warnings[0].contains("of test stand"), "{:?}", report.warnings);
    let json = serde_json::to_string(report).unwrap();
    assert_eq!(&serde_json::from_str::<DataReport>(&json).unwrap(), report);
}

#[test]
fn the_result_is_the_same_for_every_number_of_workers_and_size_of_batch() {
    let directory = Directory::new();
    directory.write("train.csv", intents(400, 0));
    let mut spec = spec(&directory);
    spec.validation = Validation::Split { fraction: 0.2 };
    let stages = [without("four", true)];
    let mut results = Vec::new();
    for (workers, batch) in [(1, 64), (3, 64), (4, 7), (2, 256)] {
        (spec.workers, spec.batch) = (workers, batch);
        let prepared = run(&spec, &stages).unwrap();
        results.push((prepared.train.to_vec(), prepared.validation.to_vec(), prepared.report));
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn the_first_rows_of_each_label_are_taken_in_file_order_before_the_split() {
    let directory = Directory::new();
    directory.write("train.csv", intents(90, 0));
    directory.write("test.csv", intents(90, 100));
    let mut spec = spec(&directory);
    spec.limit_per_label = Some(2);
    spec.test = Some(directory.path().join("test.csv").into());
    let prepared = run(&spec, &[]).unwrap();
    let keys: Vec<String> = prepared.train.to_vec().into_iter().map(|e| e.key).collect();
    assert_eq!(keys, (2..8).map(|line| format!("train.csv:{line}")).collect::<Vec<_>>());
    let source = prepared.report.source(SplitName::Train).unwrap();
    assert_eq!((source.read, source.limited, source.rows), (90, 84, 6));
    assert_eq!(prepared.test.unwrap().len(), 90, "the test set is never limited");
}

#[test]
fn every_row_is_accounted_for_by_stage_and_reason() {
    let directory = Directory::new();
    directory.write("train.csv", intents(100, 0));
    let stages = [without("four", true), without("seven", true)];
    let prepared = run(&spec(&directory), &stages).unwrap();
    let source = prepared.report.source(SplitName::Train).unwrap();
    let dropped: Vec<(&str, &str)> = source.dropped.iter().map(|d| (d.stage.as_str(), d.reason.as_str())).collect();
    assert_eq!(dropped, [("without-four", "unwanted"), ("without-seven", "unwanted")]);
    assert_eq!(source.read + source.added, source.rows + source.limited + source.dropped_rows());
    assert_eq!(source.dropped[0].keys[0], "train.csv:5");
    assert!(prepared.train.to_vec().iter().all(|e| e.key != "train.csv:5"));
}

#[test]
fn nothing_left_says_which_stage_dropped_how_many_and_why() {
    let directory = Directory::new();
    directory.write("train.csv", intents(30, 0));
    let error = run(&spec(&directory), &[without("four", true), without("everything", true)]).unwrap_err();
    insta::assert_snapshot!(format!("{error}\n{}", error.help().unwrap()), @r#"
    nothing is left of train.csv: of 30 rows, without-everything dropped 27 (unwanted), without-four dropped 3 (unwanted)
    look at the first rows that without-everything dropped: train.csv:2, train.csv:3, train.csv:4, train.csv:6, train.csv:7
    "#);
}

#[test]
fn what_a_recipe_can_get_wrong_is_said_before_anything_is_trained() {
    let directory = Directory::new();
    directory.write("train.csv", intents(30, 0));
    directory.write("test.csv", "text,category\nmy card,card_arrival\nmy card,lost_crad\n");
    directory.write("unlabelled.csv", "text,category\nmy card,\n");
    directory.write("one-label.csv", "text,category\nmy card,a\nthe card,a\n");
    directory.write("header.csv", "text,category\n");
    directory.write("weights.csv", "text,category,weight\nmy card,a,1\nthe card,b,heavy\n");
    directory.write("rows.jsonl", "{\"body\": \"my card\", \"category\": \"a\"}\n");
    directory
        .write("nested.jsonl", "{\"text\": [\"my\"], \"category\": \"a\"}\n{\"text\": \"x\", \"category\": \"b\"}\n");
    let mut said_so = String::new();
    let mut check = |what: &str, change: &dyn Fn(&mut DataSpec)| {
        let mut spec = spec(&directory);
        change(&mut spec);
        let error = run(&spec, &[]).unwrap_err();
        let _ = writeln!(said_so, "{what}: {}", said(&directory, &error));
        if let Some(help) = error.help() {
            let _ = writeln!(said_so, "    {help}");
        }
    };
    let at = |name: &str| -> Source { directory.path().join(name).into() };
    check("missing train", &|s| s.train = at("tarin.csv"));
    check("missing test", &|s| s.test = Some(at("tests.csv")));
    check("missing column", &|s| s.columns.text = "txt".to_owned());
    check("missing label column", &|s| s.columns.label = Some("intent".to_owned()));
    check("missing column in jsonl", &|s| {
        s.train = at("rows.jsonl");
        s.labels = Some(vec!["a".to_owned(), "b".to_owned()]);
    });
    check("missing extra column", &|s| s.extra_columns = vec!["weight".to_owned()]);
    check("label not in train", &|s| s.test = Some(at("test.csv")));
    check("label not in set", &|s| s.labels = Some(vec!["card_arrival".to_owned(), "lost_card".to_owned()]));
    check("label named twice", &|s| s.labels = Some(vec!["a".to_owned(), "a".to_owned()]));
    check("no label", &|s| s.train = at("unlabelled.csv"));
    check("one label", &|s| s.train = at("one-label.csv"));
    check("no rows", &|s| s.train = at("header.csv"));
    check("no rows with labels given", &|s| {
        s.train = at("header.csv");
        s.labels = Some(vec!["a".to_owned(), "b".to_owned()]);
    });
    check("no number", &|s| {
        s.train = at("weights.csv");
        s.extra_columns = vec!["weight".to_owned()];
    });
    check("nested text", &|s| s.train = at("nested.jsonl"));
    check("no label column named", &|s| s.columns.label = None);
    check("fraction", &|s| s.validation = Validation::Split { fraction: 1.0 });
    check("length", &|s| s.max_length = 2);
    check("limit", &|s| s.limit_per_label = Some(0));
    check("batch", &|s| s.batch = 0);
    check("blocks", &|s| s.layout = Layout::Blocks);
    insta::assert_snapshot!(said_so, @r#"
    missing train: tarin.csv does not exist; did you mean `train.csv`?
        paths in a recipe are relative to the recipe's own directory
    missing test: tests.csv does not exist; did you mean `test.csv`?
        paths in a recipe are relative to the recipe's own directory
    missing column: train.csv:1 has no column `txt` (data.columns.text); did you mean `text`?
        the columns are `text`, `category`; set data.columns.text to one of them
    missing label column: train.csv:1 has no column `intent` (data.columns.label)
        the columns are `text`, `category`; set data.columns.label to one of them
    missing column in jsonl: rows.jsonl:1 has no column `text` (data.columns.text)
        the columns are `body`, `category`; set data.columns.text to one of them
    missing extra column: train.csv:1 has no column `weight` (data.extra_columns)
        the columns are `text`, `category`; set data.extra_columns to one of them
    label not in train: test.csv:3 has the label `lost_crad`, which is not among the labels of train.csv; did you mean `lost_card`?
        the labels are `card_arrival`, `lost_card`, `top_up_failed`; data.labels can name more than train has
    label not in set: train.csv:4 has the label `top_up_failed`, which is not in data.labels
        the labels are `card_arrival`, `lost_card`; data.labels can name more than train has
    label named twice: `data.labels` names `a` twice
    no label: unlabelled.csv:2 has no value in column `category` (data.columns.label)
        give every row a label, or remove the rows without one
    one label: one-label.csv has 1 label; a classification needs at least two
        found: `a`; check that data.columns.label names the right column
    no rows: header.csv has a header and no rows
        check that whatever wrote the file had finished
    no rows with labels given: header.csv has a header and no rows
        check that whatever wrote the file had finished
    no number: weights.csv:3 holds `heavy` in column `weight` (data.extra_columns); expected a finite number
    nested text: nested.jsonl:1 holds nested JSON in column `text` (data.columns.text); expected text
    no label column named: sequence classification needs labels, and `data.columns.label` names no column
        say which column holds them: columns = { text = "…", label = "…" }
    fraction: `data.validation.split` is 1; expected more than 0 and less than 1
    length: `data.max_length` is 2, and the tokenizer's special tokens alone take 2
        set data.max_length to 3 or more
    limit: `data.limit_per_label` is 0; expected at least 1
    batch: `data.batch` is 0; expected 1 to 4096
    blocks: `data.layout` is blocks; expected rows, for a sequence classification
    "#);
}

#[test]
fn a_second_run_takes_its_rows_from_the_cache_and_anything_that_matters_makes_them_anew() {
    let directory = Directory::new();
    directory.write("train.csv", intents(60, 0));
    directory.write("test.csv", intents(9, 100));
    let mut spec = spec(&directory);
    spec.cache_dir = Some(directory.path().join("cache"));
    spec.validation = Validation::Split { fraction: 0.1 };
    spec.test = Some(directory.path().join("test.csv").into());
    let states = |prepared: &Prepared| -> Vec<&'static str> {
        let state = |source: &SourceReport| match source.cache {
            CacheUse::Hit { .. } => "hit",
            CacheUse::Miss { .. } => "miss",
            CacheUse::Rebuilt { .. } => "rebuilt",
            CacheUse::Off { .. } => "off",
        };
        prepared.report.sources.iter().map(state).collect()
    };
    let stages = [without("four", true)];
    let first = run(&spec, &stages).unwrap();
    assert_eq!(states(&first), ["miss", "miss"]);
    let second = run(&spec, &stages).unwrap();
    assert_eq!(states(&second), ["hit", "hit"]);
    let rows = |prepared: &Prepared| {
        [Some(&prepared.train), Some(&prepared.validation), prepared.test.as_ref()]
            .map(|data| data.map(Dataset::to_vec))
    };
    let expected = rows(&first);
    assert_eq!(expected, rows(&second));
    assert_eq!(first.report.splits, second.report.splits);
    assert_eq!(first.report.sources[0].dropped, second.report.sources[0].dropped);

    assert_eq!(states(&run(&spec, &[without("five", true)]).unwrap()), ["miss", "miss"], "another stage");
    spec.max_length = 9;
    assert_eq!(states(&run(&spec, &stages).unwrap()), ["miss", "miss"], "another length");
    spec.max_length = 16;
    spec.workers = 3;
    assert_eq!(states(&run(&spec, &stages).unwrap()), ["hit", "hit"], "workers change nothing");
    spec.limit_per_label = Some(5);
    assert_eq!(states(&run(&spec, &stages).unwrap()), ["miss", "hit"], "the limit concerns train only");
    spec.limit_per_label = None;
    directory.write("test.csv", intents(10, 100));
    assert_eq!(states(&run(&spec, &stages).unwrap()), ["hit", "miss"], "other bytes");
    let off = run(&spec, &[without("four", false)]).unwrap();
    assert_eq!(states(&off), ["off", "off"]);

    let CacheUse::Hit { key } = &second.report.sources[0].cache else { panic!() };
    let path = Cache::new(&directory.path().join("cache")).path(key);
    // Under another name: what a run has mapped is never written to.
    let mut bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let rebuilt = run(&spec, &stages).unwrap();
    assert_eq!(states(&rebuilt), ["rebuilt", "hit"]);
    assert_eq!(rebuilt.train.to_vec(), expected[0].clone().unwrap());
    assert!(rebuilt.report.warnings.iter().any(|w| w.contains("damaged")), "{:?}", rebuilt.report.warnings);
    assert_eq!(states(&run(&spec, &stages).unwrap()), ["hit", "hit"]);
}

#[test]
fn a_cache_that_cannot_be_written_is_a_warning_and_not_the_end() {
    let directory = Directory::new();
    directory.write("train.csv", intents(30, 0));
    let mut spec = spec(&directory);
    spec.cache_dir = Some(directory.write("a-file", ""));
    let prepared = run(&spec, &[]).unwrap();
    assert!(matches!(prepared.report.sources[0].cache, CacheUse::Off { .. }));
    assert!(prepared.report.warnings[0].starts_with("prepared rows are not kept"), "{:?}", prepared.report.warnings);
}

#[test]
fn a_text_becomes_blocks_that_hold_all_its_tokens_and_the_splits_share_no_passage() {
    let directory = Directory::new();
    let text: String = (0..40).map(|i| format!("question {i}: what is two and {i}?\nthe answer is four\n\n")).collect();
    let mut spec = DataSpec::new(directory.write("book.txt", text), TaskKind::CausalLm);
    spec.layout = Layout::Blocks;
    spec.max_length = 24;
    spec.validation = Validation::Split { fraction: 0.25 };
    let prepared = prepare(&spec, &[], &bpe(), &mut |_| {}).unwrap();
    let train = prepared.report.split(SplitName::Train).unwrap();
    let validation = prepared.report.split(SplitName::Validation).unwrap();
    assert_eq!((train.rows, validation.rows), (30, 10));
    assert!((0..prepared.train.len() - 1).all(|row| prepared.train.length(row) == 24));
    assert_eq!(train.trained_tokens, train.tokens - train.examples, "every token but the first of a block is a target");
    assert!(prepared.report.overlaps.is_empty());
    assert!(prepared.labels.is_empty());
}

#[test]
fn rows_with_nothing_to_learn_are_dropped_and_reported() {
    let directory = Directory::new();
    let rows = concat!(
        "{\"question\": \"what is two?\", \"answer\": \" four\"}\n",
        "{\"question\": \"what is two?\", \"answer\": \"\"}\n",
        "{\"question\": \"what is zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz?\", \"answer\": \" four\"}\n",
        "{\"question\": \"two\", \"answer\": \" and two\"}\n",
    );
    let mut spec = DataSpec::new(directory.write("t.jsonl", rows), TaskKind::CausalLm);
    spec.columns =
        Columns { prompt: Some("question".to_owned()), completion: Some("answer".to_owned()), ..Columns::default() };
    spec.max_length = 16;
    let prepared = prepare(&spec, &[], &bpe(), &mut |_| {}).unwrap();
    assert_eq!(prepared.train.len(), 2);
    let dropped = &prepared.report.sources[0].dropped[0];
    assert_eq!((dropped.stage.as_str(), dropped.reason.as_str(), dropped.count), ("tokenize", NOTHING_TO_LEARN, 2));
    assert_eq!(dropped.keys, ["t.jsonl:2", "t.jsonl:3"]);
}

#[test]
fn a_text_without_a_token_is_dropped_and_told_where_the_tokenizer_adds_none() {
    let directory = Directory::new();
    let mut bare = bert_json();
    bare["post_processor"] = serde_json::Value::Null;
    directory.write("tokenizer.json", bare.to_string());
    let tokenizer = Tokenization::open(directory.path()).unwrap();
    let spec = DataSpec::new(
        directory.write("t.csv", "text,label\ntwo,a\n\"\",b\nfour,b\n"),
        TaskKind::SequenceClassification,
    );
    let prepared = prepare(&spec, &[], &tokenizer, &mut |_| {}).unwrap();
    assert_eq!(prepared.train.len(), 2);
    let dropped = &prepared.report.sources[0].dropped[0];
    assert_eq!((dropped.reason.as_str(), dropped.keys[0].as_str()), (NO_TOKENS, "t.csv:3"));
    assert!(
        prepared
            .report
            .warnings
            .contains(&"1 row of train was left out: the tokenizer makes no token of it (first: t.csv:3)".to_owned()),
        "{:?}",
        prepared.report.warnings
    );
}

#[test]
fn one_passage_cannot_be_split() {
    let directory = Directory::new();
    let mut spec = DataSpec::new(directory.write("t.txt", "one passage\nof two lines\n"), TaskKind::CausalLm);
    spec.validation = Validation::Split { fraction: 0.5 };
    let error = prepare(&spec, &[], &bpe(), &mut |_| {}).unwrap_err();
    insta::assert_snapshot!(format!("{error}\n{}", error.help().unwrap()), @r#"
    t.txt has 1 row left, too few to split 0.5 of them off for validation
    give a validation file, or leave data.validation out; of a plain text, every passage between blank lines is a row, and with format = "lines" every line is
    "#);
    spec.train.format = Some(Format::Lines);
    assert_eq!(prepare(&spec, &[], &bpe(), &mut |_| {}).unwrap().validation.len(), 1);
}

#[test]
fn a_file_for_prediction_needs_no_labels_and_one_for_evaluation_has_them_checked() {
    let directory = Directory::new();
    directory.write("train.csv", intents(9, 0));
    let spec = spec(&directory);
    let tokenizer = bert();
    let file: Source = directory.write("new.csv", "text\nmy card\nlost card\n").into();
    let (examples, report) = prepare_source(&spec, SplitName::Test, &file, None, &[], &tokenizer, &mut |_| {}).unwrap();
    assert_eq!(examples.len(), 2);
    assert!(examples.to_vec().iter().all(|e| e.target == Target::None));
    assert_eq!(report.splits[0].rows, 2);
    let labels: Vec<String> = INTENTS.iter().map(|&l| l.to_owned()).collect();
    let error = prepare_source(&spec, SplitName::Test, &file, Some(&labels), &[], &tokenizer, &mut |_| {}).unwrap_err();
    assert!(matches!(error, DataError::ColumnMissing { .. }), "{error}");
}

#[test]
fn progress_ends_with_all_bytes_and_all_rows() {
    let directory = Directory::new();
    directory.write("train.csv", intents(90, 0));
    let mut seen = Vec::new();
    prepare(&spec(&directory), &[], &bert(), &mut |p| seen.push(p.clone())).unwrap();
    let last = seen.last().unwrap();
    assert_eq!((last.bytes_read, last.rows), (last.bytes_total, 90));
    assert!(seen.windows(2).all(|pair| pair[0].bytes_read <= pair[1].bytes_read));
}

/// Writes the label column: the word behind the last space of the text, which it takes off.
struct LastWord(PreprocessorContract);

impl Preprocessor for LastWord {
    fn name(&self) -> &str {
        "last-word"
    }
    fn describe(&self) -> &PreprocessorContract {
        &self.0
    }
    fn process(&mut self, batch: &[Sample]) -> retune_roles::Result<BatchResult> {
        let mut result = BatchResult::default();
        for (source, sample) in batch.iter().enumerate() {
            let text = sample.fields.iter().find(|(name, _)| name == "text").unwrap().1.as_text().unwrap();
            let (text, label) = text.rsplit_once(' ').unwrap();
            let field = |name: &str, value: &str| (name.to_owned(), Value::Text(value.to_owned()));
            let fields = vec![field("text", text), field("category", &label.to_lowercase())];
            result.outputs.push(Output { source: source as u32, fields });
        }
        Ok(result)
    }
    fn finish(&mut self) -> retune_roles::Result<Vec<Output>> {
        Ok(Vec::new())
    }
}

#[test]
fn a_stage_may_write_the_label_column() {
    let directory = Directory::new();
    directory.write("train.csv", "text\nmy card lost\nwhere is the card Arrived\nmy card Lost\n");
    directory.write("test.csv", "text\nthe card LOST\nthe card stolen\n");
    let contract = PreprocessorContract {
        reads: vec!["text".to_owned()],
        writes: vec!["text".to_owned(), "category".to_owned()],
        stateful: false,
        cacheable: true,
    };
    let stages = [Stage {
        name: "last-word".to_owned(),
        fingerprint: String::new(),
        make: Box::new(move || Ok(Box::new(LastWord(contract.clone())))),
    }];
    let mut spec = spec(&directory);
    let prepared = run(&spec, &stages).unwrap();
    assert_eq!(prepared.labels, ["arrived", "lost"]);
    let targets: Vec<Target> = prepared.train.to_vec().into_iter().map(|example| example.target).collect();
    assert_eq!(targets, [Target::Class(1), Target::Class(0), Target::Class(1)]);
    spec.test = Some(directory.path().join("test.csv").into());
    let error = run(&spec, &stages).unwrap_err();
    insta::assert_snapshot!(error, @"test.csv:3 has the label `stolen`, which is not among the labels of train.csv");
}

#[test]
fn rows_of_a_group_stay_on_one_side_and_a_group_needs_a_split() {
    let directory = Directory::new();
    let mut csv = "text,category,customer\n".to_owned();
    for (i, row) in intents(90, 0).lines().skip(1).enumerate() {
        let _ = writeln!(csv, "{row},customer-{}", i / 5);
    }
    directory.write("train.csv", csv);
    let mut spec = spec(&directory);
    spec.group_by = Some("customer".to_owned());
    let error = run(&spec, &[]).unwrap_err();
    insta::assert_snapshot!(error, @"`data.group_by` is customer; expected nothing, unless `data.validation` is a split");
    spec.validation = Validation::Split { fraction: 0.2 };
    let prepared = run(&spec, &[]).unwrap();
    let customers = |data: &Dataset| -> std::collections::BTreeSet<u64> {
        data.to_vec().iter().map(|e| (e.key.rsplit(':').next().unwrap().parse::<u64>().unwrap() - 2) / 5).collect()
    };
    assert!(customers(&prepared.train).is_disjoint(&customers(&prepared.validation)));
    assert!((10..=20).contains(&prepared.validation.len()), "{}", prepared.validation.len());
    spec.group_by = Some("costumer".to_owned());
    let error = run(&spec, &[]).unwrap_err();
    insta::assert_snapshot!(error, @"train.csv:1 has no column `costumer` (data.group_by); did you mean `customer`?");
}

#[test]
fn fields_other_than_text_reach_the_example() {
    let directory = Directory::new();
    directory.write("train.csv", "text,category,weight\nmy card,a,0.5\nthe card,b, 2\n");
    let mut spec = spec(&directory);
    spec.extra_columns = vec!["weight".to_owned()];
    let prepared = run(&spec, &[]).unwrap();
    assert_eq!(prepared.train.to_vec().into_iter().map(|e| e.extra).collect::<Vec<_>>(), [[0.5], [2.0]]);
}
