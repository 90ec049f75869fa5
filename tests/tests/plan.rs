//! What is told of a run before it is begun, and of a model before it is loaded.

#![allow(clippy::unwrap_used, clippy::panic)]

mod tiny;

use serde_json::Value;
use tiny::Tiny;

/// Its base is a config alone.
fn tiny() -> Tiny {
    let tiny = Tiny::new();
    tiny.recipe("");
    tiny
}

fn json(tiny: &Tiny, arguments: &[&str]) -> Value {
    let said = tiny.retune(arguments);
    assert_eq!(said.code, Some(0), "{}", said.err);
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn a_plan_tells_memory_by_part_steps_and_what_would_make_it_fit() {
    let tiny = tiny();
    let said = tiny.retune(&["plan", "recipe.toml", "--memory", "8GiB"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    insta::assert_snapshot!("a_plan_that_fits", said.out);
    let plan = json(&tiny, &["plan", "recipe.toml", "--memory", "8GiB", "--json"]);
    let part = |name: &str| plan["memory"][name].as_u64().unwrap();
    assert_eq!(part("gradients"), 4 * plan["parameters"].as_u64().unwrap());
    assert_eq!(part("moments"), 2 * part("gradients"));
    assert_eq!(plan["lengths"], "rows");

    let peak = part("peak");
    let small = (peak - part("activations") / 4).to_string();
    let tight = json(&tiny, &["plan", "recipe.toml", "--memory", &small, "--json", "--set", "training.batch_size=64"]);
    let advice = tight["advice"].as_array().unwrap();
    assert!(!advice.is_empty(), "{tight:#}");
    for advice in advice {
        let set = advice["set"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().replace(' ', ""));
        let set: Vec<String> = set.collect();
        let mut arguments =
            vec!["plan", "recipe.toml", "--memory", &small, "--json", "--set", "training.batch_size=64"];
        set.iter().for_each(|key| arguments.extend(["--set", key]));
        let followed = json(&tiny, &arguments);
        assert_eq!(followed["memory"]["peak"], advice["peak"], "{advice}");
        assert!(followed["memory"]["peak"].as_u64().unwrap() <= small.parse().unwrap());
    }
    let hopeless = tiny.retune(&["plan", "recipe.toml", "--memory", "1MiB"]);
    assert!(hopeless.out.contains("no key of the recipe makes it fit; take a smaller model"), "{}", hopeless.out);
}

#[test]
fn a_plan_without_data_takes_the_longest_rows() {
    let tiny = tiny();
    let plan = json(&tiny, &["plan", "recipe.toml", "--without-data", "--json"]);
    assert_eq!(plan["largest_batch"], 128);
    assert_eq!((&plan["lengths"], &plan["steps"]), (&"max-length".into(), &Value::Null));
    let said = tiny.retune(&["plan", "recipe.toml", "--set", "strategy.train_top_layers=9"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("strategy.train_top_layers"), "{}", said.err);
}

#[test]
fn a_model_is_inspected_by_its_folder() {
    let tiny = tiny();
    let found = json(&tiny, &["model", "inspect", "base", "--json"]);
    assert_eq!((&found["family"], &found["tokenizer"]["kind"]), (&"bert".into(), &"WordPiece".into()));
    let said = tiny.retune(&["model", "inspect", "bsae"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("bsae"), "{}", said.err);
}
