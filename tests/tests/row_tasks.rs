//! Several labels a row, and numbers: whole runs in miniature, from recipe to prediction.

#![allow(clippy::unwrap_used, clippy::panic)]

mod tiny;

use serde_json::{Value, json};
use tiny::{Draw, Tiny};

const ANIMALS: [&str; 3] = ["cat", "dog", "bird"];
const COLOURS: [&str; 3] = ["red", "green", "blue"];
const FILLERS: [&str; 3] = ["good", "bad", "fine"];

/// Rows that say an animal, a colour, both or neither; `write` makes a line of the text and the two answers.
fn rows(count: usize, seed: u32, write: impl Fn(&str, bool, bool) -> String) -> String {
    let mut draw = Draw(seed);
    let mut row = || {
        let (animal, colour) = (draw.below(2) == 1, draw.below(2) == 1);
        let mut words = vec![FILLERS[draw.below(3)], FILLERS[draw.below(3)]];
        words.extend(animal.then(|| ANIMALS[draw.below(3)]));
        words.extend(colour.then(|| COLOURS[draw.below(3)]));
        write(&words.join(" "), animal, colour) + "\n"
    };
    (0..count).map(|_| row()).collect()
}

fn lists(text: &str, animal: bool, colour: bool) -> String {
    let names = [("animal", animal), ("colour", colour)].into_iter().filter(|(_, held)| *held).map(|(name, _)| name);
    json!({"text": text, "labels": names.collect::<Vec<_>>()}).to_string()
}

fn recipe(task: &str, columns: &str, files: &str, more: &str) -> String {
    let sound = Tiny::SOUND
        .replace("sequence-classification", task)
        .replace("train.csv", &format!("train.{files}"))
        .replace("test.csv", &format!("test.{files}"))
        .replace("max_length = 16\n", &format!("max_length = 16\ncolumns = {columns}\n"));
    format!("{sound}{more}")
}

