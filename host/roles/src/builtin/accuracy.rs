//! The share of labels that the largest logit hits.

use retune_tensor::fused;

use super::{failed, input};
use crate::{Batch, Failure, IGNORE_INDEX, InputSpec, Metric, Result, RoleKind, ValueSpec};

const NAME: &str = "accuracy";

/// Correct over all labels, for rows or tokens; [`IGNORE_INDEX`] is not counted.
///
/// State: two counters, 16 bytes little-endian. NaN when there is no label.
#[derive(Clone, Debug)]
pub struct Accuracy {
    correct: u64,
    total: u64,
    values: [ValueSpec; 1],
    wants: [InputSpec; 2],
}

impl Accuracy {
    /// With nothing counted.
    pub fn new() -> Self {
        Self {
            correct: 0,
            total: 0,
            values: [ValueSpec { name: NAME.into(), unit: None, higher_is_better: true }],
            wants: [InputSpec::required("logits"), InputSpec::required("labels")],
        }
    }

    fn count(&mut self, batch: &Batch) -> Result<()> {
        let call = "update";
        let logits = input(batch, NAME, RoleKind::Metric, call, "logits")?;
        let labels = input(batch, NAME, RoleKind::Metric, call, "labels")?;
        let (correct, total) =
            fused::hits(logits, labels, IGNORE_INDEX).map_err(failed(NAME, RoleKind::Metric, call))?;
        self.correct += correct;
        self.total += total;
        Ok(())
    }
}

impl Default for Accuracy {
    fn default() -> Self {
        Self::new()
    }
}

impl Metric for Accuracy {
    fn name(&self) -> &str {
        NAME
    }

    fn describe(&self) -> &[ValueSpec] {
        &self.values
    }

    fn wants(&self) -> &[InputSpec] {
        &self.wants
    }

    fn update(&mut self, batch: &Batch) -> Result<()> {
        self.count(batch)
    }

    fn snapshot(&mut self) -> Result<Vec<u8>> {
        Ok([self.correct.to_le_bytes(), self.total.to_le_bytes()].concat())
    }

    fn merge(&mut self, snapshot: &[u8]) -> Result<()> {
        let ([correct, total], []) = snapshot.as_chunks::<8>() else {
            let reason = format!("the state has {} bytes, expected 16", snapshot.len());
            return Err(Failure::new(NAME, RoleKind::Metric, "merge", reason));
        };
        self.correct += u64::from_le_bytes(*correct);
        self.total += u64::from_le_bytes(*total);
        Ok(())
    }

    fn compute(&mut self) -> Result<Vec<(String, f64)>> {
        Ok(vec![(NAME.into(), self.correct as f64 / self.total as f64)])
    }

    fn reset(&mut self) -> Result<()> {
        (self.correct, self.total) = (0, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use retune_tensor::{Device, from_float32, from_int64};

    use super::*;

    fn batch(logits: Vec<f32>, shape: &[usize], labels: Vec<i64>) -> Batch {
        let device = Device::flex();
        Batch::default()
            .with("logits", from_float32(logits, shape, &device).unwrap())
            .with("labels", from_int64(labels, &shape[..shape.len() - 1], &device).unwrap())
    }

    #[test]
    fn the_share_of_hits_is_given_and_ignored_labels_do_not_count() {
        let mut metric = Accuracy::new();
        metric.update(&batch(vec![0.1, 0.9, 0.8, 0.2, 0.3, 0.7], &[3, 2], vec![1, 1, 1])).unwrap();
        metric.update(&batch(vec![0.9, 0.1, 0.1, 0.9], &[1, 2, 2], vec![0, -100])).unwrap();
        assert_eq!(metric.compute().unwrap(), [("accuracy".to_owned(), 0.75)]);
    }

    #[test]
    fn parts_merge_to_the_whole_in_any_order() {
        let parts = [vec![1, 0, 0], vec![1, 1, 1], vec![0, -100, 1]];
        let logits = vec![0.0, 1.0, 1.0, 0.0, 0.0, 1.0];
        let mut whole = Accuracy::new();
        let mut folded = Accuracy::new();
        for labels in parts.iter().rev() {
            let mut part = Accuracy::new();
            part.update(&batch(logits.clone(), &[3, 2], labels.clone())).unwrap();
            folded.merge(&part.snapshot().unwrap()).unwrap();
        }
        for labels in parts {
            whole.update(&batch(logits.clone(), &[3, 2], labels)).unwrap();
        }
        assert_eq!(whole.snapshot().unwrap(), folded.snapshot().unwrap());
        assert_eq!(whole.compute().unwrap(), [("accuracy".to_owned(), 0.625)]);
    }

    #[test]
    fn without_a_label_the_value_is_undefined() {
        let mut metric = Accuracy::new();
        metric.update(&batch(vec![0.0, 1.0], &[1, 2], vec![0])).unwrap();
        metric.reset().unwrap();
        assert!(metric.compute().unwrap()[0].1.is_nan());
    }

    #[test]
    fn a_torn_state_is_refused() {
        let failure = Accuracy::new().merge(&[0; 15]).unwrap_err();
        assert!(failure.to_string().contains("15 bytes, expected 16"), "{failure}");
    }

    #[test]
    fn labels_that_do_not_fit_the_logits_are_refused() {
        let device = Device::flex();
        let batch = Batch::default()
            .with("logits", from_float32(vec![0.0; 6], &[3, 2], &device).unwrap())
            .with("labels", from_int64(vec![0; 2], &[2], &device).unwrap());
        assert!(Accuracy::new().update(&batch).unwrap_err().to_string().contains("[2] for logits of shape [3, 2]"));
    }
}
