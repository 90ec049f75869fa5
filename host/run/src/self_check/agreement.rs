//! A device beside the CPU's own kernels: dropout masks, attention, and a whole step with dropout.
//!
//! Masks have to be the same to the bit; what is summed may differ in rounding. Asked of the CPU itself, the other side
//! is what it computes with the operations that a GPU runs, so that these are checked without one.

use std::path::Path;

use retune_roles::builtin;
use retune_roles::{Example, Failure, Progress, RoleKind, Sequence, Target};
use retune_tensor::device::Portable;
use retune_tensor::transfer::{Transfers, so_far};
use retune_tensor::{Device, random};
use retune_train::collate::Collation;
use retune_train::model::agreement::{AttentionCase, attended, dropout_factors, probability_factors};
use retune_train::model::{Base, Model, ModelError, Task, task_of_checkpoint};
use retune_train::optimizer::gradients::Floats;
use retune_train::training::step::{self, Shape, StepSums};
use retune_train::training::workers::Alone;

use super::finding::{Finding, largest_difference};
use super::parity::bound;
use retune_recipe::diagnostic::{Diagnostic, Result};

/// Rows of the step.
const ROWS: usize = 6;
/// Tokens of its longest row.
const LONGEST: usize = 24;

/// All checks of single kernels.
pub fn kernels(device: &Device) -> Result<Vec<Finding>> {
    findings(device).map_err(|error| failed("kernels failed on this device", error))
}

fn findings(device: &Device) -> std::result::Result<Vec<Finding>, ModelError> {
    let mut findings = Vec::new();
    let lines = |device: &Device| dropout_factors(1000, 770, 0.1, device);
    let differ = |found: &[f32], expected: &[f32], tolerance: f32| {
        let pairs = found.iter().zip(expected).filter(|(found, expected)| (*found - *expected).abs() > tolerance);
        (pairs.count() + found.len().abs_diff(expected.len())) as f64
    };
    let (found, expected) = both(device, lines)?;
    let name = "dropout of hidden states, factors unlike the CPU's";
    findings.push(Finding::bounded(name, differ(&found, &expected, 0.0), "", 0.0));

    let ragged = AttentionCase { lengths: &[70, 1, 33], heads: 3, kv_heads: 3, width: 16, causal: false, dropout: 0.2 };
    let (found, expected) = both(device, |device| probability_factors(ragged, device))?;
    // A product may round a probability; a factor is either zero or more than one.
    let name = "dropout of probabilities, factors unlike the CPU's";
    findings.push(Finding::bounded(name, differ(&found, &expected, 0.5), "", 0.0));

    let grouped = AttentionCase { lengths: &[70, 1, 33], heads: 6, kv_heads: 2, width: 32, causal: true, dropout: 0.0 };
    for (name, case) in [("attention", grouped), ("attention with dropout", ragged)] {
        let (found, expected) = both(device, |device| attended(case, device))?;
        let parts = found.iter().zip(&expected).map(|(found, expected)| largest_difference(found, expected));
        let largest = parts.fold(0.0, f64::max);
        findings.push(Finding::bounded(
            format!("{name} and its gradients, largest difference"),
            largest,
            "",
            bound(device),
        ));
    }
    Ok(findings)
}

/// One step of the model in `folder`, with dropout where its config has any, in micro-batches, on random rows.
pub fn one_step(folder: &Path, device: &Device) -> Result<Vec<Finding>> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let refused = |error: &dyn std::fmt::Display| failed(format!("cannot take a step of {}", folder.display()), error);
    let (found, expected) = both(device, |device| step_of(folder, device)).map_err(|error| refused(&error))?;
    let ((found, moved), (expected, _)) = (found, expected);
    let mut gradients: f64 = 0.0;
    for (found, expected) in found.gradients.iter().zip(expected.gradients.iter()) {
        let read = |gradient: Option<&Floats>| {
            let values = gradient.map_or_else(|| Ok(Vec::new()), |gradient| gradient.to_vec());
            values.map_err(|error| refused(&error))
        };
        let (found, expected) = (read(found)?, read(expected)?);
        // Sums over all tokens: against the largest of each parameter.
        let most = expected.iter().fold(1.0f32, |most, x| most.max(x.abs()));
        gradients = gradients.max(largest_difference(&found, &expected) / f64::from(most));
    }
    let loss = (found.loss() - expected.loss()).abs();
    let within = |what: &str, value| {
        Finding::bounded(format!("{name}: {what} of a step beside the CPU's"), value, "", bound(device))
    };
    Ok(vec![
        within("loss", loss),
        within("gradients", gradients),
        Finding::rate(format!("{name}: bytes a step sends"), moved.sent_bytes as f64, ""),
        Finding::rate(format!("{name}: pieces a step sends"), moved.sends as f64, ""),
        Finding::bounded(format!("{name}: pieces a step reads back"), moved.reads as f64, "", 2.0),
    ])
}

fn step_of(folder: &Path, device: &Device) -> std::result::Result<(StepSums, Transfers), retune_train::TrainError> {
    let task = task_of_checkpoint(folder)?;
    let (model, _) = Model::load(&Base::Directory(folder.to_owned()), &task, 0, device)?;
    let (kind, name) = (task.kind(), task.info().default_loss);
    let mut loss = builtin::loss(name, &serde_json::Value::Null, kind)
        .map_err(|refusal| Failure::new(name, RoleKind::Loss, "init", refusal.to_string()))?;
    let mut collation = Collation::new(&task, &[]);
    collation.want(RoleKind::Loss, name, loss.wants())?;
    let vocabulary = model.config().shape.vocab_size as u64;
    let rows: Vec<Example> = (0..ROWS)
        .map(|row| {
            let length = LONGEST - 3 * row;
            let ids =
                (0..length).map(|at| (3 + random::bits(row as u64, at as u64) % (vocabulary - 3)) as u32).collect();
            let (sequence, target) = match task {
                Task::CausalLm => (Sequence::text(ids), Target::None),
                Task::SequenceClassification { .. } => (Sequence::of(ids), Target::Class(row as u32 % 2)),
                Task::MultiLabelClassification { .. } => (Sequence::of(ids), Target::Classes(vec![row as u32 % 2])),
                Task::Regression { ref outputs } => {
                    (Sequence::of(ids), Target::Values(vec![row as f32 / 2.0; outputs.len()]))
                }
                Task::TokenClassification { .. } | Task::MaskedLm => {
                    let labels = (0..length as i32).map(|at| if at % 3 == 0 { -100 } else { at % 2 }).collect();
                    (Sequence::of(ids), Target::Labels(labels))
                }
            };
            Example::new(format!("random:{row}"), sequence, target)
        })
        .collect();
    let rows: Vec<&Example> = rows.iter().collect();
    let shape = Shape { batch_size: ROWS / 2, dropout_seed: Some(5), first: 0 };
    let before = so_far();
    let sums = step::compute(&model, &mut *loss, &collation, &rows, shape, &Progress::default(), &Alone)?;
    Ok((sums, so_far() - before))
}

/// What `work` gives on the device, or the CPU in its place as other devices compute, and with the CPU's own kernels.
fn both<T, E>(device: &Device, work: impl Fn(&Device) -> std::result::Result<T, E>) -> std::result::Result<(T, T), E> {
    let found = {
        let _portable = (*device == Device::flex()).then(Portable::new);
        work(device)?
    };
    Ok((found, work(&Device::flex())?))
}

fn failed(what: impl Into<String>, error: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::new(what).because(error)
}
