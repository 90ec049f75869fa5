//! A recipe in the words of the rooms: what `data` and `train` are to do.

use std::path::PathBuf;

use retune_data::{ChatSpec, Columns, DataSpec, MaskSpec, Source, TemplateRef, Validation as DataValidation};
use retune_roles::Rows;
use retune_train::model::adapter::{AdapterMethod as TrainMethod, AdapterSpec, InitLoraWeights as TrainInit};
use retune_train::model::{Base, Task};
use retune_train::{
    AdamW, Best, CheckpointSpec, EarlyStopping, EvaluationSpec, Every as TrainEvery, LrScheduler, Mode, Reinitialize,
    SchedulerName, Scheme as TrainScheme, Strategy, TrainSpec,
};

use retune_recipe::sections::{AdapterMethod, InitLoraWeights};
use retune_recipe::{BaseRef, Every, Mode as RecipeMode, Recipe, SchedulerName as RecipeScheduler, Scheme, Validation};

/// What the data room is to do.
pub fn data(recipe: &Recipe, cache: Option<PathBuf>) -> DataSpec {
    let data = &recipe.data;
    let source = |path: &PathBuf| Source { path: path.clone(), format: data.format };
    let columns = data.columns.clone();
    DataSpec {
        validation: match &data.validation {
            None => DataValidation::None,
            Some(Validation::Split { split }) => DataValidation::Split { fraction: *split },
            Some(Validation::File(path)) => DataValidation::File(source(path)),
        },
        test: data.test.as_ref().map(source),
        columns: Columns {
            text: columns.text.unwrap_or_else(|| "text".to_owned()),
            text_pair: columns.text_pair,
            label: columns.label,
            labels: columns.labels.unwrap_or_default(),
            label_separator: columns.label_separator,
            prompt: columns.prompt,
            completion: columns.completion,
            messages: columns.messages,
            tools: columns.tools,
            tokens: columns.tokens,
            tags: columns.tags,
        },
        mask: data.mask.map_or_else(MaskSpec::default, |mask| MaskSpec {
            probability: mask.probability,
            whole_word: mask.whole_word,
        }),
        label_all_tokens: data.label_all_tokens,
        chat: data.chat.as_ref().map(|chat| ChatSpec {
            learn: chat.learn,
            weight: chat.weight.clone(),
            template: chat.template.as_deref().map(TemplateRef::new),
            variables: chat.variables.clone(),
            date: chat.date.clone(),
            wrap: chat.wrap,
        }),
        extra_columns: extra_columns(recipe),
        max_length: size(data.max_length),
        layout: data.layout,
        labels: data.labels.clone(),
        seed: recipe.seed,
        workers: data.workers.map_or(0, size),
        cache_dir: cache,
        limit_per_label: data.limit_per_label.map(size),
        group_by: data.group_by.clone(),
        ..DataSpec::new(source(&data.train), recipe.model.task)
    }
}

