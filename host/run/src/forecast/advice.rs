//! What would make a run fit: changes to its recipe, each of which was forecast as if it had been made.
//!
//! Every change that is enough by itself is named, the least intrusive first, each in its mildest form. Where none is, they are
//! put together until it is enough, and what is not needed is taken out again. Price: a forecast for each form that is tried.

use retune_recipe::sections::{Adapter, Method};
use retune_recipe::{BaseRef, Recipe};
use serde::Serialize;

use super::made::Made;

/// Changes to a recipe that together are enough, and what it comes to with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// One, or several where no single one is enough.
    pub changes: Vec<Told>,
    /// The most memory after them, in bytes.
    pub peak: u64,
}

/// A change to a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Keys as they are written in a recipe.
    pub set: Vec<String>,
    /// What the change means.
    pub meaning: String,
}

/// Rows are not cut shorter than this.
const SHORTEST: u64 = 32;

/// One thing to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Rows of an evaluation's batch.
    Evaluated(u64),
    /// Answers that are written together.
    Answers(u64),
    /// Rows of a micro-batch, with as many more of them.
    Batch(u64),
    /// Blocks keep what they read alone.
    Recomputed,
    /// An adapter beside a base that stays as it is.
    Adapter,
    /// Frozen blocks keep neither gradients and moments nor activations.
    TopBlocks(u32),
    /// Rows that are cut earlier.
    Cut(u64),
}

/// Changes after which the run takes at most `bytes`; none where nothing helps.
pub(super) fn advice(made: &Made<'_>, bytes: u64) -> Vec<Advice> {
    let ladders = ladders(made);
    let fits = |changes: &[Change]| peak(made, changes).filter(|peak| *peak <= bytes);
    let alone = ladders.iter().filter_map(|ladder| {
        let (change, peak) = ladder.iter().find_map(|change| Some((*change, fits(&[*change])?)))?;
        Some(told(made.recipe, &[change], peak))
    });
    let alone: Vec<Advice> = alone.collect();
    if !alone.is_empty() {
        return alone;
    }
    // Nothing alone is enough: first what costs no result, then an adapter or fewer blocks, then shorter rows.
    let last = |wanted: fn(&Change) -> bool| ladders.iter().filter_map(|ladder| ladder.last().copied()).filter(wanted);
    let free = |change: &Change| {
        matches!(change, Change::Evaluated(_) | Change::Answers(_) | Change::Batch(_) | Change::Recomputed)
    };
    let mut changes: Vec<Change> = last(free).collect();
    let further = [
        last(|change| *change == Change::Adapter).next(),
        last(|change| matches!(change, Change::TopBlocks(_))).next(),
        last(|change| matches!(change, Change::Cut(_))).next(),
    ];
    let mut further = further.into_iter().flatten();
    while fits(&changes).is_none() {
        match further.next() {
            // An adapter and fewer blocks cannot both be had: what the first did not reach, the second may.
            Some(change @ Change::TopBlocks(_)) => {
                changes.retain(|change| *change != Change::Adapter);
                changes.push(change);
            }
            Some(change) => changes.push(change),
            None => return Vec::new(),
        }
    }
    // The most intrusive first: what is not needed goes, and what is goes as far as it has to.
    for place in (0..changes.len()).rev() {
        let mut without = changes.clone();
        let change = without.remove(place);
        if fits(&without).is_some() {
            changes = without;
            continue;
        }
        let ladder = ladders.iter().find(|ladder| ladder.contains(&change));
        let milder = ladder.into_iter().flatten().find(|milder| {
            let mut changes = changes.clone();
            changes[place] = **milder;
            fits(&changes).is_some()
        });
        changes[place] = milder.copied().unwrap_or(change);
    }
    fits(&changes).map(|peak| told(made.recipe, &changes, peak)).into_iter().collect()
}

