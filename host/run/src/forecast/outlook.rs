//! The forecast of a run, as a value.

use retune_data::{Layout, Prepared, SplitName};
use retune_recipe::Recipe;
use retune_recipe::diagnostic::Result;
use serde::Serialize;

use super::advice::{Advice, advice};
use super::made::{Made, outline, subject};
use super::memory::Memory;
use crate::settings;

/// The forecast of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Forecast {
    /// Name of the recipe.
    pub name: String,
    /// `bert`, `llama`.
    pub architecture: String,
    /// Scalars.
    pub parameters: u64,
    /// Scalars that may learn.
    pub trainable: u64,
    /// Optimiser steps; none where the number of rows is not known.
    pub steps: Option<u64>,
    /// Rows per optimiser step, or what they were made into.
    pub rows_per_step: u64,
    /// What is counted there.
    pub unit: Unit,
    /// Tokens of all steps, where rows are known.
    pub tokens: Option<u64>,
    /// The most tokens of a micro-batch.
    pub largest_batch: u64,
    /// Where the lengths come from.
    pub lengths: Lengths,
    /// Rows of train that lose their end, where rows are known and cut one by one.
    pub cut: Option<CutRows>,
    /// Bytes, by purpose.
    pub memory: Memory,
    /// Bytes that there are, given or found.
    pub available: Option<u64>,
    /// Whether these are enough, where they are known.
    pub fits: Option<bool>,
    /// Changes after which it fits, where it does not.
    pub advice: Vec<Advice>,
    /// What a few steps took, when they were measured.
    pub measured: Option<MeasuredSteps>,
}

/// Where the lengths of rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lengths {
    /// The rows as they were prepared.
    Rows,
    /// Every row is as long as `data.max_length`.
    MaxLength,
}

/// Rows that are longer than `data.max_length`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CutRows {
    /// How many.
    pub rows: u64,
    /// Of so many.
    pub of: u64,
    /// `data.max_length`.
    pub max_length: u64,
}

impl CutRows {
    /// Those of the training set.
    fn of(recipe: &Recipe, prepared: &Prepared) -> Option<Self> {
        let split = prepared.report.split(SplitName::Train).filter(|_| recipe.data.layout != Layout::Blocks)?;
        Some(Self { rows: split.truncated, of: split.rows, max_length: recipe.data.max_length })
    }
}

/// What a batch is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Rows as they are.
    Rows,
    /// Blocks of a stream of rows.
    Blocks,
    /// Sequences that rows share.
    Sequences,
}

/// A few steps of the run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MeasuredSteps {
    /// How many.
    pub steps: u64,
    /// Real tokens a second, the first step left out.
    pub tokens_per_second: f64,
    /// Of all steps, evaluations left out.
    pub seconds: f64,
    /// Most memory this process held, in bytes, where the system says.
    pub peak_memory: Option<u64>,
}

impl Forecast {
    /// The forecast of `recipe`, whose rows are `prepared` where somebody prepared them; `answers` says whether a metric reads what the
    /// model writes, and `available` is the memory that there is.
    ///
    /// # Errors
    /// The model cannot be outlined, or the strategy does not fit it.
    pub fn new(
        recipe: &Recipe,
        prepared: Option<&Prepared>,
        (host, answers): (bool, bool),
        available: Option<u64>,
    ) -> Result<Self> {
        let task = settings::task(recipe, labels(recipe, prepared));
        let outline = outline(recipe, &task)?;
        let subject = subject(recipe, &outline, &task, host)?;
        let made = Made { recipe, prepared, task: &task, outline: &outline, answers, host };
        let traffic = made.traffic(recipe);
        let memory = made.memory(&subject, recipe, &traffic);
        let advice = match available {
            Some(bytes) if memory.peak > bytes => advice(&made, bytes),
            _ => Vec::new(),
        };
        Ok(Self {
            name: recipe.name.clone(),
            architecture: outline.config.family.model_type.to_owned(),
            parameters: subject.parameters(),
            trainable: subject.trainable(),
            steps: prepared.map(|_| traffic.steps).or(recipe.training.max_steps),
            rows_per_step: recipe.training.batch_size * recipe.training.gradient_accumulation_steps,
            unit: Unit::of(recipe.data.layout),
            tokens: prepared.map(|_| traffic.tokens),
            largest_batch: traffic.largest,
            lengths: if prepared.is_some() { Lengths::Rows } else { Lengths::MaxLength },
            cut: prepared.and_then(|prepared| CutRows::of(recipe, prepared)),
            fits: available.map(|bytes| memory.peak <= bytes),
            memory,
            available,
            advice,
            measured: None,
        })
    }
}

impl Unit {
    /// What a layout makes of rows.
    pub fn of(layout: Layout) -> Self {
        match layout {
            Layout::Rows => Self::Rows,
            Layout::Blocks => Self::Blocks,
            Layout::Packed => Self::Sequences,
        }
    }

    /// As it is counted: `8 rows`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Blocks => "blocks",
            Self::Sequences => "packed sequences",
        }
    }
}

/// The label set, as far as it is known: of the rows, the recipe, or one that is large enough to count.
fn labels(recipe: &Recipe, prepared: Option<&Prepared>) -> Vec<String> {
    let found = prepared.map(|prepared| prepared.labels.clone()).filter(|labels| !labels.is_empty());
    let named = || recipe.data.labels.clone();
    found.or_else(named).unwrap_or_else(|| match recipe.model.task.info().has_labels {
        true => ["0", "1"].map(str::to_owned).to_vec(),
        false => Vec::new(),
    })
}
