//! Rows of any number of labels, and rows of numbers.

use super::*;
use crate::report::ValueSummary;
use crate::spec::Validation;

fn lettered(directory: &Directory, rows: &str) -> DataSpec {
    let mut spec = DataSpec::new(directory.write("train.jsonl", rows), TaskKind::MultiLabelClassification);
    spec.columns.label = Some("labels".to_owned());
    spec.max_length = 16;
    spec
}

fn scored(directory: &Directory, rows: &str) -> DataSpec {
    let mut spec = DataSpec::new(directory.write("train.jsonl", rows), TaskKind::Regression);
    spec.columns.label = Some("score".to_owned());
    spec.max_length = 16;
    spec
}

const LETTERS: &str = "\
    {\"text\": \"my card has not arrived\", \"labels\": [\"late\", \"card\"]}\n\
    {\"text\": \"top up failed\", \"labels\": [\"top up\"]}\n\
    {\"text\": \"one two three\", \"labels\": []}\n\
    {\"text\": \"i lost my card\", \"labels\": [\"card\"]}\n";

fn targets(data: &Dataset) -> Vec<Target> {
    data.to_vec().into_iter().map(|example| example.target).collect()
}

fn classes(classes: &[u32]) -> Target {
    Target::Classes(classes.to_vec())
}

#[test]
fn rows_get_the_classes_of_their_labels_and_rows_without_any_are_counted() {
    let directory = Directory::new();
    let mut spec = lettered(&directory, LETTERS);
    let data = run(&spec, &[]).unwrap();
    assert_eq!(data.labels, ["card", "late", "top up"]);
    assert_eq!(targets(&data.train), [classes(&[0, 1]), classes(&[2]), classes(&[]), classes(&[0])]);
    let train = &data.report.splits[0];
    assert_eq!(train.labels.iter().map(|label| label.count).collect::<Vec<_>>(), [2, 1, 1]);
    assert_eq!((train.unlabelled, train.several_labels), (1, 1));
    assert!(data.report.warnings.is_empty(), "{:?}", data.report.warnings);

    // Names of the recipe come first, and an index may stand for one.
    spec.labels = Some(["spam", "card", "late", "top up"].map(str::to_owned).to_vec());
    spec.train = directory
        .write("more.jsonl", format!("{LETTERS}{{\"text\": \"lost\", \"labels\": [2, \"late\", 0]}}\n"))
        .into();
    let data = run(&spec, &[]).unwrap();
    assert_eq!(targets(&data.train)[0], classes(&[1, 2]));
    assert_eq!(targets(&data.train)[4], classes(&[0, 2]), "the index and the name of one class are one class");
}

#[test]
fn columns_of_0_and_1_are_the_label_set_in_their_order() {
    let directory = Directory::new();
    let mut spec = lettered(&directory, "");
    spec.train = directory.write("train.csv", "text,spam,rude,rare\nmy card,0,1,0\npay one,1,1,0\n").into();
    (spec.columns.label, spec.columns.labels) = (None, ["spam", "rude", "rare"].map(str::to_owned).to_vec());
    let data = run(&spec, &[]).unwrap();
    assert_eq!(data.labels, ["spam", "rude", "rare"]);
    assert_eq!(targets(&data.train), [classes(&[1]), classes(&[0, 1])]);
    insta::assert_snapshot!(data.report.warnings.join("\n"), @"train has no row of the label `rare`");
}

