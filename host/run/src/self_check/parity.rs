//! A model's logits, loss and gradients on this device beside those that transformers gave.
//!
//! A fixture is a Hugging Face directory with a file `expected.safetensors` (see `tests/reference/make_fixtures.py`):
//! `input_ids` and `labels` (for a language model all of them are learnt), `lengths`, `logits`, `loss` and some `grad.<parameter>`.

use std::fs;
use std::path::Path;

use retune_roles::builtin;
use retune_roles::{Example, Progress, RoleKind, Sequence, Target};
use retune_tensor::Device;
use retune_train::collate::Collation;
use retune_train::model::{Base, Model, Task, task_of_checkpoint};
use retune_train::training::step::{self, Shape};
use retune_train::training::workers::Alone;
use safetensors::{Dtype, SafeTensors};

use super::finding::{Finding, largest_difference};
use retune_recipe::diagnostic::{Diagnostic, Result, unreadable};

/// What logits and gradients may differ by: float32 on a CPU; on a GPU, products may be rounded to ten bits (TF32).
const CPU_BOUND: f64 = 1e-4;
const GPU_BOUND: f64 = 2e-2;

/// What sums on this device may differ by from those of another.
pub(super) fn bound(device: &Device) -> f64 {
    if *device == Device::flex() { CPU_BOUND } else { GPU_BOUND }
}

/// Compares one fixture.
pub fn check(folder: &Path, device: &Device) -> Result<Vec<Finding>> {
    let file = folder.join("expected.safetensors");
    let bytes = fs::read(&file).map_err(|error| unreadable(&file, &error))?;
    let expected = Expected(SafeTensors::deserialize(&bytes).map_err(|error| failed(folder, error))?);
    let task = task_of_checkpoint(folder).map_err(|error| failed(folder, error))?;
    let base = Base::Directory(folder.to_owned());
    let (model, _) = Model::load(&base, &task, 0, device).map_err(|error| failed(folder, error))?;
    compare(&model, &expected, folder)
}

fn compare(model: &Model, expected: &Expected<'_>, folder: &Path) -> Result<Vec<Finding>> {
    let refused = |error: &dyn std::fmt::Display| failed(folder, error);
    let tokens = forward_is_of_tokens(model.task());
    let examples = expected.examples(model.task())?;
    let rows: Vec<&Example> = examples.iter().collect();
    let input = model.input(&rows).map_err(|e| refused(&e))?;
    let forward = model.forward(&model.weights(false), &input, None).map_err(|e| refused(&e))?;
    let logits = forward.logits.to_float32().map_err(|e| refused(&e))?;

    let (kind, name) = (model.task().kind(), model.task().info().default_loss);
    let mut loss = builtin::loss(name, &serde_json::Value::Null, kind).map_err(|e| refused(&e))?;
    let mut collation = Collation::new(model.task(), &[]);
    collation.want(RoleKind::Loss, name, loss.wants()).map_err(|e| refused(&e))?;
    let shape = Shape { batch_size: rows.len(), dropout_seed: None, first: 0 };
    let sums = step::compute(model, &mut *loss, &collation, &rows, shape, &Progress::default(), &Alone);
    let sums = sums.map_err(|e| refused(&e))?;

    let mut gradients: f64 = 0.0;
    for (parameter, gradient) in model.parameters().iter().zip(sums.gradients.iter()) {
        if let (Some(expected), Some(gradient)) = (expected.floats(&format!("grad.{}", parameter.name)), gradient) {
            let values = gradient.to_vec().map_err(|e| refused(&e))?;
            let mean: Vec<f32> = values.iter().map(|value| value / sums.denominator as f32).collect();
            gradients = gradients.max(largest_difference(&mean, &expected));
        }
    }
    let of_rows = |all: &[f32]| if tokens { within(all, &examples) } else { all.to_vec() };
    let expected_logits = expected.floats("logits").unwrap_or_default();
    let expected_loss = expected.floats("loss").unwrap_or_default();
    let bound = bound(model.device());
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let finding = |what, value| Finding::bounded(format!("{name}: {what}, largest difference"), value, "", bound);
    Ok(vec![
        finding("logits", largest_difference(&of_rows(&logits), &of_rows(&expected_logits))),
        finding("loss", largest_difference(&[sums.loss() as f32], &expected_loss)),
        finding("gradients", gradients),
    ])
}

