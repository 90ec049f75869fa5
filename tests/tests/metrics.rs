//! The metric plugins in the sandbox, against numbers worked by hand, in one
//! piece and in parts; and in a run that uses one of them twice.

#![allow(clippy::unwrap_used, clippy::panic)]

mod plugged;
mod tiny;

use retune_roles::{Batch, Metric};
use retune_tensor::{Device, from_float32, from_int64};
use serde_json::{Value, json};
use tiny::{Tiny, plugin};

/// Rows whose logits say `predicted`, over three classes.
fn rows(labels: &[i64], predicted: &[usize]) -> Batch {
    let logits = predicted.iter().flat_map(|class| (0..3).map(move |k| if k == *class { 2.0 } else { 0.5 })).collect();
    Batch::new(vec!["row".into(); labels.len()])
        .with("logits", from_float32(logits, &[labels.len(), 3], &Device::flex()).unwrap())
        .with("labels", from_int64(labels.to_vec(), &[labels.len()], &Device::flex()).unwrap())
}

fn assert_values(metric: &mut dyn Metric, expected: &[(&str, f64)]) {
    let values = metric.compute().unwrap();
    let described: Vec<String> = metric.describe().iter().map(|spec| spec.name.clone()).collect();
    assert_eq!(values.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), described);
    for (name, expected) in expected {
        let value = values.iter().find(|(found, _)| found == name).unwrap().1;
        assert!((value - expected).abs() < 1e-6, "{name}: {value} is not {expected}");
    }
}

/// Class a has tp 2, fp 1, fn 1; b tp 1, fp 1, fn 2; c tp 2, fp 1, fn 0. Nine rows
/// come back as cells of the confusion matrix, fewer as rows.
#[test]
fn a_classification_report_is_as_counted_by_hand_in_any_batches() {
    let (labels, predicted) = ([0, 0, 0, 1, 1, 1, 2, 2, -100], [0, 0, 1, 1, 0, 2, 2, 2, 1]);
    let (a, b, c) = (4.0 / 6.0, 2.0 / 5.0, 4.0 / 5.0);
    let expected = [
        ("f1.a", a),
        ("f1.b", b),
        ("f1.c", c),
        ("accuracy", 5.0 / 8.0),
        ("macro_f1", (a + b + c) / 3.0),
        ("weighted_f1", (3.0 * a + 3.0 * b + 2.0 * c) / 8.0),
        ("macro_precision", (2.0 / 3.0 + 1.0 / 2.0 + 2.0 / 3.0) / 3.0),
        ("macro_recall", (2.0 / 3.0 + 1.0 / 3.0 + 1.0) / 3.0),
    ];
    for size in [1, 2, 4, 9] {
        let mut metric = plugged::metric("classification-report", &json!({ "class_names": ["a", "b", "c"] }));
        for (labels, predicted) in labels.chunks(size).zip(predicted.chunks(size)) {
            metric.update(&rows(labels, predicted)).unwrap();
        }
        assert_values(&mut *metric, &expected);
    }

    let mut whole = plugged::metric("classification-report", &json!({ "class_names": ["a", "b", "c"] }));
    for (labels, predicted) in labels.chunks(5).zip(predicted.chunks(5)) {
        let mut part = plugged::metric("classification-report", &json!({ "class_names": ["a", "b", "c"] }));
        part.update(&rows(labels, predicted)).unwrap();
        whole.merge(&part.snapshot().unwrap()).unwrap();
    }
    assert_values(&mut *whole, &expected);
    whole.reset().unwrap();
    assert!(whole.compute().unwrap().iter().all(|(_, value)| value.is_nan()), "nothing seen is undefined");
}

#[test]
fn perplexity_is_the_inverse_geometric_mean_of_the_probabilities() {
    let mut metric = plugged::metric("perplexity", &json!({ "bits_per_token": true }));
    let p = 1.5f64.exp() / (1.5f64.exp() + 2.0);
    metric.update(&rows(&[0, -100], &[0, 1])).unwrap();
    metric.update(&rows(&[1, 2, 0], &[1, 2, 1])).unwrap();
    let miss = 1.0 / (1.5f64.exp() + 2.0);
    let mean = (p.powi(3) * miss).powf(-0.25);
    assert_values(&mut *metric, &[("perplexity", mean), ("bits_per_token", mean.log2())]);
}

#[test]
fn one_plugin_used_twice_gives_each_value_a_name_of_its_own_by_which_the_best_can_be_chosen() {
    let tiny = Tiny::new();
    let report = plugin("classification-report").display().to_string();
    let metrics = |best: &str| {
        format!(
            "[evaluation]\nmetrics = [\"accuracy\", {{ plugin = \"{report}\" }}, {{ plugin = \"{report}\", config = {{ \
             class_names = [\"a\", \"b\", \"c\"] }} }}]\nbest = {{ metric = \"{best}\" }}\n"
        )
    };
    tiny.recipe(&metrics("classification-report-2.macro_f1"));
    let said = tiny.retune(&["train", "recipe.toml", "-q", "--output", "out"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let events = std::fs::read_to_string(tiny.path().join("out/events.jsonl")).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let evaluation = events.iter().find(|event| event["event"] == "evaluation").unwrap();
    let values: Vec<(String, Option<f64>)> = serde_json::from_value(evaluation["values"].clone()).unwrap();
    let value = |name: &str| values.iter().find(|(own, _)| own == name).unwrap_or_else(|| panic!("{name}")).1;
    let names: std::collections::BTreeSet<&String> = values.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), values.len(), "{values:?}");
    assert_eq!(value("accuracy"), value("classification-report.accuracy"));
    assert_eq!(value("macro_f1"), value("classification-report-2.macro_f1"));
    assert_eq!(value("classification-report-2.accuracy"), value("accuracy"));

    tiny.recipe(&metrics("classification-report-3.macro_f1"));
    let said = tiny.retune(&["run", "recipe.toml", "-q", "--output", "none"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("did you mean `classification-report-2.macro_f1`?"), "{}", said.err);
}
