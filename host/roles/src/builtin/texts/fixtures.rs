//! Every metric of texts against the program it is named after, on the pairs of `tests/fixtures/text-metrics.json`.

use serde_json::Value;

use crate::builtin::metric;
use crate::{TaskKind, TextExample};

fn fixtures() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/text-metrics.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The rows of a case, each a prediction and its references.
fn rows(case: &Value) -> Vec<TextExample> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = case.as_array().unwrap().iter().enumerate();
    rows.map(|(at, row)| TextExample {
        key: at.to_string(),
        prediction: text(&row[0]),
        references: row[1].as_array().unwrap().iter().map(text).collect(),
        ..TextExample::default()
    })
    .collect()
}

#[test]
fn values_are_those_of_sacrebleu_rouge_score_evaluate_and_the_harness() {
    let all = fixtures();
    let mut compared = 0;
    // chrF is a plugin.
    for case in all["cases"].as_array().unwrap().iter().filter(|case| case["metric"] != "chrf") {
        let rows = rows(&all["rows"][case["rows"].as_str().unwrap()]);
        let name = case["metric"].as_str().unwrap();
        let mut metric = metric(name, &case["config"], TaskKind::CausalLm).unwrap();
        let groups: Vec<&[TextExample]> = match case["each"].as_bool() {
            Some(true) => rows.chunks(1).collect(),
            _ => vec![&rows],
        };
        let expected = case["expected"].as_array().unwrap();
        assert_eq!(groups.len(), expected.len());
        for (group, expected) in groups.iter().zip(expected) {
            metric.reset().unwrap();
            for part in group.chunks(7) {
                metric.update_texts(part).unwrap();
            }
            let found = metric.compute().unwrap();
            assert_eq!(found.len(), expected.as_array().unwrap().len());
            for ((value, found), expected) in found.iter().zip(expected.as_array().unwrap()) {
                let expected = expected.as_f64().unwrap();
                let close = (found - expected).abs() <= 1e-9 * expected.abs().max(1.0);
                assert!(close, "{name} {} {value}: {found}, expected {expected} of {group:?}", case["config"]);
                compared += 1;
            }
        }
    }
    assert!(compared > 2_000, "{compared}");
}
