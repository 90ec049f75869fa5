//! Rows of random tokens for any task, and what a step on rows gives.

use retune_roles::{Example, Failure, Progress, RoleKind, Sequence, Target, builtin};
use retune_tensor::random;
use retune_train::TrainError;
use retune_train::collate::Collation;
use retune_train::model::{Model, ModelError, Task};
use retune_train::optimizer::gradients::Floats;
use retune_train::training::step::{self, Shape, StepSums};
use retune_train::training::workers::Alone;

/// Rows of unequal lengths, the longest of `longest` tokens, which are 3 or more.
pub(super) fn random(task: &Task, vocabulary: usize, count: usize, longest: usize) -> Vec<Example> {
    let tokens = vocabulary.saturating_sub(3).max(1) as u64;
    (0..count)
        .map(|row| {
            let length = longest.saturating_sub(3 * row).max(1);
            let ids = (0..length).map(|at| (3 + random::bits(row as u64, at as u64) % tokens) as u32).collect();
            let (sequence, target) = match task {
                Task::CausalLm => (Sequence::text(ids), Target::None),
                Task::SequenceClassification { .. } => (Sequence::of(ids), Target::Class(row as u32 % 2)),
                Task::MultiLabelClassification { .. } => (Sequence::of(ids), Target::Classes(vec![row as u32 % 2])),
                Task::Regression { outputs } => {
                    (Sequence::of(ids), Target::Values(vec![row as f32 / 2.0; outputs.len()]))
                }
                Task::TokenClassification { .. } | Task::MaskedLm => {
                    let labels = (0..length as i32).map(|at| if at % 3 == 0 { -100 } else { at % 2 }).collect();
                    (Sequence::of(ids), Target::Labels(labels))
                }
            };
            Example::new(format!("random:{row}"), sequence, target)
        })
        .collect()
}

/// Forward and backward of `rows`, with the loss that the task has by default, in micro-batches of `batch_size` rows.
pub(super) fn step(
    model: &Model,
    rows: &[Example],
    batch_size: usize,
    dropout_seed: Option<u64>,
) -> Result<StepSums, TrainError> {
    let (task, name) = (model.task(), model.task().info().default_loss);
    let mut loss = builtin::loss(name, &serde_json::Value::Null, task.kind())
        .map_err(|refusal| Failure::new(name, RoleKind::Loss, "init", refusal.to_string()))?;
    let mut collation = Collation::new(task, &[]);
    collation.want(RoleKind::Loss, name, loss.wants())?;
    let rows: Vec<&Example> = rows.iter().collect();
    let shape = Shape { batch_size, dropout_seed, first: 0 };
    step::compute(model, &mut *loss, &collation, &rows, shape, &Progress::default(), &Alone)
}

/// The gradients of a step as numbers; none where a parameter learns nothing.
pub(super) fn gradients(sums: &StepSums) -> Result<Vec<Vec<f32>>, TrainError> {
    let read = |gradient: Option<&Floats>| match gradient {
        Some(gradient) => Ok(gradient.to_vec().map_err(ModelError::from)?),
        None => Ok(Vec::new()),
    };
    sums.gradients.iter().map(read).collect()
}

/// The logits of all rows, as one batch.
pub(super) fn logits(model: &Model, rows: &[Example]) -> Result<Vec<f32>, TrainError> {
    let input = model.input(&rows.iter().collect::<Vec<_>>())?;
    let logits = model.forward(&model.weights(false), &input, None)?.logits;
    Ok(logits.to_float32().map_err(ModelError::from)?)
}
