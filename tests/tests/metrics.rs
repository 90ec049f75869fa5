//! The metric plugins in the sandbox, against numbers worked by hand, in one
//! piece and in parts.

#![allow(clippy::unwrap_used)]

mod plugged;

use retune_roles::{Batch, Metric};
use retune_tensor::{Device, from_float32, from_int64};
use serde_json::json;

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
