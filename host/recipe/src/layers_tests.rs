//! A recipe laid over others and under the command line: what wins, and where a mistake is shown.

use std::path::Path;
use std::sync::Arc;

use super::tests::{FULL, SOUND, read};
use super::{Recipe, resolved};
use crate::diagnostic::{Result, Text};

fn read_with(text: &str, sets: &[&str]) -> Result<Recipe> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let text = Text { name: "recipe.toml".into(), text: Arc::from(text) };
    Recipe::parse_with(text, Path::new("/here"), "recipe", &sets)
}

#[test]
fn what_is_set_on_the_command_line_wins_and_is_read_like_the_file() {
    let sets = [
        "training.epochs=7",
        "training.optimizer.learning_rate = 1e-3",
        "model.task=causal-lm",
        "data.train=other.txt",
        "evaluation.metrics=[\"perplexity\"]",
        "evaluation.every={ steps = 10 }",
        "data.validation.split=0.25",
    ];
    let recipe = read_with(SOUND, &sets).unwrap();
    assert_eq!((recipe.training.epochs, recipe.training.optimizer.learning_rate), (Some(7), 1e-3));
    assert_eq!(recipe.data.train, Path::new("/here/other.txt"));
    let written = resolved::resolved(&recipe);
    assert_eq!(resolved::resolved(&read(&written).unwrap()), written, "the resolved recipe has what was set");
    assert!(written.contains("every = { steps = 10 }") && written.contains("layout = \"blocks\""), "{written}");
}

#[test]
fn an_item_of_a_list_is_set_by_its_number() {
    let recipe = read_with(FULL, &["strategy.policy[0].config.every_epochs=5", "data.labels[1]=maybe"]).unwrap();
    assert_eq!(recipe.strategy.policy[0].config["every_epochs"], 5);
    assert_eq!(recipe.strategy.policy[0].config["nested"]["a"][2], "x", "its neighbours stay");
    assert_eq!(recipe.data.labels.as_deref(), Some(&["no".to_owned(), "maybe".to_owned()][..]));
}

#[test]
fn one_of_two_ways_to_say_it_replaces_the_other() {
    let recipe =
        read_with(FULL, &["model.base=model", "loss.builtin=cross-entropy", "training.lr_scheduler.warmup_ratio=0.5"]);
    let recipe = recipe.unwrap();
    assert_eq!(recipe.model.start().path(), Path::new("/here/model"));
    assert_eq!(recipe.loss.as_ref().unwrap().plugin(), None);
    assert_eq!(recipe.training.lr_scheduler.warmup_steps, None);
}

#[test]
fn a_mistake_on_the_command_line_is_shown_there() {
    let wrong = [
        "training.epochs=zero",
        "training.epoch=1",
        "training.epochs",
        "evaluation.metrics[3].config.k=1",
        "training.lr=1e-3",
        "device=tpu",
    ];
    let shown: Vec<String> =
        wrong.iter().map(|set| read_with(SOUND, &[set]).err().unwrap().render(false, None)).collect();
    insta::assert_snapshot!("set_on_the_command_line", shown.join("\n"));
}

#[test]
fn a_recipe_includes_others_and_wins_over_them() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    write("team/base.toml", "seed = 1\n[training]\nepochs = 9\nbatch_size = 4\n[loss]\nplugin = \"focal.wasm\"\n");
    write("team/team.toml", "include = [\"base.toml\"]\nseed = 2\n[training]\nbatch_size = 8\n");
    let path = write("recipe.toml", &format!("include = \"team/team.toml\"\nseed = 3\n{SOUND}"));
    let recipe = Recipe::load(&path).unwrap();
    assert_eq!((recipe.seed, recipe.training.epochs, recipe.training.batch_size), (3, Some(9), 8));
    assert_eq!(recipe.loss.as_ref().unwrap().plugin(), Some(&*folder.path().join("team/focal.wasm")));
    assert!(!resolved::resolved(&recipe).contains("include"), "the resolved recipe stands alone");

    let shown = |path: &Path| {
        let here = folder.path().display().to_string();
        Recipe::load(path).err().unwrap().render(false, None).replace(&here, "…")
    };
    write("team/base.toml", "include = \"../recipe.toml\"\n");
    insta::assert_snapshot!("an_include_that_closes_a_circle", shown(&path));
    write("team/base.toml", "[training]\nepoch = 9\n");
    insta::assert_snapshot!("a_mistake_in_an_included_file", shown(&path));
    write("recipe.toml", &format!("include = [\"team/tem.toml\"]\n{SOUND}"));
    insta::assert_snapshot!("an_include_that_is_not_there", shown(&path));
}

#[test]
fn the_origin_of_every_value_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("team.toml"), "[training]\nepochs = 9\nbatch_size = 4\n").unwrap();
    let path = folder.path().join("recipe.toml");
    let text = format!("include = \"team.toml\"\n{SOUND}[evaluation]\nmetrics = [\"accuracy\"]\n");
    std::fs::write(&path, text).unwrap();
    let recipe = Recipe::load_with(&path, &["training.optimizer.learning_rate=1e-3".to_owned()]).unwrap();
    let shown = resolved::with_origins(&recipe).replace(&folder.path().display().to_string(), "…");
    let lines: Vec<String> = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in [
        "training.epochs = 9 # …/team.toml:2",
        "training.optimizer.learning_rate = 0.001 # --set",
        "training.optimizer.beta1 = 0.9 # default",
        "data.train = \"…/train.csv\" # …/recipe.toml:8",
        "evaluation.metrics[0].builtin = \"accuracy\" # …/recipe.toml:10",
        "model.tokenizer = \"…/base\" # default",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}\n{shown}");
    }
}
