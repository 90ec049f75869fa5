//! Cross-entropy, the loss of both tasks when a recipe names none.
//!
//! `numerator = -sum(log softmax(logits)[label])`, `denominator` = the number of
//! labels; a label of [`IGNORE_INDEX`] counts in neither. A batch with no label
//! at all gives 0 and 0, and the host divides over the whole step.

use retune_tensor::{AnyTensor, Dtype, TensorError, full, fused};

use super::{failed, input};
use crate::{Batch, Failure, IGNORE_INDEX, InputSpec, Loss, LossOutput, Progress, Result, RoleKind, TaskKind};

const NAME: &str = "cross-entropy";
const CALL: &str = "compute";

/// Cross-entropy over classes or over a vocabulary.
#[derive(Clone, Debug)]
pub struct CrossEntropy {
    task: TaskKind,
    wants: [InputSpec; 2],
}

impl CrossEntropy {
    /// For this task.
    pub fn new(task: TaskKind) -> Self {
        Self { task, wants: [InputSpec::required("logits"), InputSpec::required("labels")] }
    }

    /// logits `[batch, classes]`, labels `[batch]`.
    pub fn for_sequences() -> Self {
        Self::new(TaskKind::SequenceClassification)
    }

    /// logits `[batch, seq, vocab]`, labels `[batch, seq]` aligned with them.
    pub fn for_tokens() -> Self {
        Self::new(TaskKind::CausalLm)
    }
}

impl Loss for CrossEntropy {
    fn name(&self) -> &str {
        NAME
    }

    fn wants(&self) -> &[InputSpec] {
        &self.wants
    }

    fn compute(&mut self, batch: &Batch, _at: &Progress) -> Result<LossOutput> {
        let logits = input(batch, NAME, RoleKind::Loss, CALL, "logits")?;
        let labels = input(batch, NAME, RoleKind::Loss, CALL, "labels")?;
        if labels.rank() != self.task.info().label_rank {
            let reason =
                format!("labels of shape {:?}, expected {} dimensions", labels.shape(), self.task.info().label_rank);
            return Err(Failure::new(NAME, RoleKind::Loss, CALL, reason));
        }
        sums(logits, labels).map_err(|error| explain(error, logits, labels, batch))
    }
}

fn sums(logits: &AnyTensor, labels: &AnyTensor) -> std::result::Result<LossOutput, TensorError> {
    let numerator = fused::token_log_probs(logits, labels, IGNORE_INDEX)?.sum(&[], false)?.neg()?;
    // Counted on the host, which knows the labels: on a device that would be four kernels.
    let counted = labels.to_int64()?.into_iter().filter(|label| *label != IGNORE_INDEX).count();
    let denominator = full(&[], counted as f64, Dtype::Float32, &labels.untracked().device())?;
    Ok(LossOutput { numerator, denominator, reported: Vec::new() })
}

