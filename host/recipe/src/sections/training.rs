//! The section `training`.

use super::super::reader::Section;
use super::super::{At, Scheduler, Training, Warmup};

impl Default for Training {
    fn default() -> Self {
        Self {
            epochs: 3,
            max_steps: None,
            batch_size: 16,
            gradient_accumulation_steps: 1,
            learning_rate: 5e-5,
            weight_decay: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            scheduler: Scheduler::Linear,
            warmup: Warmup::Ratio(0.1),
            max_grad_norm: 1.0,
            dropout: true,
            checkpoint_every_steps: None,
            checkpoint_keep: 2,
            logging_steps: 1,
        }
    }
}

pub(super) fn training(section: Option<Section<'_, '_>>) -> Training {
    let mut training = Training::default();
    let Some(mut section) = section else { return training };
    set(&mut training.epochs, section.whole32("epochs", 1));
    training.max_steps = section.whole("max_steps", 1).map(At::into_inner);
    set(&mut training.batch_size, section.whole("batch_size", 1));
    set(&mut training.gradient_accumulation_steps, section.whole("gradient_accumulation_steps", 1));
    if let Some(table) = section.section("optimizer", "training.optimizer") {
        optimizer(&mut training, table);
    }
    if let Some(table) = section.section("lr_scheduler", "training.lr_scheduler") {
        scheduler(&mut training, table);
    }
    set(&mut training.max_grad_norm, section.number("max_grad_norm", "0 or more", |v| v >= 0.0));
    set(&mut training.dropout, section.boolean("dropout"));
    if let Some(mut table) = section.section("checkpoint", "training.checkpoint") {
        training.checkpoint_every_steps = table.whole("every_steps", 1).map(At::into_inner);
        set(&mut training.checkpoint_keep, table.whole("keep", 1));
        table.close();
    }
    set(&mut training.logging_steps, section.whole("logging_steps", 1));
    section.close();
    training
}

fn optimizer(training: &mut Training, mut table: Section<'_, '_>) {
    table.choice("name", &[("adamw", ())]);
    set(
        &mut training.learning_rate,
        table.number("learning_rate", "more than 0 and at most 1", |v| v > 0.0 && v <= 1.0),
    );
    set(
        &mut training.weight_decay,
        table.number("weight_decay", "0 or more, and less than 1", |v| (0.0..1.0).contains(&v)),
    );
    set(&mut training.beta1, table.number("beta1", "0 or more, and less than 1", |v| (0.0..1.0).contains(&v)));
    set(&mut training.beta2, table.number("beta2", "0 or more, and less than 1", |v| (0.0..1.0).contains(&v)));
    set(&mut training.epsilon, table.number("epsilon", "more than 0", |v| v > 0.0));
    table.close();
}

fn scheduler(training: &mut Training, mut table: Section<'_, '_>) {
    let shapes = [("linear", Scheduler::Linear), ("cosine", Scheduler::Cosine), ("constant", Scheduler::Constant)];
    set(&mut training.scheduler, table.choice("name", &shapes));
    let steps = table.whole("warmup_steps", 0);
    let ratio = table.number("warmup_ratio", "between 0 and 1", |v| (0.0..=1.0).contains(&v));
    match (steps, ratio) {
        (Some(_), Some(ratio)) => {
            let span = ratio.span().unwrap_or_default();
            table.problems().add(
                span,
                "`training.lr_scheduler` has both `warmup_steps` and `warmup_ratio`",
                "leave one out",
                None,
            );
        }
        (Some(steps), None) => training.warmup = Warmup::Steps(*steps),
        (None, Some(ratio)) => training.warmup = Warmup::Ratio(*ratio),
        (None, None) => {}
    }
    table.close();
}

fn set<T>(slot: &mut T, value: Option<At<T>>) {
    if let Some(value) = value {
        *slot = value.into_inner();
    }
}
