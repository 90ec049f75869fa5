use retune_roles::{Output, Rejection, Value};

use super::*;

fn samples(texts: &[&str]) -> Vec<Sample> {
    let sample = |(i, &text): (usize, &&str)| Sample {
        key: format!("t.csv:{}", i + 2),
        seed: 0,
        fields: vec![("text".to_owned(), Value::Text(text.to_owned()))],
    };
    texts.iter().enumerate().map(sample).collect()
}

fn output(source: u32, names: &[&str]) -> Output {
    Output { source, fields: names.iter().map(|&name| (name.to_owned(), Value::Integer(1))).collect() }
}

fn rejection(source: u32, reason: &str) -> Rejection {
    Rejection { source, reason: reason.to_owned() }
}

fn settled(outputs: Vec<Output>, rejected: Vec<Rejection>) -> Result<Settled, Failure> {
    let contract = PreprocessorContract { writes: vec!["text".to_owned()], ..PreprocessorContract::default() };
    let lines = [Some(2), Some(3), Some(4)];
    settle("probe", &contract, &samples(&["a", "b", "c"]), &lines, BatchResult { outputs, rejected })
}

#[test]
fn what_breaks_the_contract_is_a_failure_that_names_the_row() {
    let text = ["text"];
    let broken = [
        settled(vec![output(3, &text)], vec![]),
        settled(vec![], vec![rejection(7, "too-long")]),
        settled(vec![output(1, &text)], vec![rejection(1, "too-long")]),
        settled(vec![], vec![rejection(1, "too-long"), rejection(1, "duplicate")]),
        settled(vec![], vec![rejection(0, "  ")]),
        settled(vec![], vec![rejection(0, &"the text ".repeat(20))]),
        settled(vec![output(0, &["text", "text"])], vec![]),
        settled(vec![output(2, &["other"])], vec![]),
    ];
    let messages: Vec<String> = broken.into_iter().map(|result| result.unwrap_err().to_string()).collect();
    insta::assert_snapshot!(messages.join("\n"), @r#"
    preprocessor probe failed in `process` at samples t.csv:2 to t.csv:4: an output says it comes from sample 3 of the batch, and they go from 0 to 2
    preprocessor probe failed in `process` at samples t.csv:2 to t.csv:4: it rejected sample 7 of the batch, and they go from 0 to 2
    preprocessor probe failed in `process` at sample t.csv:3: it both passed the sample on and rejected it
    preprocessor probe failed in `process` at sample t.csv:3: it rejected the sample twice
    preprocessor probe failed in `process` at sample t.csv:2: the reason of a rejection has 0 bytes, and a reason is a code of 1 to 64
    preprocessor probe failed in `process` at sample t.csv:2: the reason of a rejection has 179 bytes, and a reason is a code of 1 to 64
    preprocessor probe failed in `process` at sample t.csv:2: an output has the field `text` twice
    preprocessor probe failed in `process` at sample t.csv:4: an output lacks the field `text`, which the contract promises
    "#);
}

#[test]
fn outputs_go_by_origin_and_several_of_one_are_numbered() {
    let text = ["text"];
    let done = settled(vec![output(2, &text), output(0, &text), output(2, &text)], vec![]).unwrap();
    let keys: Vec<&str> = done.records.iter().map(|record| record.key.as_str()).collect();
    assert_eq!(keys, ["t.csv:2", "t.csv:4#0", "t.csv:4#1"]);
    assert_eq!(done.records[1].line, Some(4));
    assert_eq!(done.added, 1);
    assert_eq!(done.dropped, [("filtered".to_owned(), "t.csv:3".to_owned())]);
}

#[test]
fn the_seed_of_a_sample_changes_with_each_of_its_parts_and_with_nothing_else() {
    let seed = sample_seed(1, "clean", "t.csv:2", 0);
    assert_eq!(seed, sample_seed(1, "clean", "t.csv:2", 0));
    let others = [
        sample_seed(2, "clean", "t.csv:2", 0),
        sample_seed(1, "dedup", "t.csv:2", 0),
        sample_seed(1, "clean", "t.csv:3", 0),
        sample_seed(1, "clean", "t.csv:2", 1),
        sample_seed(1, "cleant", ".csv:2", 0),
    ];
    assert!(others.iter().all(|&other| other != seed));
}

#[test]
fn reasons_beyond_a_hundred_are_counted_together_and_none_is_lost() {
    let mut drops = Drops::default();
    for i in 0..250 {
        drops.add(&format!("reason-{i}"), "t.csv:2");
    }
    let report = drops.report("probe");
    assert_eq!(report.iter().map(|d| d.count).sum::<u64>(), 250);
    assert_eq!(report.len(), 101);
    assert_eq!((report[0].reason.as_str(), report[0].count), ("other", 150));
}
