//! The page as a whole: made from a synthetic run.

use retune_sandbox::Used;
use serde_json::json;

use super::{History, page};
use crate::manifest::{FileFacts, Hardware, Manifest, ModelFacts, RoleFacts};

fn manifest() -> Manifest {
    let file = |path: &str| FileFacts { path: path.into(), sha256: "ab".repeat(32), bytes: 4096 };
    Manifest {
        name: "tiny <run>".into(),
        retune: "0.1.0".into(),
        started: 1_773_500_940.0,
        seed: 42,
        task: "sequence-classification".into(),
        labels: vec!["<b>no</b>".into(), "yes".into()],
        hardware: Hardware { device: "cpu (2 threads)".into(), system: "linux x86_64".into(), cores: 2, memory: None },
        model: ModelFacts {
            architecture: "bert".into(),
            parameters: 6115,
            trainable: 51,
            new: vec!["classifier.weight".into()],
            unused: vec![],
        },
        base: vec![file("base/model.safetensors")],
        adapter: Vec::new(),
        tokenizer: "cd".repeat(32),
        data: vec![file("train.csv")],
        roles: vec![
            RoleFacts {
                path: "loss".into(),
                role: "loss".into(),
                name: "focal".into(),
                plugin: Some(file("focal.wasm")),
                config: json!({"gamma": 2.0}),
                limits: json!({}),
                used: Some(Used {
                    calls: 1_240,
                    seconds: 3.21,
                    memory: 3 << 20,
                    tensors: 5 << 20,
                    operations: 21_080,
                    read: 0,
                    words: 512,
                    dropped_lines: 0,
                }),
            },
            RoleFacts {
                path: "evaluation.metrics[0]".into(),
                role: "metric".into(),
                name: "accuracy".into(),
                plugin: None,
                config: json!({}),
                limits: json!(null),
                used: None,
            },
        ],
    }
}

/// A run of 40 steps whose embeddings thaw at step 20.
fn log() -> String {
    let layers = |step: u64, low: bool| {
        json!({"event": "layers", "step": step, "layers": [
        {"name": "embeddings", "trainable": low, "lr_scale": 0.5}, {"name": "classifier", "trainable": true, "lr_scale": 1.0}]})
    };
    let measured = |when: &str, split: &str, loss: f64, matrix: [[u64; 2]; 2]| {
        let cell = |(i, row): (usize, &[u64; 2])| [[i as u64, 0, row[0]], [i as u64, 1, row[1]]];
        let matrix: Vec<_> = matrix.iter().enumerate().flat_map(cell).collect();
        json!({"event": "measured", "when": when, "split": split, "rows": 20,
        "values": [["loss", loss], ["accuracy", 1.0 - loss / 2.0], ["report.accuracy", 0.75], ["f1.<b>no</b>", 0.25], ["f1.yes", 0.5]], "confusion": matrix, "seconds": 0.1})
    };
    let mut events = vec![
        json!({"event": "data", "report": {
            "sources": [{"split": "train", "path": "train.csv", "sha256": "aa", "bytes": 10, "read": 100, "limited": 0, "added": 0, "rows": 80,
                "dropped": [{"stage": "dedup", "reason": "duplicate", "count": 20, "keys": ["train.csv:7"]}], "cache": {"state": "off", "reason": "no directory"}}],
            "splits": [], "labels": ["<b>no</b>", "yes"], "overlaps": [], "tokenizer_digest": "x", "warnings": ["three rows are <odd>"]}}),
        measured("before", "validation", 1.2, [[0, 10], [0, 10]]),
        json!({"event": "run_start", "total_steps": 40, "parameters": 6115, "trainable_parameters": 51, "resumed_from": null}),
        layers(0, false),
    ];
    for step in 1..=40_u64 {
        let loss = 1.0 / step as f64;
        events.push(json!({"event": "step", "step": step, "loss": loss, "smoothed_loss": loss, "learning_rate": 1e-3, "grad_norm": 0.5}));
        if step == 20 {
            events.push(json!({"event": "policy_change", "step": 20, "policy": "gradual-unfreezing (p.wasm)", "trigger": "epoch", "layers": "embeddings",
                "selected": ["embeddings"], "action": "unfreeze", "reason": "depth 0 <joins>"}));
            events.push(layers(20, true));
            events.push(json!({"event": "evaluation", "step": 20, "epoch": 1.0, "values": [["loss", 0.5], ["accuracy", 0.7]], "best": true, "rows": 20, "seconds": 0.1}));
        }
    }
    events.extend([
        json!({"event": "forecast", "memory": {"weights": 1_000_000, "peak": 80_000_000}}),
        json!({"event": "warning", "step": 40, "message": "a & b"}),
        json!({"event": "run_end", "step": 40, "reason": "finished", "weights_from": 20, "frozen_unchanged": 3, "seconds": 2.0}),
        measured("after", "validation", 0.4, [[9, 1], [0, 10]]),
        measured("test", "test", 0.5, [[8, 2], [1, 9]]),
        json!({"event": "finished", "seconds": 3.0, "peak_memory": 85_000_000}),
    ]);
    events.iter().map(|e| format!("{e}\n")).collect()
}

fn html(log: &str) -> String {
    page::page(&manifest(), &History::read(log), "name = \"tiny\"\n# <recipe>\n")
}