/// Whether every token has logits.
fn forward_is_of_tokens(task: &Task) -> bool {
    matches!(task, Task::CausalLm | Task::TokenClassification { .. } | Task::MaskedLm)
}

/// The logits `[batch, seq, vocab]` of the tokens that are there; those of padding mean nothing.
fn within(all: &[f32], examples: &[Example]) -> Vec<f32> {
    let longest = examples.iter().map(|example| example.tokens()).max().unwrap_or(0);
    let vocab = all.len() / (examples.len() * longest).max(1);
    let rows = examples.iter().zip(all.chunks(longest * vocab));
    rows.flat_map(|(example, row)| row[..example.tokens() * vocab].iter().copied()).collect()
}

/// The tensors of a fixture.
struct Expected<'a>(SafeTensors<'a>);

impl Expected<'_> {
    fn floats(&self, name: &str) -> Option<Vec<f32>> {
        let tensor = self.0.tensor(name).ok().filter(|tensor| tensor.dtype() == Dtype::F32)?;
        Some(tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn integers(&self, name: &str) -> Option<Vec<i64>> {
        let tensor = self.0.tensor(name).ok().filter(|tensor| tensor.dtype() == Dtype::I64)?;
        Some(tensor.data().as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect())
    }

    /// The rows without their padding.
    fn examples(&self, task: &Task) -> Result<Vec<Example>> {
        let missing = || Diagnostic::new("expected.safetensors lacks input_ids, lengths or labels");
        let ids = self.integers("input_ids").ok_or_else(missing)?;
        let labels = self.integers("labels").unwrap_or_default();
        let numbers = self.floats("labels").unwrap_or_default();
        if labels.is_empty() && numbers.is_empty() {
            return Err(missing());
        }
        let lengths = self.integers("lengths").filter(|lengths| !lengths.is_empty()).ok_or_else(missing)?;
        let segments = self.integers("token_type_ids").unwrap_or_default();
        let longest = ids.len() / lengths.len();
        Ok(lengths
            .iter()
            .enumerate()
            .map(|(row, length)| {
                let cells = row * longest..row * longest + *length as usize;
                let ids = ids[cells.clone()].iter().map(|id| *id as u32).collect();
                let mut sequence = if *task == Task::CausalLm { Sequence::text(ids) } else { Sequence::of(ids) };
                sequence.segments =
                    segments.get(cells.clone()).unwrap_or_default().iter().map(|segment| *segment as u8).collect();
                let target = match task {
                    Task::CausalLm => Target::None,
                    Task::SequenceClassification { .. } => Target::Class(labels[row] as u32),
                    Task::MultiLabelClassification { labels } => {
                        let of_row = &numbers[row * labels.len()..(row + 1) * labels.len()];
                        let held = (0u32..).zip(of_row).filter(|(_, label)| **label > 0.5);
                        Target::Classes(held.map(|(class, _)| class).collect())
                    }
                    Task::Regression { outputs } => {
                        Target::Values(numbers[row * outputs.len()..(row + 1) * outputs.len()].to_vec())
                    }
                    Task::TokenClassification { .. } | Task::MaskedLm => {
                        Target::Labels(labels[cells].iter().map(|label| *label as i32).collect())
                    }
                };
                Example::new(format!("fixture:{}", row + 1), sequence, target)
            })
            .collect())
    }
}

fn failed(folder: &Path, error: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::new(format!("cannot compare {}", folder.display())).because(error)
}
