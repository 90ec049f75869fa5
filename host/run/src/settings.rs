//! A recipe in the words of the rooms: what `data` and `train` are to do.

use std::path::PathBuf;

use retune_data::{Columns, DataSpec, Layout, Source, Validation as DataValidation};
use retune_roles::Example;
use retune_train::model::{Base, Task};
use retune_train::{
    AdamW, Best, CheckpointSpec, EarlyStopping, EvaluationSpec, Every as TrainEvery, LrScheduler, Mode, Reinitialize,
    SchedulerName, Scheme as TrainScheme, Strategy, TrainSpec,
};

use retune_recipe::{At, BaseRef, Every, Recipe, Scheduler, Scheme, Validation, Warmup};

/// What the data room is to do.
pub fn data(recipe: &Recipe, cache: Option<PathBuf>) -> DataSpec {
    let data = &recipe.data;
    let source = |path: &PathBuf| Source { path: path.clone(), format: data.format };
    let name = |column: &Option<At<String>>| column.as_ref().map(|c| c.to_string());
    DataSpec {
        validation: match &data.validation {
            Validation::None => DataValidation::None,
            Validation::Split(fraction) => DataValidation::Split { fraction: *fraction },
            Validation::File(path) => DataValidation::File(source(path)),
        },
        test: data.test.as_deref().map(source),
        columns: Columns {
            text: data.columns.text.to_string(),
            text_pair: name(&data.columns.text_pair),
            label: name(&data.columns.label),
            prompt: name(&data.columns.prompt),
            completion: name(&data.columns.completion),
        },
        extra_columns: extra_columns(recipe),
        max_length: size(*data.max_length),
        layout: if data.blocks { Layout::Blocks } else { Layout::Rows },
        labels: data.labels.as_ref().map(|labels| labels.iter().map(|label| label.to_string()).collect()),
        seed: recipe.seed,
        workers: data.workers.map_or(0, size),
        cache_dir: cache,
        limit_per_label: data.limit_per_label.map(size),
        ..DataSpec::new(source(&data.train), *recipe.model.task)
    }
}

/// What the training room is to do; `validation` is empty when nothing can be evaluated.
pub fn training(recipe: &Recipe, checkpoints: PathBuf, validation: &[Example]) -> TrainSpec {
    let t = &recipe.training;
    let e = &recipe.evaluation;
    let evaluates = !validation.is_empty() && e.every != Every::Never;
    let best = match &e.best {
        Some(best) => Some(Best {
            metric: best.metric.to_string(),
            mode: best.maximize.map(|max| if max { Mode::Max } else { Mode::Min }),
        }),
        // Kept unless the recipe says otherwise: who evaluates wants the best, not the last.
        None => evaluates.then(|| Best { metric: "loss".to_owned(), mode: Some(Mode::Min) }),
    };
    let (warmup_steps, warmup_ratio) = match t.warmup {
        Warmup::Steps(steps) => (Some(steps), None),
        Warmup::Ratio(ratio) => (None, Some(ratio)),
    };
    TrainSpec {
        seed: recipe.seed,
        epochs: t.epochs,
        max_steps: t.max_steps,
        batch_size: size(t.batch_size),
        gradient_accumulation_steps: size(t.gradient_accumulation_steps),
        optimizer: AdamW {
            learning_rate: t.learning_rate,
            weight_decay: t.weight_decay,
            beta1: t.beta1,
            beta2: t.beta2,
            epsilon: t.epsilon,
        },
        lr_scheduler: LrScheduler {
            name: match t.scheduler {
                Scheduler::Linear => SchedulerName::Linear,
                Scheduler::Cosine => SchedulerName::Cosine,
                Scheduler::Constant => SchedulerName::Constant,
            },
            warmup_steps,
            warmup_ratio,
        },
        max_grad_norm: (t.max_grad_norm > 0.0).then_some(t.max_grad_norm),
        dropout: t.dropout,
        strategy: strategy(recipe),
        evaluation: EvaluationSpec {
            every: match e.every {
                _ if !evaluates => TrainEvery::Never,
                Every::Epoch => TrainEvery::Epoch,
                Every::Steps(steps) => TrainEvery::Steps(steps),
                Every::Never => TrainEvery::Never,
            },
            batch_size: Some(size(e.batch_size)),
            best,
            early_stopping: e.early_stopping.map(|stop| EarlyStopping {
                patience: u32::try_from(stop.patience).unwrap_or(u32::MAX),
                min_delta: stop.min_delta,
            }),
        },
        checkpoint: CheckpointSpec {
            directory: checkpoints,
            every_steps: t.checkpoint_every_steps,
            keep: size(t.checkpoint_keep),
        },
        logging_steps: t.logging_steps,
        columns: extra_columns(recipe),
    }
}

fn strategy(recipe: &Recipe) -> Strategy {
    let s = &recipe.strategy;
    let each = s.reinitialize.iter().flat_map(|r| r.layers.iter().map(move |glob| (glob, r.scheme)));
    Strategy {
        freeze: s.freeze.iter().map(|glob| glob.to_string()).collect(),
        train_top_layers: s.train_top_layers.as_ref().map(|top| **top),
        reinitialize: each
            .map(|(glob, scheme)| {
                let (scheme, std) = match scheme {
                    Scheme::Normal(std) => (TrainScheme::Normal, Some(std)),
                    Scheme::Zeros => (TrainScheme::Zeros, None),
                    Scheme::XavierUniform => (TrainScheme::XavierUniform, None),
                    Scheme::KaimingUniform => (TrainScheme::KaimingUniform, None),
                };
                Reinitialize { layers: glob.to_string(), scheme, std }
            })
            .collect(),
    }
}

/// What the model is to do, once its labels are known.
pub fn task(recipe: &Recipe, labels: Vec<String>) -> Task {
    recipe.model.task.with_labels(labels)
}

/// Where the weights come from.
pub fn base(recipe: &Recipe) -> Base {
    match &recipe.model.base {
        BaseRef::Directory(path) => Base::Directory(path.to_path_buf()),
        BaseRef::Config(path) => Base::Config(path.to_path_buf()),
    }
}

/// The names of the examples' further numbers.
pub fn extra_columns(recipe: &Recipe) -> Vec<String> {
    recipe.data.extra_columns.iter().map(|column| column.to_string()).collect()
}

/// A count as this machine's size.
pub fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