/// Every tag that opens closes, in order.
fn assert_well_formed(html: &str) {
    const VOID: &[&str] = &["!doctype", "meta", "br"];
    let mut open: Vec<&str> = Vec::new();
    for tag in html.split('<').skip(1) {
        let inside = tag.split('>').next().unwrap_or_default();
        let name = inside.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap_or_default();
        if inside.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closing in the wrong order near <{inside}>");
        } else if !inside.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

#[test]
fn the_page_is_well_formed_and_needs_nothing_from_outside() {
    let html = html(&log());
    assert_well_formed(&html);
    for outside in ["http://", "https://", "<script", "<link", "src=", "@import", "url(http"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn the_page_shows_what_a_run_did() {
    let html = html(&log());
    for section in [
        "Result",
        "Loss",
        "Metrics on the validation set",
        "Learning rate",
        "Trainable layers over time",
        "Confusion matrix",
        "Data",
        "Roles",
        "Warnings",
        "Configuration",
    ] {
        assert!(html.contains(&format!("<h2>{section}</h2>")), "{section}");
    }
    assert!(html.contains("embeddings: frozen, steps 1 to 20"));
    assert!(html.contains("embeddings: learns at 0.5 of the rate, steps 21 to 40"));
    assert!(html.contains("<td>duplicate</td><td class=\"n\">20</td><td>train.csv:7</td>"));
    assert!(html.contains("weights of step 20") && html.contains("3 frozen parameters"));
    assert!(
        html.contains("&lt;b&gt;no&lt;/b&gt; taken for yes: 2 of 10"),
        "the confusion matrix is that of the test set"
    );
    assert!(html.contains(
        "<summary>by class</summary><table><thead><tr><th>class</th><th class=\"n\">f1</th></tr></thead><tbody>\
         <tr><td>&lt;b&gt;no&lt;/b&gt;</td><td class=\"n\">0.25</td></tr><tr><td>yes</td><td class=\"n\">0.5</td></tr></tbody>"
    ));
    assert_eq!(
        html.matches("<td>report.accuracy</td>").count(),
        1,
        "a value of all classes is in the first table only"
    );
    assert!(html.contains("abababababababab"), "plugins have their digests");
    assert!(html.contains("Most memory held: 81.1 MiB. Forecast: 76.3 MiB (-6 %)."));
    assert!(html.contains("role=\"img\"") && html.contains("prefers-color-scheme: dark"));
}

#[test]
fn answers_before_and_after_stand_beside_what_was_expected() {
    let answers = |said: &str| json!([{"key": "dev.jsonl:3", "prompt": "<|user|>\n2 + 2?", "prediction": said, "reference": "<4>\nyes"}]);
    let measured = |when: &str, said: &str| json!({"event": "measured", "when": when, "split": "validation", "rows": 9, "values": [["loss", 0.5]], "answers": answers(said), "seconds": 0.1});
    let during = [
        json!({"event": "evaluation", "step": 20, "epoch": 1.0, "values": [["loss", 0.5]], "best": true, "rows": 20, "seconds": 0.1}),
        json!({"event": "answers", "step": 20, "answers": answers("seven & a half")}),
    ];
    let start = json!({"event": "run_start", "total_steps": 40, "resumed_from": null});
    let log = |events: &[&serde_json::Value]| events.iter().map(|e| format!("{e}\n")).collect::<String>();
    let trained = html(&log(&[&start, &during[0], &during[1]]));
    assert_well_formed(&trained);
    assert!(
        trained.contains("<th>after step 20</th>") && trained.contains("<td class=\"text\">seven &amp; a half</td>"),
        "{trained}"
    );
    let (before, after) = (measured("before", "five"), measured("after", "<4>"));
    let whole = html(&log(&[&before, &start, &during[0], &during[1], &after]));
    assert_well_formed(&whole);
    assert!(whole.contains("<th>before training</th><th>after training</th>"), "{whole}");
    assert!(whole.contains("<td class=\"text\">five</td><td class=\"text\">&lt;4&gt;</td>"), "{whole}");
    assert!(whole.contains("<summary>&lt;4&gt;…</summary>") && !whole.contains("<4>"), "{whole}");
    let resumed = json!({"event": "run_start", "total_steps": 40, "resumed_from": 10});
    let again = html(&log(&[&start, &during[0], &during[1], &resumed]));
    assert!(!again.contains("<h2>Answers</h2>"), "what the killed part did beyond the checkpoint is dropped");
}

#[test]
fn nothing_from_a_data_set_becomes_markup() {
    let html = html(&log());
    for raw in ["<b>no</b>", "<odd>", "<joins>", "<run>", "<recipe>"] {
        assert!(!html.contains(raw), "{raw}");
    }
}

#[test]
fn a_run_that_failed_at_once_still_has_a_page() {
    let html = html("{\"event\":\"failed\",\"message\":\"the plugin <broke>\"}\n");
    assert_well_formed(&html);
    assert!(html.contains("The run failed after step 0: the plugin &lt;broke&gt;"));
}

proptest::proptest! {
    #[test]
    fn a_log_cut_off_anywhere_still_has_a_page(part in 0.0..1.0_f64) {
        let log = log();
        let cut = (log.len() as f64 * part) as usize;
        assert_well_formed(&html(&log[..log.floor_char_boundary(cut)]));
    }
}