#[test]
fn exactly_one_label_everywhere_is_told() {
    let directory = Directory::new();
    let rows = "{\"text\": \"my card\", \"labels\": [\"a\"]}\n{\"text\": \"pay one\", \"labels\": [\"b\"]}\n";
    let data = run(&lettered(&directory, rows), &[]).unwrap();
    insta::assert_snapshot!(data.report.warnings.join("\n"), @r#"every row of train has exactly one label; task = "sequence-classification" says so to the model"#);
}

#[test]
fn a_label_of_another_file_that_train_lacks_is_refused_with_its_row() {
    let directory = Directory::new();
    let mut spec = lettered(&directory, LETTERS);
    spec.test =
        Some(directory.write("test.jsonl", "{\"text\": \"my card\", \"labels\": [\"card\", \"lat\"]}\n").into());
    let error = run(&spec, &[]).unwrap_err();
    insta::assert_snapshot!(said(&directory, &error), @"test.jsonl:1 has the label `lat`, which is not among the labels of train.jsonl; did you mean `late`?");
}

#[test]
fn a_split_gives_each_side_rows_of_a_rare_label() {
    let directory = Directory::new();
    let words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let mut rows = String::new();
    for i in 0..100 {
        let labels = if i % 10 == 0 { "[\"usual\", \"rare\"]" } else { "[\"usual\"]" };
        let _ = writeln!(rows, "{{\"text\": \"card {} {}\", \"labels\": {labels}}}", words[i % 10], words[i / 10]);
    }
    let mut spec = lettered(&directory, &rows);
    for seed in 0..5 {
        (spec.seed, spec.validation) = (seed, Validation::Split { fraction: 0.2 });
        let data = run(&spec, &[]).unwrap();
        assert_eq!((data.train.len(), data.validation.len()), (80, 20));
        let rare = targets(&data.validation).iter().filter(|target| **target == classes(&[0, 1])).count();
        assert_eq!(rare, 2, "a fifth of ten, seed {seed}");
    }
}

#[test]
fn rows_get_their_numbers_and_the_report_says_how_they_lie() {
    let directory = Directory::new();
    let mut spec =
        scored(&directory, "{\"text\": \"my card\", \"score\": 2}\n{\"text\": \"pay one\", \"score\": \"-1.0\"}\n");
    let data = run(&spec, &[]).unwrap();
    assert_eq!(data.labels, ["score"]);
    assert_eq!(targets(&data.train), [Target::Values(vec![2.0]), Target::Values(vec![-1.0])]);
    let summary = ValueSummary { name: "score".to_owned(), min: -1.0, mean: 0.5, max: 2.0, std: 1.5 };
    assert_eq!(data.report.splits[0].values, [summary]);
    assert!(data.report.splits[0].labels.is_empty() && data.report.warnings.is_empty());

    spec.train = directory.write("lists.jsonl", "{\"text\": \"a\", \"score\": [1, 2]}\n").into();
    assert_eq!(run(&spec, &[]).unwrap().labels, ["score_0", "score_1"]);
    (spec.columns.label, spec.columns.labels) = (None, ["b", "a"].map(str::to_owned).to_vec());
    spec.train = directory.write("columns.csv", "text,a,b\nmy card,1,2.5\n").into();
    let data = run(&spec, &[]).unwrap();
    assert_eq!((data.labels.join(" "), targets(&data.train)), ("b a".to_owned(), vec![Target::Values(vec![2.5, 1.0])]));
}

#[test]
fn numbers_that_teach_nothing_or_lie_far_off_are_told() {
    let directory = Directory::new();
    let rows = "{\"text\": \"my card\", \"score\": [3, 1000]}\n{\"text\": \"pay one\", \"score\": [3, 3000]}\n";
    let data = run(&scored(&directory, rows), &[]).unwrap();
    insta::assert_snapshot!(data.report.warnings.join("\n"));
}

#[test]
fn rows_with_another_count_of_numbers_are_refused() {
    let directory = Directory::new();
    let rows = "{\"text\": \"my card\", \"score\": [3, 1]}\n{\"text\": \"pay one\", \"score\": 3}\n";
    let mut spec = scored(&directory, rows);
    insta::assert_snapshot!(said(&directory, &run(&spec, &[]).unwrap_err()), @"train.jsonl:2 has 1 number in column `score`, and train.jsonl:1 has 2");
    let two = rows.lines().next().unwrap();
    spec.train = directory.write("two.jsonl", two).into();
    spec.test = Some(directory.write("test.jsonl", "{\"text\": \"a\", \"score\": [1, 2, 3]}\n").into());
    insta::assert_snapshot!(said(&directory, &run(&spec, &[]).unwrap_err()), @"test.jsonl:1 has 3 numbers in column `score`, and the rows of two.jsonl have 2");
    let names = ["x".to_owned()];
    let file = directory.path().join("two.jsonl").into();
    let error = prepare_source(&spec, SplitName::Test, &file, Some(&names), &[], &bert(), &mut |_| {}).unwrap_err();
    insta::assert_snapshot!(said(&directory, &error), @"two.jsonl:1 has 2 numbers in column `score`, and the model gives 1");
}

#[test]
fn for_prediction_nothing_but_the_text_is_read() {
    let directory = Directory::new();
    let file = directory.write("new.jsonl", "{\"text\": \"my card\"}\n").into();
    for spec in [scored(&directory, ""), lettered(&directory, "")] {
        let (data, _) = prepare_source(&spec, SplitName::Test, &file, None, &[], &bert(), &mut |_| {}).unwrap();
        assert_eq!(targets(&data), [Target::None]);
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_a_file_is_opened() {
    let directory = Directory::new();
    let refused = |change: &dyn Fn(&mut DataSpec), mut spec: DataSpec| {
        change(&mut spec);
        run(&spec, &[]).unwrap_err().to_string()
    };
    let labels = |change: &dyn Fn(&mut DataSpec)| refused(change, lettered(&directory, LETTERS));
    let numbers = |change: &dyn Fn(&mut DataSpec)| refused(change, scored(&directory, LETTERS));
    insta::assert_snapshot!(labels(&|spec| spec.columns.label = None));
    insta::assert_snapshot!(labels(&|spec| spec.limit_per_label = Some(3)));
    insta::assert_snapshot!(labels(&|spec| spec.layout = crate::spec::Layout::Blocks));
    insta::assert_snapshot!(numbers(&|spec| spec.layout = crate::spec::Layout::Packed));
    insta::assert_snapshot!(numbers(&|spec| spec.columns.label = None));
    insta::assert_snapshot!(numbers(&|spec| spec.labels = Some(vec!["a".to_owned()])));
    insta::assert_snapshot!(numbers(&|spec| spec.columns.completion = Some("c".to_owned())));
}
