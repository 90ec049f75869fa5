//! How many tokens the model hesitates between: `exp` of the mean loss a token.

use retune_tensor::{AnyTensor, Dtype, TensorError, fused};

use super::{failed, input};
use crate::{Batch, Failure, IGNORE_INDEX, InputSpec, Metric, Result, RoleKind, ValueSpec};

const NAME: &str = "perplexity";

/// `exp(sum of negative log-likelihoods / number of labels)`.
///
/// State: the sum as f64 and the count, 16 bytes little-endian. NaN when there
/// is no label.
#[derive(Clone, Debug)]
pub struct Perplexity {
    nll: f64,
    count: u64,
    values: [ValueSpec; 1],
    wants: [InputSpec; 2],
}

impl Perplexity {
    /// With nothing counted.
    pub fn new() -> Self {
        Self {
            nll: 0.0,
            count: 0,
            values: [ValueSpec { name: NAME.into(), unit: None, higher_is_better: false }],
            wants: [InputSpec::required("logits"), InputSpec::required("labels")],
        }
    }
}

impl Default for Perplexity {
    fn default() -> Self {
        Self::new()
    }
}

/// The batch's negative log-likelihood and number of labels.
fn sums(logits: &AnyTensor, labels: &AnyTensor) -> std::result::Result<(f64, u64), TensorError> {
    let log_probs = fused::token_log_probs(logits, labels, IGNORE_INDEX)?;
    let nll = -log_probs.cast(Dtype::Float64)?.sum(&[], false)?.item()?;
    let count = labels.to_int64()?.iter().filter(|label| **label != IGNORE_INDEX).count() as u64;
    Ok((nll, count))
}

impl Metric for Perplexity {
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
        let call = "update";
        let logits = input(batch, NAME, RoleKind::Metric, call, "logits")?;
        let labels = input(batch, NAME, RoleKind::Metric, call, "labels")?;
        let (nll, count) = sums(logits, labels).map_err(failed(NAME, RoleKind::Metric, call))?;
        self.nll += nll;
        self.count += count;
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Vec<u8>> {
        Ok([self.nll.to_le_bytes(), self.count.to_le_bytes()].concat())
    }

    fn merge(&mut self, snapshot: &[u8]) -> Result<()> {
        let ([nll, count], []) = snapshot.as_chunks::<8>() else {
            let reason = format!("the state has {} bytes, expected 16", snapshot.len());
            return Err(Failure::new(NAME, RoleKind::Metric, "merge", reason));
        };
        self.nll += f64::from_le_bytes(*nll);
        self.count += u64::from_le_bytes(*count);
        Ok(())
    }

    fn compute(&mut self) -> Result<Vec<(String, f64)>> {
        Ok(vec![(NAME.into(), (self.nll / self.count as f64).exp())])
    }

    fn reset(&mut self) -> Result<()> {
        (self.nll, self.count) = (0.0, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use retune_tensor::{Device, from_float32, from_int64};

    use super::*;

    fn update(metric: &mut Perplexity, logits: Vec<f32>, shape: [usize; 3], labels: Vec<i64>) {
        let device = Device::flex();
        let batch = Batch::default()
            .with("logits", from_float32(logits, &shape, &device).unwrap())
            .with("labels", from_int64(labels, &shape[..2], &device).unwrap());
        metric.update(&batch).unwrap();
    }

    #[test]
    fn equal_logits_hesitate_between_all_tokens() {
        let mut metric = Perplexity::new();
        update(&mut metric, vec![0.0; 5 * 7], [1, 5, 7], vec![0, 6, -100, 3, 2]);
        assert!((metric.compute().unwrap()[0].1 - 7.0).abs() < 1e-5);
    }

    #[test]
    fn batches_are_weighted_by_their_labels_and_parts_merge() {
        let sure = vec![20.0, 0.0, 20.0, 0.0, 20.0, 0.0];
        let (mut whole, mut a, mut b) = (Perplexity::new(), Perplexity::new(), Perplexity::new());
        update(&mut whole, sure.clone(), [1, 3, 2], vec![0, 0, 0]);
        update(&mut whole, vec![0.0; 2], [1, 1, 2], vec![1]);
        update(&mut a, sure, [1, 3, 2], vec![0, 0, 0]);
        update(&mut b, vec![0.0; 2], [1, 1, 2], vec![1]);
        b.merge(&a.snapshot().unwrap()).unwrap();
        let value = whole.compute().unwrap()[0].1;
        assert!((value - 2f64.powf(0.25)).abs() < 1e-6, "{value}");
        assert!((b.compute().unwrap()[0].1 - value).abs() < 1e-12);
    }

    #[test]
    fn without_a_label_the_value_is_undefined() {
        let mut metric = Perplexity::new();
        update(&mut metric, vec![0.0; 2], [1, 1, 2], vec![-100]);
        assert!(metric.compute().unwrap()[0].1.is_nan());
        assert!(metric.merge(&[1, 2]).is_err());
    }
}
