//! The example that needs no download: run it, and make its parts again.
//!
//! The recipe is `host/recipes/quickstart.toml`; the folder beside it holds the data (`train.csv`, `test.csv`) and a base
//! model of 3 MB. `make` makes all but the recipes: the messages come from a grammar and a fixed seed, the tokenizer is
//! trained on them, and the model is pre-trained from nothing by retune itself with `quickstart/pretrain.toml`.

mod dataset;
mod grammar;
mod intents;
mod noise;
mod random;

use std::fs;
use std::path::Path;

use crate::command::{self, Failed};
use crate::plugins;
use crate::workspace::Workspace;

const FOLDER: &str = "host/recipes/quickstart";

/// Where `make` leaves what is not checked in: the corpus, the untrained model, the pre-training run.
const SCRATCH: &str = "target/quickstart";

/// What of a model directory is checked in.
const MODEL_FILES: &[&str] =
    &["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];

/// Builds the recipe's plugins and `retune`, and runs the recipe.
pub fn run(workspace: &Workspace) -> Result<(), Failed> {
    let recipe = format!("{FOLDER}.toml");
    if !workspace.retune("debug").is_file() {
        eprintln!(
            "The first time, retune and the libraries below it are compiled, which takes 7 to 20 minutes on two cores. After \
             that, only what has changed.\n"
        );
    }
    eprintln!("1 of 3: the plugins of {recipe}, to WebAssembly");
    plugins::build_for(workspace, &workspace.path(&recipe))?;
    eprintln!("\n2 of 3: retune");
    command::run(&mut workspace.cargo(["build", "--package", "retune"]))?;
    eprintln!("\n3 of 3: the run");
    command::run(workspace.command(workspace.retune("debug")).args(["run", &recipe]))
}

/// Makes data, tokenizer and base model again. On CPU the same bytes come out each time.
pub fn make(workspace: &Workspace) -> Result<(), Failed> {
    let folder = workspace.path(FOLDER);
    let scratch = workspace.path(SCRATCH);
    let start = scratch.join("start");
    make_directory(&start)?;

    let data = dataset::generate(20_260_101);
    write(&folder.join("train.csv"), &data.train)?;
    write(&folder.join("test.csv"), &data.test)?;
    write(&scratch.join("corpus.jsonl"), &data.corpus)?;

    let mut tokenizer = workspace.cargo(["run", "--quiet", "--example", "train-tokenizer"]);
    tokenizer.args(["--", "--vocab-size", "1024", "--column", "text", "--out"]).arg(&start);
    command::run(tokenizer.arg(scratch.join("corpus.jsonl")))?;
    copy(&folder.join("config.json"), &start.join("config.json"))?;

    command::run(&mut workspace.cargo(["build", "--package", "retune"]))?;
    let recipe = format!("{FOLDER}/pretrain.toml");
    command::run(workspace.command(workspace.retune("debug")).args(["run", &recipe]))?;

    let base = folder.join("base");
    make_directory(&base)?;
    for file in MODEL_FILES {
        copy(&scratch.join("base").join(file), &base.join(file))?;
    }
    println!("the quickstart is in {FOLDER}");
    Ok(())
}

fn make_directory(path: &Path) -> Result<(), Failed> {
    fs::create_dir_all(path).map_err(|error| Failed::file("make", path, &error))
}

fn write(path: &Path, text: &str) -> Result<(), Failed> {
    fs::write(path, text).map_err(|error| Failed::file("write", path, &error))
}

fn copy(from: &Path, to: &Path) -> Result<(), Failed> {
    fs::copy(from, to).map(drop).map_err(|error| Failed::file("copy", from, &error))
}