fn done(tiny: &Tiny, arguments: &[&str]) -> String {
    let said = tiny.retune(arguments);
    assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.err);
    assert!(!said.err.contains("panicked"), "{}", said.err);
    said.out
}

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn several_labels_are_learnt_measured_and_predicted() {
    let tiny = Tiny::new();
    tiny.write("train.jsonl", &rows(200, 1, lists));
    tiny.write("test.jsonl", &rows(40, 2, lists));
    tiny.write("recipe.toml", &recipe("multi-label-classification", r#"{ label = "labels" }"#, "jsonl", ""));
    done(&tiny, &["run", "recipe.toml", "-qq", "--output", "out"]);
    let found: Value = serde_json::from_str(&done(&tiny, &["evaluate", "out", "--json"])).unwrap();
    assert!(found["values"]["micro_f1"].as_f64().unwrap() > 0.95, "{found}");
    assert!(found["values"]["hamming_loss"].as_f64().unwrap() < 0.05, "{found}");
    assert_eq!((&found["labels"], &found["confusion"]), (&json!(["animal", "colour"]), &Value::Null));
    let page = std::fs::read_to_string(tiny.path().join("out/report.html")).unwrap();
    assert!(page.contains("micro_f1") && !page.contains("Confusion matrix"), "no matrix where there is none");
    assert!(page.contains("have more than one label"), "the labels of rows are counted");

    let texts = ["good bad cat red", "fine good dog", "bad fine"];
    let answers = lines(&done(&tiny, &["predict", "out", "--json", texts[0], texts[1], texts[2]]));
    let labels: Vec<Vec<&str>> = answers
        .iter()
        .map(|answer| answer["labels"].as_array().unwrap().iter().map(|label| label.as_str().unwrap()).collect())
        .collect();
    assert_eq!(labels[0].len(), 2);
    assert_eq!((&labels[1][..], &labels[2][..]), (&["animal"][..], &[][..]));
    assert!(answers[1]["probabilities"]["colour"].as_f64().unwrap() < 0.5);
    let none = done(&tiny, &["predict", "out", "--threshold", "0.999999", "bad"]);
    assert_eq!(none, "–  bad\n");
    let said = tiny.retune(&["predict", "out", "--threshold", "1.5", "bad"]);
    assert!(said.code == Some(1) && said.err.contains("`--threshold` is 1.5"), "{}", said.err);

    // One label a row is another task, although the class of the model is the same.
    tiny.write("one.jsonl", "{\"text\": \"cat\", \"label\": \"animal\"}\n");
    tiny.write("one.toml", &recipe("sequence-classification", r#"{ label = "label" }"#, "jsonl", ""));
    let said = tiny.retune(&["evaluate", "one.toml", "--model", "out/model", "--data", "one.jsonl"]);
    assert_eq!(said.code, Some(1));
    insta::assert_snapshot!("a_model_of_another_task_is_not_evaluated", said.err);
}

#[test]
fn labels_in_columns_and_in_a_text_give_the_same_model_as_a_list() {
    let run = |train: &str, columns: &str, files: &str| {
        let tiny = Tiny::new();
        tiny.write(&format!("train.{files}"), train);
        tiny.write(
            "recipe.toml",
            &recipe("multi-label-classification", columns, files, "max_steps = 4\n")
                .replace("epochs = 6\n", "")
                .replace(&format!("test = \"test.{files}\"\n"), "")
                .replace("validation = { split = 0.2 }\n", ""),
        );
        done(&tiny, &["run", "recipe.toml", "-qq", "--output", "out"]);
        std::fs::read(tiny.path().join("out/model/model.safetensors")).unwrap()
    };
    let list = run(&rows(40, 1, lists), r#"{ label = "labels" }"#, "jsonl");
    let flags = |text: &str, animal: bool, colour: bool| format!("{text},{},{}", u8::from(animal), u8::from(colour));
    let table = format!("text,animal,colour\n{}", rows(40, 1, flags));
    assert!(list == run(&table, r#"{ labels = ["animal", "colour"] }"#, "csv"), "a column each");
    let joined = |text: &str, animal: bool, colour: bool| {
        let names =
            [("animal", animal), ("colour", colour)].into_iter().filter(|(_, held)| *held).map(|(name, _)| name);
        format!("{text},{}", names.collect::<Vec<_>>().join("; "))
    };
    let table = format!("text,labels\n{}", rows(40, 1, joined));
    assert!(list == run(&table, r#"{ label = "labels", label_separator = ";" }"#, "csv"), "one text");
}

#[test]
fn numbers_are_learnt_measured_and_predicted() {
    let tiny = Tiny::new();
    let score = |text: &str, animal: bool, colour: bool| {
        let score = f64::from(u8::from(animal)) - 2.0 * f64::from(u8::from(colour));
        json!({"text": text, "score": score, "animals": u8::from(animal)}).to_string()
    };
    tiny.write("train.jsonl", &rows(200, 1, score));
    tiny.write("test.jsonl", &rows(40, 2, score));
    tiny.write(
        "recipe.toml",
        &recipe("regression", r#"{ labels = ["score", "animals"] }"#, "jsonl", "")
            .replace("epochs = 6\n", "epochs = 24\n"),
    );
    done(&tiny, &["run", "recipe.toml", "-qq", "--output", "out"]);
    let found: Value = serde_json::from_str(&done(&tiny, &["evaluate", "out", "--json"])).unwrap();
    for name in ["r2", "pearson", "r2.score", "pearson.animals"] {
        assert!(found["values"][name].as_f64().unwrap() > 0.9, "{name}: {found}");
    }
    assert_eq!((&found["labels"], &found["confusion"]), (&json!(["score", "animals"]), &Value::Null));
    let page = std::fs::read_to_string(tiny.path().join("out/report.html")).unwrap();
    assert!(page.contains("Numbers to predict") && !page.contains("Confusion matrix"));
    let answers = lines(&done(&tiny, &["predict", "out/model", "--json", "good bad cat", "good bad red"]));
    let near = |answer: &Value, name: &str, expected: f64| {
        (answer["predictions"][name].as_f64().unwrap() - expected).abs() < 0.6
    };
    assert!(near(&answers[0], "score", 1.0) && near(&answers[0], "animals", 1.0), "{answers:?}");
    assert!(near(&answers[1], "score", -2.0) && near(&answers[1], "animals", 0.0), "{answers:?}");
    let line = done(&tiny, &["predict", "out", "good bad cat"]);
    assert!(line.starts_with("score ") && line.contains(", animals "), "{line}");
    let said = tiny.retune(&["predict", "out", "--threshold", "0.3", "cat"]);
    assert!(said.code == Some(1) && said.err.contains("`--threshold` has no meaning for regression"), "{}", said.err);
}

/// Runs a recipe that is wrong, and keeps what it said.
fn refused(name: &str, tiny: &Tiny, recipe: &str) {
    tiny.write("recipe.toml", recipe);
    let said = tiny.retune(&["run", "recipe.toml", "-qq", "--output", "out"]);
    assert_eq!(said.code, Some(1), "{name}\n{}{}", said.out, said.err);
    assert!(!tiny.path().join("out").exists(), "{name}: nothing was begun");
    insta::assert_snapshot!(name, said.err);
}

#[test]
fn what_cannot_be_learnt_is_refused_before_training() {
    let tiny = Tiny::new();
    let wrong = |line: &str| format!("{}{line}\n", rows(9, 1, lists));
    let several = recipe("multi-label-classification", r#"{ label = "labels" }"#, "jsonl", "");
    tiny.write("test.jsonl", &rows(9, 2, lists));
    tiny.write("train.jsonl", &wrong(r#"{"text": "cat", "labels": "animal, colour"}"#));
    refused("labels_in_a_text_without_a_separator", &tiny, &several);
    tiny.write("train.jsonl", &rows(20, 1, lists));
    tiny.write("test.jsonl", &wrong(r#"{"text": "cat", "labels": ["animal", "color"]}"#));
    refused("a_label_of_several_that_is_not_in_the_set", &tiny, &several);
    let one = several.replace("multi-label-classification", "sequence-classification");
    refused("a_list_where_one_label_is_expected", &tiny, &one);

    let scored =
        |value: &str| format!("{{\"text\": \"cat\", \"score\": 1.5}}\n{{\"text\": \"dog\", \"score\": {value}}}\n");
    let numbers = recipe("regression", r#"{ label = "score" }"#, "jsonl", "");
    tiny.write("test.jsonl", &scored("1"));
    for (name, value) in
        [("a_word_for_a_number", "\"high\""), ("nan_for_a_number", "\"NaN\""), ("two_numbers_for_one", "[1, 2]")]
    {
        tiny.write("train.jsonl", &scored(value));
        refused(name, &tiny, &numbers);
    }
}
