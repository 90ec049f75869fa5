use std::sync::Arc;

use retune_tensor::{Device, from_float32, from_int64};
use serde_json::Value;

use super::*;

/// Tag sequences and what the package seqeval makes of them; written by `tests/reference/token_task_fixtures.py`.
fn cases() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/seqeval.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn rows(case: &Value, key: &str) -> Vec<Vec<String>> {
    serde_json::from_value(case[key].clone()).unwrap()
}

fn counted(case: &Value, metric: &mut Seqeval) {
    for (labels, predictions) in rows(case, "labels").iter().zip(&rows(case, "predictions")) {
        let of = |row: &[String]| row.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let (labels, predictions) = (of(labels), of(predictions));
        metric.row(&labels.split(' ').collect::<Vec<_>>(), &predictions.split(' ').collect::<Vec<_>>());
    }
}

fn assert_values(case: &Value, metric: &mut Seqeval) {
    let found = metric.compute().unwrap();
    let expected = case["values"].as_object().unwrap();
    for (name, value) in expected {
        let (_, found) = found.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("{name} of {case}"));
        assert!((found - value.as_f64().unwrap()).abs() < 1e-9, "{name} is {found}, not {value}, of {case}");
    }
    assert_eq!(found.len(), expected.len(), "{case}");
}

#[test]
fn every_value_is_that_of_seqeval() {
    let cases = cases();
    assert!(cases.len() >= 300);
    for case in &cases {
        let mut metric = Seqeval::new();
        counted(case, &mut metric);
        assert_values(case, &mut metric);
    }
}

#[test]
fn parts_merge_to_the_whole_in_any_order() {
    let cases = cases();
    let (mut whole, mut folded) = (Seqeval::new(), Seqeval::new());
    for case in cases.iter().take(20) {
        counted(case, &mut whole);
    }
    for case in cases.iter().take(20).rev() {
        let mut part = Seqeval::new();
        counted(case, &mut part);
        folded.merge(&part.snapshot().unwrap()).unwrap();
    }
    assert_eq!(whole.state, folded.state);
    whole.reset().unwrap();
    assert!(whole.compute().unwrap()[3].1.is_nan(), "no word has a label");
    assert!(whole.merge(b"{").unwrap_err().to_string().contains("damaged"));
}

fn batch(logits: Vec<f32>, shape: [usize; 3], labels: Vec<i64>) -> Batch {
    let device = Device::flex();
    let classes: Arc<[String]> = ["O", "B-PER", "I-PER"].map(String::from).into();
    Batch::default()
        .with("logits", from_float32(logits, &shape, &device).unwrap())
        .with("labels", from_int64(labels, &shape[..2], &device).unwrap())
        .of_classes(classes)
}

/// Logits that prefer these classes.
fn preferring(classes: &[usize]) -> Vec<f32> {
    classes.iter().flat_map(|class| (0..3).map(move |at| f32::from(u8::from(at == *class)))).collect()
}

#[test]
fn a_batch_is_read_where_it_has_labels_and_rows_do_not_run_into_each_other() {
    let mut metric = Seqeval::new();
    // Between the two words of the entity stands a further piece of the first.
    let logits = preferring(&[0, 1, 0, 2, 2, 0, 0, 0]);
    metric.update(&batch(logits, [2, 4, 3], vec![-100, 1, -100, 2, 2, 0, -100, -100])).unwrap();
    let values = metric.compute().unwrap();
    assert_eq!(values[0], ("f1".to_owned(), 1.0));
    assert_eq!(metric.state.types["PER"], Counts { hits: 2, predicted: 2, labelled: 2 }, "the second row begins anew");
    assert_eq!(values[3], ("accuracy".to_owned(), 1.0));
}

#[test]
fn tensors_that_do_not_fit_the_tags_are_refused() {
    let refused = |batch: &Batch| Seqeval::new().update(batch).unwrap_err().to_string();
    assert_eq!(
        refused(&batch(preferring(&[0]), [1, 1, 3], vec![3])),
        "metric seqeval failed in `update`: label 3 is neither -100 nor one of the 3 tags"
    );
    assert_eq!(
        refused(&batch(vec![0.0; 4], [1, 1, 4], vec![0])),
        "metric seqeval failed in `update`: logits of shape [1, 1, 4] for labels of shape [1, 1] and 3 tags"
    );
}
