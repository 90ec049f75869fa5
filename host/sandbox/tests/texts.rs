//! Metrics that read what a model writes, through the sandbox: fed by texts alone, by both, and one that gives up.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{plugin, setup, tokens};
use insta::assert_snapshot;
use retune_roles::{Metric, Reads, RoleKind, TextExample};
use retune_sandbox::{Limits, Setup};
use retune_tensor::Device;
use serde_json::{Value, json};

fn metric(name: &str, config: Value) -> Box<dyn Metric> {
    let plugin = plugin(name);
    let config = plugin.resolve_config(&config).unwrap();
    plugin.metric(&Setup::new(config, 7), &Device::flex()).unwrap()
}

fn answer(key: &str, prediction: &str, references: &[&str]) -> TextExample {
    TextExample { prompt: "say it".into(), ..TextExample::new(key, prediction, references) }
}

#[test]
fn a_metric_that_exports_text_metric_alone_asks_for_no_tensor() {
    assert_eq!(plugin("chrf").roles(), [RoleKind::Metric]);
    assert_eq!(plugin("chrf").reads(), Reads::TEXTS);
    assert_eq!(plugin("answer-length").reads(), Reads { tensors: true, texts: true });
    assert_eq!(plugin("perplexity").reads(), Reads::TENSORS);
    let chrf = metric("chrf", json!(null));
    assert_eq!((chrf.reads(), chrf.wants()), (Reads::TEXTS, &[][..]));
}

#[test]
fn chrf_is_sacrebleus_and_parts_merge_to_the_whole() {
    let path = common::root().join("tests/fixtures/text-metrics.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let corpus = |case: &&Value| case["metric"] == "chrf" && case["each"] == false && case["rows"] == "drawn";
    let mut compared = 0;
    for case in all["cases"].as_array().unwrap().iter().filter(corpus) {
        let rows = all["rows"]["drawn"].as_array().unwrap().iter().enumerate().map(|(at, row)| {
            let references: Vec<&str> = row[1].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
            answer(&format!("drawn:{at}"), row[0].as_str().unwrap(), &references)
        });
        let rows: Vec<TextExample> = rows.collect();
        let (mut whole, mut part) = (metric("chrf", case["config"].clone()), metric("chrf", case["config"].clone()));
        whole.update_texts(&rows[..100]).unwrap();
        part.update_texts(&rows[100..]).unwrap();
        whole.merge(&part.snapshot().unwrap()).unwrap();
        let (found, expected) = (whole.compute().unwrap()[0].1, case["expected"][0][0].as_f64().unwrap());
        assert!((found - expected).abs() < 1e-9, "{found} {expected} {}", case["config"]);
        compared += 1;
    }
    assert_eq!(compared, 6);
}

#[test]
fn a_metric_that_is_fed_by_both_keeps_one_state() {
    let mut metric = metric("answer-length", json!(null));
    metric.update(&tokens(3, 0.0)).unwrap();
    metric.update_texts(&[answer("a", "one two three", &["one"]), answer("b", "", &["one two"])]).unwrap();
    let values: Vec<f64> = metric.compute().unwrap().into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [1.5, 1.0, 0.5, 5.0 / 3.0]);
    metric.reset().unwrap();
    assert!(metric.compute().unwrap().iter().all(|(_, value)| value.is_nan()));
}

#[test]
fn a_panic_at_one_answer_is_told_with_the_key_of_its_row() {
    let plugin = plugin("hostile/traps-on-answer");
    let mut metric = plugin.metric(&setup(&plugin), &Device::flex()).unwrap();
    let rows = [answer("dev.jsonl:1", "fine", &["x"]), answer("dev.jsonl:2", "poison", &["x"])];
    let failure = metric.update_texts(&rows).unwrap_err();
    assert_eq!(failure.details().place.as_deref(), Some("the answer to dev.jsonl:2"));
    assert!(failure.to_string().contains("failed in `update` at the answer to dev.jsonl:2: panicked:"), "{failure}");
    assert!(metric.compute().unwrap_err().to_string().contains("stopped after an earlier trap"));
}

#[test]
fn an_answer_that_is_too_long_for_the_plugins_memory_ends_the_plugin_and_not_the_host() {
    let plugin = plugin("chrf");
    let setup = Setup { limits: Limits { memory_mib: 4, ..Limits::default() }, ..setup(&plugin) };
    let mut metric = plugin.metric(&setup, &Device::flex()).unwrap();
    let long: String = (0..400_000u64).map(|i| char::from(b'a' + (i * i % 23) as u8)).collect();
    let failure = metric.update_texts(&[answer("dev.jsonl:9", &long, &["x"])]).unwrap_err();
    assert_snapshot!(common::shown(&failure).lines().next().unwrap(), @"metric chrf (target/plugins/chrf.wasm) failed in `update` at the answer to dev.jsonl:9: needed more than 4 MiB of memory");
}
