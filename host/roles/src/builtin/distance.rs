//! Losses of numbers: how far predictions are from targets.
//!
//! `numerator` = the sum of a distance over all cells, `denominator` = their number, as the means of PyTorch's `MSELoss`,
//! `L1Loss` and `HuberLoss`. With the difference `d` a cell costs `d²`, `|d|`, or `d²/2` up to `delta` and
//! `delta (|d| - delta/2)` beyond it.

use retune_tensor::{AnyTensor, Dtype, TensorError, full};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{failed, input};
use crate::{Batch, ErrorKind, Failure, InputSpec, Loss, LossOutput, Progress, Refusal, Result, RoleKind};

const CALL: &str = "compute";

/// Settings of the Huber loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HuberConfig {
    /// The difference up to which the loss is a square; beyond it grows in a straight line.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub delta: f64,
}

fn one() -> f64 {
    1.0
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Squared,
    Absolute,
    Huber(f64),
}

/// A loss of predictions and targets.
#[derive(Clone, Debug)]
pub struct Distance {
    kind: Kind,
    wants: [InputSpec; 2],
}

impl Distance {
    /// `mean-squared-error`.
    pub fn squared() -> Self {
        Self::new(Kind::Squared)
    }

    /// `mean-absolute-error`.
    pub fn absolute() -> Self {
        Self::new(Kind::Absolute)
    }

    /// `huber`.
    ///
    /// # Errors
    /// When `delta` is not a positive number.
    pub fn huber(config: &HuberConfig) -> std::result::Result<Self, Refusal> {
        if !(config.delta > 0.0 && config.delta.is_finite()) {
            let message = format!("`delta` is {}; expected a number above 0", config.delta);
            return Err(Refusal::new(ErrorKind::Config, message));
        }
        Ok(Self::new(Kind::Huber(config.delta)))
    }

    fn new(kind: Kind) -> Self {
        Self { kind, wants: [InputSpec::required("predictions"), InputSpec::required("targets")] }
    }

    fn sums(&self, predictions: &AnyTensor, targets: &AnyTensor) -> std::result::Result<LossOutput, TensorError> {
        let difference = predictions.sub(targets)?;
        let cost = match self.kind {
            Kind::Squared => difference.mul(&difference)?,
            Kind::Absolute => difference.abs()?,
            Kind::Huber(delta) => {
                // With the part q of |d| that is not beyond delta: q²/2 + delta (|d| - q).
                let size = difference.abs()?;
                let near = size.clamp(None, Some(delta))?;
                let far = size.sub(&near)?.mul_scalar(delta)?;
                near.mul(&near)?.mul_scalar(0.5)?.add(&far)?
            }
        };
        let device = targets.untracked().device();
        let denominator = full(&[], predictions.numel() as f64, Dtype::Float32, &device)?;
        Ok(LossOutput { numerator: cost.sum(&[], false)?, denominator, reported: Vec::new() })
    }
}

impl Loss for Distance {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Squared => "mean-squared-error",
            Kind::Absolute => "mean-absolute-error",
            Kind::Huber(_) => "huber",
        }
    }

    fn wants(&self) -> &[InputSpec] {
        &self.wants
    }

    fn compute(&mut self, batch: &Batch, _at: &Progress) -> Result<LossOutput> {
        let name = self.name();
        let predictions = input(batch, name, RoleKind::Loss, CALL, "predictions")?;
        let targets = input(batch, name, RoleKind::Loss, CALL, "targets")?;
        if predictions.shape() != targets.shape() {
            let (targets, found) = (targets.shape(), predictions.shape());
            let reason = format!("targets of shape {targets:?} for predictions of shape {found:?}, expected as many");
            return Err(Failure::new(name, RoleKind::Loss, CALL, reason));
        }
        self.sums(predictions, targets).map_err(failed(name, RoleKind::Loss, CALL))
    }
}

#[cfg(test)]
mod tests {
    use retune_tensor::{Device, from_float32};

    use super::*;

    const PREDICTIONS: [f32; 4] = [0.5, -2.0, 3.0, 1.0];
    const TARGETS: [f32; 4] = [0.25, 1.0, 2.0, 1.5];

    #[test]
    fn loss_and_gradient_are_those_of_the_definition() {
        let huber = Distance::huber(&HuberConfig { delta: 0.4 }).unwrap();
        type Function = fn(f64) -> f64;
        let cases: [(Distance, Function, Function); 3] = [
            (Distance::squared(), |d| d * d, |d| 2.0 * d),
            (Distance::absolute(), f64::abs, |d| if d > 0.0 { 1.0 } else { -1.0 }),
            (huber, |d| if d.abs() <= 0.4 { d * d / 2.0 } else { 0.4 * (d.abs() - 0.2) }, |d| d.clamp(-0.4, 0.4)),
        ];
        for (mut loss, cost, slope) in cases {
            let leaf = from_float32(PREDICTIONS.to_vec(), &[2, 2], &Device::flex()).unwrap().leaf().unwrap();
            let batch = Batch::new(vec!["a".into(), "b".into()])
                .with("predictions", leaf.clone())
                .with("targets", from_float32(TARGETS.to_vec(), &[2, 2], &Device::flex()).unwrap());
            let out = loss.compute(&batch, &Progress::default()).unwrap();
            let differences = || PREDICTIONS.iter().zip(TARGETS).map(|(p, t)| f64::from(*p) - f64::from(t));
            let expected: f64 = differences().map(cost).sum();
            assert!((out.numerator.item().unwrap() - expected).abs() < 1e-6, "{}", loss.name());
            assert_eq!(out.denominator.item().unwrap(), 4.0);
            let gradient = out.numerator.backward().unwrap().take(&leaf).unwrap().to_float32().unwrap();
            for (got, expected) in gradient.iter().zip(differences().map(slope)) {
                assert!((f64::from(*got) - expected).abs() < 1e-6, "{}: {got} against {expected}", loss.name());
            }
        }
    }

    #[test]
    fn a_delta_that_is_none_and_targets_that_are_others_are_refused() {
        let refusal = Distance::huber(&HuberConfig { delta: 0.0 }).unwrap_err();
        assert_eq!(refusal.message, "`delta` is 0; expected a number above 0");
        let device = Device::flex();
        let batch = Batch::new(vec!["a".into()])
            .with("predictions", from_float32(vec![0.0; 2], &[1, 2], &device).unwrap())
            .with("targets", from_float32(vec![0.0], &[1, 1], &device).unwrap());
        let failure = Distance::squared().compute(&batch, &Progress::default()).unwrap_err();
        assert!(failure.to_string().contains("[1, 1] for predictions of shape [1, 2]"), "{failure}");
    }
}