/// The forms of each change that can be made of the recipe, the mildest first; those that change a result last.
fn ladders(made: &Made<'_>) -> Vec<Vec<Change>> {
    let (recipe, t) = (made.recipe, &made.recipe.training);
    let mut ladders = Vec::new();
    let halves = |from: u64| std::iter::successors(Some(from / 2), |rows| Some(rows / 2)).take_while(|rows| *rows > 0);
    ladders.push(halves(recipe.evaluation.batch_size).map(Change::Evaluated).collect());
    if made.answers {
        let together = recipe.evaluation.generate.clone().unwrap_or_default().batch_size;
        ladders.push(halves(together).map(Change::Answers).collect());
    }
    // Steps are of as many rows as before, so only what divides them.
    let window = t.batch_size * t.gradient_accumulation_steps;
    let smaller = (1..t.batch_size).rev().filter(|rows| window.is_multiple_of(*rows));
    ladders.push(smaller.map(Change::Batch).collect());
    if !t.gradient_checkpointing {
        ladders.push(vec![Change::Recomputed]);
    }
    let longest = recipe.data.max_length;
    let shorter = std::iter::successors(Some(longest / 2), |length| Some(length / 2));
    let cut: Vec<Change> = shorter.take_while(|length| *length >= SHORTEST).map(Change::Cut).collect();
    let trains_all = recipe.place("strategy.method").is_some() && recipe.strategy.method == Method::Full;
    let of_base = matches!(recipe.model.start(), BaseRef::Directory(_));
    let top = recipe.strategy.train_top_layers;
    if recipe.adapter.is_none() && !trains_all {
        if top.is_none() && of_base {
            ladders.push(vec![Change::Adapter]);
        }
        let blocks = made.outline.config.shape.num_hidden_layers as u32;
        let mut fewer = vec![blocks * 3 / 4, blocks / 2, blocks / 4, 1];
        fewer.retain(|fewer| (1..top.unwrap_or(blocks)).contains(fewer));
        fewer.dedup();
        ladders.push(fewer.into_iter().map(Change::TopBlocks).collect());
    }
    ladders.push(cut);
    ladders.retain(|ladder| !ladder.is_empty());
    ladders
}

/// The most memory with these changes; none where the model does not take them.
fn peak(made: &Made<'_>, changes: &[Change]) -> Option<u64> {
    let mut recipe = made.recipe.clone();
    changes.iter().for_each(|change| change.make(&mut recipe));
    Some(made.of(&recipe).ok()?.peak)
}

/// `changes` in words.
fn told(recipe: &Recipe, changes: &[Change], peak: u64) -> Advice {
    let told = |change: &Change| Told { set: change.keys(recipe), meaning: change.meaning(recipe) };
    Advice { changes: changes.iter().map(told).collect(), peak }
}

impl Change {
    fn make(self, recipe: &mut Recipe) {
        match self {
            Self::Evaluated(rows) => recipe.evaluation.batch_size = rows,
            Self::Answers(rows) => recipe.evaluation.generate.get_or_insert_default().batch_size = rows,
            Self::Batch(rows) => {
                let t = &mut recipe.training;
                let window = t.batch_size * t.gradient_accumulation_steps;
                (t.batch_size, t.gradient_accumulation_steps) = (rows, window / rows);
            }
            Self::Recomputed => recipe.training.gradient_checkpointing = true,
            Self::Adapter => {
                let target_modules = vec!["all-linear".to_owned()].into();
                recipe.adapter = Some(Adapter { r: 16, lora_alpha: 32.0, target_modules, ..Adapter::default() });
            }
            Self::TopBlocks(top) => recipe.strategy.train_top_layers = Some(top),
            Self::Cut(longest) => recipe.data.max_length = longest,
        }
    }

    /// As they are written in a recipe.
    fn keys(self, recipe: &Recipe) -> Vec<String> {
        match self {
            Self::Evaluated(rows) => vec![format!("evaluation.batch_size = {rows}")],
            Self::Answers(rows) => vec![format!("evaluation.generate.batch_size = {rows}")],
            Self::Batch(rows) => {
                let t = &recipe.training;
                let parts = t.batch_size * t.gradient_accumulation_steps / rows;
                vec![format!("training.batch_size = {rows}"), format!("training.gradient_accumulation_steps = {parts}")]
            }
            Self::Recomputed => vec!["training.gradient_checkpointing = true".to_owned()],
            Self::Adapter => vec!["adapter.r = 16".to_owned(), "adapter.lora_alpha = 32".to_owned()],
            Self::TopBlocks(top) => vec![format!("strategy.train_top_layers = {top}")],
            Self::Cut(longest) => vec![format!("data.max_length = {longest}")],
        }
    }

    fn meaning(self, recipe: &Recipe) -> String {
        let layout = recipe.data.layout;
        match self {
            Self::Evaluated(_) => "evaluates fewer rows at a time; the same values".to_owned(),
            Self::Answers(_) => "writes fewer answers at a time; the same answers".to_owned(),
            Self::Batch(_) => "the same steps, computed in more parts".to_owned(),
            Self::Recomputed => "the same numbers, with each block computed twice".to_owned(),
            Self::Adapter => {
                "LoRA: low-rank matrices learn beside a base that stays as it is; raise the learning rate, \
                              2e-4 is usual"
                    .to_owned()
            }
            Self::TopBlocks(1) => "only the top block and the head learn".to_owned(),
            Self::TopBlocks(top) => format!("only the top {top} blocks and the head learn"),
            Self::Cut(_) if !layout.cuts_rows() => "shorter blocks, and more of them".to_owned(),
            Self::Cut(_) => "longer rows lose their end, and are counted".to_owned(),
        }
    }
}
