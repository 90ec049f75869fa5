//! What a recipe, its rows and the outline of its model come to.

use std::path::PathBuf;

use retune_data::Prepared;
use retune_recipe::diagnostic::Result;
use retune_recipe::{Every, Recipe};
use retune_roles::{Example, Rows as _};
use retune_train::TrainSpec;
use retune_train::model::{Model, Outline, Task};
use retune_train::training::traffic::Traffic;

use super::memory::Memory;
use super::process::process;
use super::subject::{Around, Subject};
use crate::adapter::Adapter;
use crate::{locate, settings};

/// What training `model` takes in a run of `recipe` with these rows; the model as it stands, with all that may ever learn.
/// `answers`: whether a metric reads what the model writes.
pub fn memory(recipe: &Recipe, model: &Model, prepared: &Prepared, answers: bool) -> Memory {
    let t = &recipe.training;
    let subject = Subject::of_model(model).trained(t.gradient_checkpointing, t.dropout);
    let spec = settings::training(recipe, PathBuf::new(), &prepared.validation);
    let traffic = of_rows(&spec, prepared, None);
    subject.memory(&traffic, around(recipe, Some(prepared), &traffic, answers))
}

/// Of prepared rows, or of what is left of them when they are cut at `longest`.
fn of_rows(spec: &TrainSpec, prepared: &Prepared, longest: Option<u64>) -> Traffic {
    let nothing = Vec::<Example>::new();
    let longest = longest.map_or(usize::MAX, settings::size);
    match &prepared.test {
        Some(test) => Traffic::of(spec, &prepared.train, &prepared.validation, test, longest),
        None => Traffic::of(spec, &prepared.train, &prepared.validation, &nothing, longest),
    }
}

/// What stands beside the model.
fn around(recipe: &Recipe, prepared: Option<&Prepared>, traffic: &Traffic, answers: bool) -> Around {
    let rows = prepared.map_or(0, |prepared| {
        let splits = &prepared.report.splits;
        splits.iter().map(|split| 68 * split.examples + 4 * split.tokens).sum()
    });
    let generate = recipe.evaluation.generate.clone().unwrap_or_default();
    let evaluated = prepared.map_or(generate.rows, |prepared| prepared.validation.len() as u64);
    let written = generate.batch_size.min(generate.rows).min(evaluated);
    Around {
        process: process(recipe),
        rows,
        batch: recipe.training.batch_size,
        evaluated: recipe.evaluation.batch_size,
        accumulates: recipe.training.gradient_accumulation_steps > 1,
        restores: evaluated > 0 && prepared.is_some() && recipe.evaluation.every != Every::Never,
        answers: (answers && written > 0).then_some([written, traffic.longest_question, generate.max_new_tokens]),
    }
}

/// What forecasts of one recipe and of its variants share.
pub(super) struct Made<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Its rows, where they were prepared.
    pub prepared: Option<&'a Prepared>,
    /// What the model is to do.
    pub task: &'a Task,
    /// The model to be.
    pub outline: &'a Outline,
    /// Whether a metric reads what the model writes.
    pub answers: bool,
    /// Whether it trains on the CPU.
    pub host: bool,
}

/// The model that `recipe` begins with.
///
/// # Errors
/// It cannot be outlined, or its adapter does not fit it.
pub(super) fn outline(recipe: &Recipe, task: &Task) -> Result<Outline> {
    let adapter = Adapter::of(recipe)?;
    Outline::read(&settings::base(recipe), task, adapter.as_ref().map(|adapter| &adapter.spec))
        .map_err(|error| locate::model(recipe, &Adapter::misfit(adapter.as_ref(), error)))
}

/// The same, and what of it learns and how.
///
/// # Errors
/// The strategy does not fit it.
pub(super) fn subject(recipe: &Recipe, outline: &Outline, task: &Task, host: bool) -> Result<Subject> {
    let subject = Subject::of_outline(outline, &settings::strategy(recipe), task, host);
    let subject = subject.map_err(|error| locate::training(recipe, error))?;
    Ok(subject.trained(recipe.training.gradient_checkpointing, recipe.training.dropout))
}

impl Made<'_> {
    /// The settings of `recipe`, which differs from the run's in what the forecast is of.
    pub fn spec(&self, recipe: &Recipe) -> TrainSpec {
        match self.prepared {
            Some(prepared) => settings::training(recipe, PathBuf::new(), &prepared.validation),
            None => settings::training(recipe, PathBuf::new(), &Vec::<Example>::new()),
        }
    }

    /// What passes through the model as `recipe` says; without rows, batches of the longest ones that it allows.
    pub fn traffic(&self, recipe: &Recipe) -> Traffic {
        let (spec, longest) = (self.spec(recipe), recipe.data.max_length);
        match self.prepared {
            Some(prepared) if !prepared.train.is_empty() => {
                // Rows were cut as the run's recipe says; blocks and packed sequences are as long as they may be.
                let cut = (longest < self.recipe.data.max_length).then_some(longest);
                of_rows(&spec, prepared, cut)
            }
            _ => {
                let (largest, evaluated) =
                    (longest * recipe.training.batch_size, longest * recipe.evaluation.batch_size);
                Traffic::of_longest(longest, largest, evaluated)
            }
        }
    }

    /// What a run takes as `recipe` says, which may have another adapter than the run's, or none.
    ///
    /// # Errors
    /// The model cannot be outlined, or the strategy does not fit it.
    pub fn of(&self, recipe: &Recipe) -> Result<Memory> {
        let subject = match recipe.adapter.is_some() == self.recipe.adapter.is_some() {
            true => subject(recipe, self.outline, self.task, self.host),
            false => subject(recipe, &outline(recipe, self.task)?, self.task, self.host),
        }?;
        Ok(self.memory(&subject, recipe, &self.traffic(recipe)))
    }

    /// The same of a subject and traffic that are known.
    pub fn memory(&self, subject: &Subject, recipe: &Recipe, traffic: &Traffic) -> Memory {
        subject.memory(traffic, around(recipe, self.prepared, traffic, self.answers))
    }
}
