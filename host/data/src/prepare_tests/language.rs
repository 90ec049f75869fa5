//! Rows of a language model: texts, blocks, prompts with completions.

use super::*;
use crate::spec::{Columns, Format, Layout};
use crate::testing::bpe;
use crate::tokenize::NOTHING_TO_LEARN;

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
