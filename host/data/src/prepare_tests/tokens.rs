//! Rows of words with tags, and of texts with hidden tokens.

use super::*;
use crate::spec::{Layout, Validation};
use retune_roles::Example;

fn tagged(directory: &Directory, rows: &str) -> DataSpec {
    let mut spec = DataSpec::new(directory.write("train.jsonl", rows), TaskKind::TokenClassification);
    spec.max_length = 8;
    spec
}

const ROWS: &str = "\
    {\"tokens\": [\"My\", \"cards\", \"failed\"], \"tags\": [\"O\", \"B-X\", \"I-X\"]}\n\
    {\"tokens\": [\"one\", \"two\", \"three\", \"four\", \"five\", \"six\", \"seven\"], \"tags\": [\"O\", \"I-X\", \"O\", \"O\", \"O\", \"O\", \"B-Y\"]}\n\
    {\"tokens\": [], \"tags\": []}\n";

fn targets(data: &Dataset) -> Vec<Vec<i32>> {
    let labels = |example: Example| match example.target {
        Target::Labels(labels) => labels,
        other => panic!("{other:?}"),
    };
    data.to_vec().into_iter().map(labels).collect()
}

#[test]
fn words_get_classes_of_all_tags_and_what_is_lost_or_odd_is_told() {
    let directory = Directory::new();
    let data = run(&tagged(&directory, ROWS), &[]).unwrap();
    assert_eq!(data.labels, ["B-X", "B-Y", "I-X", "O"]);
    assert_eq!(targets(&data.train), [vec![-100, 3, 0, -100, 2, -100], vec![-100, 3, 2, 3, 3, 3, 3, -100]]);
    let counts: Vec<u64> = data.report.splits[0].labels.iter().map(|label| label.count).collect();
    assert_eq!(counts, [1, 0, 2, 6]);
    insta::assert_snapshot!(data.report.warnings.join("\n"), @r#"
    1 row of train was left out: the tokenizer makes no token of it (first: train.jsonl:3)
    1 row of train (50.0 %) was cut at 8 tokens (data.max_length)
    1 word of train lies behind 8 tokens (data.max_length), or makes no token: its tag is not learnt
    1 tag of train goes on with an entity that no word before begins (I- without B-): each counts as a beginning
    train has no word of the label `B-Y`
    "#);
}

#[test]
fn all_pieces_are_labelled_when_that_is_asked_for() {
    let directory = Directory::new();
    let mut spec = tagged(&directory, ROWS);
    spec.label_all_tokens = true;
    assert_eq!(targets(&run(&spec, &[]).unwrap().train)[0], [-100, 3, 0, 2, 2, -100], "the inside of what begins");
}

#[test]
fn a_tag_that_is_not_in_the_set_is_refused_with_its_row_and_numbers_stand_for_names() {
    let directory = Directory::new();
    let mut spec = tagged(&directory, ROWS);
    spec.labels = Some(["O", "B-X", "I-X"].map(str::to_owned).to_vec());
    let error = run(&spec, &[]).unwrap_err();
    insta::assert_snapshot!(said(&directory, &error), @"train.jsonl:2 has the label `B-Y`, which is not in data.labels; did you mean `B-X`?");
    spec.train = directory.write("numbers.jsonl", "{\"tokens\": [\"one\", \"two\"], \"tags\": [1, 2]}\n").into();
    let data = run(&spec, &[]).unwrap();
    assert_eq!(targets(&data.train), [[-100, 1, 2, -100]]);
}

#[test]
fn for_prediction_a_row_says_which_word_begins_where() {
    let directory = Directory::new();
    let spec = tagged(&directory, ROWS);
    let (data, report) = prepare_source(&spec, SplitName::Test, &spec.train, None, &[], &bert(), &mut |_| {}).unwrap();
    assert_eq!(targets(&data)[0], [-100, 0, 1, -100, 2, -100]);
    assert!(report.labels.is_empty());
}

#[test]
fn keys_that_cannot_be_for_tokens_are_refused() {
    let directory = Directory::new();
    let refused = |change: &dyn Fn(&mut DataSpec)| {
        let mut spec = tagged(&directory, ROWS);
        change(&mut spec);
        run(&spec, &[]).unwrap_err().to_string()
    };
    let all = [
        refused(&|spec| spec.layout = Layout::Blocks),
        refused(&|spec| spec.limit_per_label = Some(2)),
        refused(&|spec| spec.columns.tags = None),
        refused(&|spec| {
            spec.task = TaskKind::MaskedLm;
            spec.mask.probability = 1.0;
        }),
        refused(&|spec| {
            spec.task = TaskKind::MaskedLm;
            spec.columns.completion = Some("answer".to_owned());
        }),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    `data.layout` is blocks; expected rows, for a token classification
    `data.limit_per_label` is 2; expected nothing, for a token classification
    token classification needs words and tags, and `data.columns` does not name both `tokens` and `tags`
    `data.mask.probability` is 1; expected more than 0 and less than 1
    `data.columns.completion` is answer; expected nothing, for a masked language model
    "#);
}

/// The BERT-like tokenizer with a token that masks.
fn masks() -> Tokenization {
    let directory = Directory::new();
    let mut json = bert_json();
    let id = json["model"]["vocab"].as_object().unwrap().len();
    json["model"]["vocab"]["[MASK]"] = id.into();
    let mut token = json["added_tokens"][0].clone();
    (token["id"], token["content"]) = (id.into(), "[MASK]".into());
    json["added_tokens"].as_array_mut().unwrap().push(token);
    directory.write("tokenizer.json", json.to_string());
    directory.write("tokenizer_config.json", r#"{"tokenizer_class": "BertTokenizer", "pad_token": "[PAD]"}"#);
    Tokenization::open(directory.path()).unwrap()
}

#[test]
fn tokens_of_a_text_are_hidden_anew_in_every_epoch_and_alike_at_every_evaluation() {
    let directory = Directory::new();
    let words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let line =
        |i: usize| format!("my card has not arrived where is {} {} two three four\n", words[i % 10], words[i / 10]);
    let lines: String = (0..40).map(line).collect();
    let mut spec = DataSpec::new(directory.write("t.txt", lines), TaskKind::MaskedLm);
    spec.train.format = Some(crate::Format::Lines);
    spec.validation = Validation::Split { fraction: 0.3 };
    spec.max_length = 12;
    for layout in [Layout::Rows, Layout::Blocks] {
        spec.layout = layout;
        let data = prepare(&spec, &[], &masks(), &mut |_| {}).unwrap();
        let whole = Dataset::new(data.train.rows().clone(), &spec, SplitName::Train).0;
        let mut hidden = 0;
        for row in 0..data.train.len() {
            let [once, again, other, fixed] = [0, 0, 1]
                .map(|epoch| data.train.in_epoch(row, epoch).into_owned())
                .into_iter()
                .chain([data.train.get(row).into_owned()])
                .collect::<Vec<_>>()
                .try_into()
                .unwrap();
            assert_eq!(once, again);
            assert_eq!(fixed, data.train.get(row).into_owned());
            hidden += usize::from(once != other);
            let ids = &whole.get(row).sequences[0].ids.clone();
            let Target::Labels(labels) = &once.target else { panic!() };
            assert_eq!(labels.len(), ids.len());
            for (at, label) in labels.iter().enumerate().filter(|(_, label)| **label != -100) {
                assert_eq!(*label, ids[at] as i32);
                assert!(ids[at] > 3, "neither [CLS] nor [SEP]");
            }
        }
        assert!(2 * hidden > data.train.len(), "{layout:?}: {hidden} of {} rows differ", data.train.len());
        assert!(data.report.splits[0].trained_tokens > 0);
    }
    let error = prepare(&spec, &[], &bert(), &mut |_| {}).unwrap_err();
    assert!(
        error.to_string().ends_with("has no mask token, and a masked language model hides tokens behind it"),
        "{error}"
    );
}
