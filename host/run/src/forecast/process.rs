//! What the program itself takes, whatever it trains: measured, on Linux with glibc, in the development profile.

use retune_recipe::Recipe;
use retune_recipe::sections::{RoleRef, RoleSource};

/// The program, its threads, and what the system maps for it: measured with a model of a few kilobytes.
const PROCESS: u64 = 48 << 20;

/// What a tokenizer takes in memory for each byte of its file: vocabulary and merges, in tables for both directions.
const PER_TOKENIZER_BYTE: u64 = 12;

/// The engine that runs plugins.
const ENGINE: u64 = 12 << 20;

/// A plugin: its code, and its memory as the plugins of this tree use it. One may take more, up to its limit.
const PLUGIN: u64 = 3 << 20;

/// Bytes of the program that runs `recipe`.
pub(super) fn process(recipe: &Recipe) -> u64 {
    let tokenizer = std::fs::metadata(recipe.model.tokenizer.join("tokenizer.json")).map_or(0, |file| file.len());
    let lists = [&recipe.data.preprocess, &recipe.strategy.policy, &recipe.evaluation.metrics];
    let roles = lists.into_iter().flatten().chain(&recipe.loss);
    let plugins = roles.filter(|role| is_plugin(role)).count() as u64;
    PROCESS + PER_TOKENIZER_BYTE * tokenizer + if plugins > 0 { ENGINE + plugins * PLUGIN } else { 0 }
}

fn is_plugin(role: &RoleRef) -> bool {
    matches!(role.source, RoleSource::Plugin(_))
}
