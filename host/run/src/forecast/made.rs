//! What a recipe, its rows and the outline of its model come to.

use std::path::PathBuf;

use retune_data::Prepared;
use retune_recipe::Recipe;
use retune_roles::{Example, Rows as _};
use retune_train::TrainSpec;
use retune_train::model::{Model, Outline, Task};
use retune_train::training::traffic::Traffic;

use super::memory::{Around, Memory, Subject};
use crate::settings;

/// What training `model` takes in a run of `recipe` with these rows; the model as it stands, with all that may ever learn.
pub fn memory(recipe: &Recipe, model: &Model, prepared: &Prepared) -> Memory {
    let subject = Subject::of_model(model);
    let spec = settings::training(recipe, PathBuf::new(), &prepared.validation);
    let traffic = Traffic::of(&spec, &prepared.train, &prepared.validation);
    around(recipe, Some(prepared), &subject, &traffic)
}

/// The same of a model that need not be loaded.
pub(super) fn around(recipe: &Recipe, prepared: Option<&Prepared>, subject: &Subject, traffic: &Traffic) -> Memory {
    let rows = prepared.map_or(0, |prepared| {
        let splits = &prepared.report.splits;
        splits.iter().map(|split| 68 * split.examples + 4 * split.tokens).sum()
    });
    let tokenizer = std::fs::metadata(recipe.model.tokenizer.join("tokenizer.json")).map_or(0, |file| file.len());
    let accumulates = recipe.training.gradient_accumulation_steps > 1;
    subject.memory(traffic, recipe.training.batch_size, accumulates, Around { rows, tokenizer })
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
}

impl Made<'_> {
    /// The settings of the run.
    pub fn spec(&self) -> TrainSpec {
        match self.prepared {
            Some(prepared) => settings::training(self.recipe, PathBuf::new(), &prepared.validation),
            None => settings::training(self.recipe, PathBuf::new(), &Vec::<Example>::new()),
        }
    }

    /// What passes through the model; without rows, batches of the longest ones that the recipe allows.
    pub fn traffic(&self, spec: &TrainSpec) -> Traffic {
        match self.prepared {
            Some(prepared) if !prepared.train.is_empty() => Traffic::of(spec, &prepared.train, &prepared.validation),
            _ => {
                let longest = self.recipe.data.max_length;
                let evaluated = longest * self.recipe.evaluation.batch_size;
                Traffic { largest: longest * spec.batch_size as u64, evaluated, ..Traffic::default() }
            }
        }
    }

    /// What the run takes as `recipe` says, which differs from its own in what the forecast is of.
    pub fn memory(&self, subject: &Subject, traffic: &Traffic, recipe: &Recipe) -> Memory {
        around(recipe, self.prepared, subject, traffic)
    }
}
