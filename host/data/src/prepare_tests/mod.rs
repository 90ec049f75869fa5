//! Whole preparations: rows of a classification, and what the other files of this folder share.

mod caching;
mod language;
mod refusals;
mod several;
mod tokens;

use std::fmt::Write as _;

use retune_roles::{BatchResult, Output, Preprocessor, PreprocessorContract, Rejection, Sample, Target, Value};

use super::*;
use crate::testing::{Directory, bert, bert_json};
use crate::tokenize::NO_TOKENS;

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