/// Names the first row whose label is no class, when that is what went wrong.
fn explain(error: TensorError, logits: &AnyTensor, labels: &AnyTensor, batch: &Batch) -> Failure {
    let classes = logits.shape().last().map_or(0, |n| *n as i64);
    let wrong = labels
        .to_int64()
        .ok()
        .and_then(|all| all.into_iter().enumerate().find(|(_, l)| *l != IGNORE_INDEX && !(0..classes).contains(l)));
    let Some((position, label)) = wrong else { return failed(NAME, RoleKind::Loss, CALL)(error) };
    let reason = format!("label {label} is neither {IGNORE_INDEX} nor one of the {classes} classes");
    let failure =
        Failure::new(NAME, RoleKind::Loss, CALL, reason).help("check that the label set and the model's head agree");
    let labels_a_row = labels.shape().iter().skip(1).product::<usize>().max(1);
    match batch.keys().get(position / labels_a_row) {
        Some(key) => failure.at(format!("sample {key}")),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use retune_tensor::{Device, from_float32, from_int64};

    use super::*;

    fn batch(logits: Vec<f32>, shape: &[usize], labels: Vec<i64>) -> Batch {
        let device = Device::flex();
        let rows = (0..shape[0]).map(|i| format!("train.csv:{}", i + 1)).collect();
        Batch::new(rows)
            .with("logits", from_float32(logits, shape, &device).unwrap())
            .with("labels", from_int64(labels, &shape[..shape.len() - 1], &device).unwrap())
    }

    fn compute(loss: &mut CrossEntropy, batch: &Batch) -> (f64, f64) {
        let out = loss.compute(batch, &Progress::default()).unwrap();
        assert!(out.numerator.shape().is_empty() && out.denominator.shape().is_empty());
        (out.numerator.item().unwrap(), out.denominator.item().unwrap())
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_classes() {
        let (sum, count) = compute(&mut CrossEntropy::for_sequences(), &batch(vec![0.5; 8], &[2, 4], vec![0, 3]));
        assert!((sum - 2.0 * 4f64.ln()).abs() < 1e-6, "{sum}");
        assert_eq!(count, 2.0);
    }

    #[test]
    fn ignored_labels_count_in_neither_sum() {
        let logits: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).sin()).collect();
        let all = compute(&mut CrossEntropy::for_tokens(), &batch(logits.clone(), &[1, 4, 3], vec![0, -100, 2, -100]));
        let kept: Vec<f32> = [&logits[0..3], &logits[6..9]].concat();
        let some = compute(&mut CrossEntropy::for_tokens(), &batch(kept, &[1, 2, 3], vec![0, 2]));
        assert!((all.0 - some.0).abs() < 1e-6);
        assert_eq!((all.1, some.1), (2.0, 2.0));
        let none = compute(&mut CrossEntropy::for_tokens(), &batch(logits, &[1, 4, 3], vec![-100; 4]));
        assert_eq!(none, (0.0, 0.0));
    }

    #[test]
    fn the_gradient_is_softmax_minus_one_hot() {
        let values = [0.2f32, -1.0, 0.7, 3.0, 0.0, -0.5];
        let leaf = from_float32(values.to_vec(), &[2, 3], &Device::flex()).unwrap().leaf().unwrap();
        let batch = Batch::new(vec!["a".into(), "b".into()])
            .with("logits", leaf.clone())
            .with("labels", from_int64(vec![2, -100], &[2], &Device::flex()).unwrap());
        let out = CrossEntropy::for_sequences().compute(&batch, &Progress::default()).unwrap();
        assert!(!out.denominator.is_tracked());
        let got = out.numerator.backward().unwrap().take(&leaf).unwrap().to_float32().unwrap();
        let total: f32 = values[..3].iter().map(|v| v.exp()).sum();
        let expected = [values[0].exp() / total, values[1].exp() / total, values[2].exp() / total - 1.0, 0.0, 0.0, 0.0];
        for (g, e) in got.iter().zip(expected) {
            assert!((g - e).abs() < 1e-6, "{got:?} against {expected:?}");
        }
    }

    #[test]
    fn a_label_that_is_no_class_is_reported_with_its_row() {
        let failure = CrossEntropy::for_sequences()
            .compute(&batch(vec![0.0; 6], &[2, 3], vec![1, 3]), &Progress::default())
            .unwrap_err();
        assert_eq!(
            failure.to_string(),
            "loss cross-entropy failed in `compute` at sample train.csv:2: label 3 is neither -100 nor one of the 3 classes"
        );
    }

    #[test]
    fn labels_of_the_other_task_are_refused() {
        let failure = CrossEntropy::for_sequences()
            .compute(&batch(vec![0.0; 6], &[1, 2, 3], vec![1, 1]), &Progress::default())
            .unwrap_err();
        assert!(failure.to_string().contains("labels of shape [1, 2], expected 1 dimensions"), "{failure}");
    }
}
