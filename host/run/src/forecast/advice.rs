//! What would make a run fit: one change at a time, the least intrusive first, then together.

use serde::Serialize;

use super::made::Made;
use super::memory::Subject;
use retune_train::TrainSpec;
use retune_train::model::Outline;
use retune_train::model::adapter::AdapterSpec;

/// A change to a recipe, and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// Keys as they are written in a recipe.
    pub set: Vec<String>,
    /// What the change means.
    pub meaning: String,
    /// The most memory after it, in bytes.
    pub peak: u64,
}

/// Changes after which `made` takes at most `bytes`; the last ones are the smallest that there is where nothing helps.
pub(super) fn advice(made: &Made<'_>, subject: &Subject, bytes: u64) -> Vec<Advice> {
    let alone = [
        smaller_batch(made, subject, bytes),
        recomputed(made, subject, bytes),
        shorter(made, subject, bytes),
        adapted(made, subject, bytes),
        fewer_blocks(made, subject, bytes),
    ];
    let alone: Vec<Advice> = alone.into_iter().flatten().collect();
    if !alone.is_empty() {
        return alone;
    }
    // Nothing alone is enough: everything that costs no result first, then blocks.
    let rows = made.recipe.training.batch_size;
    let mut small = vec!["training.batch_size = 1".to_owned()];
    small.push(format!(
        "training.gradient_accumulation_steps = {}",
        rows * made.recipe.training.gradient_accumulation_steps
    ));
    let blocks = subject.shape.num_hidden_layers;
    for top in [blocks * 3 / 4, blocks / 2, blocks / 4, 1] {
        let Some(less) = top_blocks(made, subject, top as u32) else { continue };
        let peak = peak(made, &less, 1, rows > 1, None);
        if peak <= bytes {
            let mut set = small.clone();
            set.push(format!("strategy.train_top_layers = {top}"));
            let meaning = format!("the same steps from single rows, and the top {top} of {blocks} blocks learn");
            return vec![Advice { set, meaning, peak }];
        }
    }
    Vec::new()
}

/// The same steps, in more and smaller parts.
fn smaller_batch(made: &Made<'_>, subject: &Subject, bytes: u64) -> Option<Advice> {
    let t = &made.recipe.training;
    let mut rows = t.batch_size;
    while rows > 1 {
        rows = rows.div_ceil(2);
        let steps = (t.batch_size * t.gradient_accumulation_steps).div_ceil(rows);
        let peak = peak(made, subject, rows, steps > 1, None);
        if peak <= bytes {
            return Some(Advice {
                set: vec![
                    format!("training.batch_size = {rows}"),
                    format!("training.gradient_accumulation_steps = {steps}"),
                ],
                meaning: "the same steps, computed in more parts".to_owned(),
                peak,
            });
        }
    }
    None
}

/// Blocks keep what they read alone.
fn recomputed(made: &Made<'_>, subject: &Subject, bytes: u64) -> Option<Advice> {
    if subject.recomputing {
        return None;
    }
    let t = &made.recipe.training;
    let less = Subject { recomputing: true, ..subject.clone() };
    let peak = peak(made, &less, t.batch_size, t.gradient_accumulation_steps > 1, None);
    (peak <= bytes).then(|| Advice {
        set: vec!["training.gradient_checkpointing = true".to_owned()],
        meaning: "the same numbers, with each block computed twice".to_owned(),
        peak,
    })
}

/// An adapter beside a base that stays as it is.
fn adapted(made: &Made<'_>, subject: &Subject, bytes: u64) -> Option<Advice> {
    if made.recipe.adapter.is_some() || made.recipe.strategy.train_top_layers.is_some() {
        return None;
    }
    let spec = AdapterSpec { r: 16, lora_alpha: 32.0, ..AdapterSpec::default() };
    let outline = Outline::read(&crate::settings::base(made.recipe), made.task, Some(&spec)).ok()?;
    let strategy = crate::settings::strategy(made.recipe);
    let mut less = Subject::of_outline(&outline, &strategy, made.task, subject.host).ok()?;
    less.recomputing = subject.recomputing;
    let t = &made.recipe.training;
    let peak = peak(made, &less, t.batch_size, t.gradient_accumulation_steps > 1, None);
    (peak <= bytes).then(|| Advice {
        set: vec!["adapter.r = 16".to_owned(), "adapter.lora_alpha = 32".to_owned()],
        meaning:
            "LoRA: low-rank matrices learn beside a base that stays as it is; raise the learning rate, 2e-4 is usual"
                .to_owned(),
        peak,
    })
}

/// Rows that are cut earlier.
fn shorter(made: &Made<'_>, subject: &Subject, bytes: u64) -> Option<Advice> {
    let mut longest = made.recipe.data.max_length;
    while longest > 32 {
        longest /= 2;
        let t = &made.recipe.training;
        let peak = peak(made, subject, t.batch_size, t.gradient_accumulation_steps > 1, Some(longest));
        if peak <= bytes {
            let meaning = "longer rows lose their end, and are counted".to_owned();
            return Some(Advice { set: vec![format!("data.max_length = {longest}")], meaning, peak });
        }
    }
    None
}

/// Frozen blocks keep neither gradients and moments nor activations.
fn fewer_blocks(made: &Made<'_>, subject: &Subject, bytes: u64) -> Option<Advice> {
    let blocks = subject.shape.num_hidden_layers;
    let t = &made.recipe.training;
    for top in [blocks * 3 / 4, blocks / 2, blocks / 4, 1] {
        let Some(less) = top_blocks(made, subject, top as u32) else { continue };
        let peak = peak(made, &less, t.batch_size, t.gradient_accumulation_steps > 1, None);
        if peak <= bytes {
            let meaning = format!("the top {top} of {blocks} blocks and the head learn");
            return Some(Advice { set: vec![format!("strategy.train_top_layers = {top}")], meaning, peak });
        }
    }
    None
}

/// The same model with fewer blocks that learn.
fn top_blocks(made: &Made<'_>, subject: &Subject, top: u32) -> Option<Subject> {
    let mut strategy = crate::settings::strategy(made.recipe);
    if top == 0 || made.recipe.adapter.is_some() || strategy.train_top_layers.is_some_and(|now| now <= top) {
        return None;
    }
    strategy.train_top_layers = Some(top);
    let mut less = Subject::of_outline(made.outline, &strategy, made.task, subject.host).ok()?;
    less.recomputing = subject.recomputing;
    Some(less)
}

/// The most memory with other batches, or with rows of at most `longest` tokens.
fn peak(made: &Made<'_>, subject: &Subject, rows: u64, accumulates: bool, longest: Option<u64>) -> u64 {
    let spec = TrainSpec { batch_size: crate::settings::size(rows), ..made.spec() };
    let mut traffic = made.traffic(&spec);
    if let Some(longest) = longest {
        traffic.largest = traffic.largest.min(longest * rows);
        traffic.evaluated = traffic.evaluated.min(longest * made.recipe.evaluation.batch_size);
    }
    let mut recipe = made.recipe.clone();
    recipe.training.batch_size = rows;
    recipe.training.gradient_accumulation_steps = if accumulates { 2 } else { 1 };
    made.memory(subject, &traffic, &recipe).peak
}