/// What the training room is to do; `validation` is empty when nothing can be evaluated.
pub fn training(recipe: &Recipe, checkpoints: PathBuf, validation: &dyn Rows) -> TrainSpec {
    let t = &recipe.training;
    let e = &recipe.evaluation;
    let evaluates = !validation.is_empty() && e.every != Every::Never;
    let best = match &e.best {
        Some(best) => Some(Best {
            metric: best.metric.clone(),
            mode: best.mode.map(|mode| match mode {
                RecipeMode::Max => Mode::Max,
                RecipeMode::Min => Mode::Min,
            }),
        }),
        // Kept unless the recipe says otherwise: who evaluates wants the best, not the last.
        None => evaluates.then(|| Best { metric: "loss".to_owned(), mode: Some(Mode::Min) }),
    };
    TrainSpec {
        seed: recipe.seed,
        // Without a number of epochs there are as many as the steps need.
        epochs: t.epochs.unwrap_or(u32::MAX),
        max_steps: t.max_steps,
        batch_size: size(t.batch_size),
        gradient_accumulation_steps: size(t.gradient_accumulation_steps),
        group_by_length: t.group_by_length,
        gradient_checkpointing: t.gradient_checkpointing,
        optimizer: AdamW {
            learning_rate: t.optimizer.learning_rate,
            weight_decay: t.optimizer.weight_decay,
            beta1: t.optimizer.beta1,
            beta2: t.optimizer.beta2,
            epsilon: t.optimizer.epsilon,
        },
        lr_scheduler: LrScheduler {
            name: match t.lr_scheduler.name {
                RecipeScheduler::Linear => SchedulerName::Linear,
                RecipeScheduler::Cosine => SchedulerName::Cosine,
                RecipeScheduler::Constant => SchedulerName::Constant,
            },
            warmup_steps: t.lr_scheduler.warmup_steps,
            warmup_ratio: t.lr_scheduler.warmup_ratio,
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
            every_steps: t.checkpoint.every_steps,
            keep: size(t.checkpoint.keep),
        },
        logging_steps: t.logging_steps,
        columns: extra_columns(recipe),
    }
}

/// What the recipe freezes and begins anew.
pub fn strategy(recipe: &Recipe) -> Strategy {
    let s = &recipe.strategy;
    let each = s.reinitialize.iter().flat_map(|r| r.layers.iter().map(move |glob| (glob, r)));
    Strategy {
        freeze: s.freeze.to_vec(),
        train_top_layers: s.train_top_layers,
        reinitialize: each
            .map(|(glob, new)| {
                let scheme = match new.scheme {
                    Scheme::Normal => TrainScheme::Normal,
                    Scheme::Zeros => TrainScheme::Zeros,
                    Scheme::XavierUniform => TrainScheme::XavierUniform,
                    Scheme::KaimingUniform => TrainScheme::KaimingUniform,
                };
                Reinitialize { layers: glob.clone(), scheme, std: new.std }
            })
            .collect(),
    }
}

/// The adapter, where the recipe has one.
pub fn adapter(recipe: &Recipe) -> Option<AdapterSpec> {
    let a = recipe.adapter.as_ref()?;
    Some(AdapterSpec {
        method: match a.method {
            AdapterMethod::Lora => TrainMethod::Lora,
            AdapterMethod::Dora => TrainMethod::Dora,
        },
        use_rslora: a.use_rslora,
        r: size(a.r),
        lora_alpha: a.lora_alpha,
        lora_dropout: a.lora_dropout,
        target_modules: a.target_modules.to_vec(),
        rank_pattern: a.rank_pattern.iter().map(|(name, r)| (name.clone(), size(*r))).collect(),
        alpha_pattern: a.alpha_pattern.clone(),
        modules_to_save: a.modules_to_save.to_vec(),
        init_lora_weights: match a.init_lora_weights {
            InitLoraWeights::KaimingUniform => TrainInit::KaimingUniform,
            InitLoraWeights::Gaussian => TrainInit::Gaussian,
            InitLoraWeights::Pissa => TrainInit::Pissa,
            InitLoraWeights::PissaNiter(rounds) => TrainInit::PissaNiter(rounds),
        },
        loraplus_lr_ratio: a.loraplus_lr_ratio,
    })
}

/// What the model is to do, once its labels are known.
pub fn task(recipe: &Recipe, labels: Vec<String>) -> Task {
    recipe.model.task.with_labels(labels)
}

/// Where the weights come from.
pub fn base(recipe: &Recipe) -> Base {
    match recipe.model.start() {
        BaseRef::Directory(path) => Base::Directory(path.to_path_buf()),
        BaseRef::Config(path) => Base::Config(path.to_path_buf()),
    }
}

/// The names of the examples' further numbers.
pub fn extra_columns(recipe: &Recipe) -> Vec<String> {
    recipe.data.extra_columns.clone()
}

/// A count as this machine's size.
pub fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
