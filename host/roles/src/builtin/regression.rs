//! How far predicted numbers are from the true ones, and how well they follow them.
//!
//! Of several numbers a row each value is the mean over the numbers, as scikit-learn's `multioutput="uniform_average"`. Sums
//! are of deviations from running means (Chan et al. 1979), so that numbers far from zero lose no digits. Rank correlation (Spearman)
//! is not among the values: it needs every prediction of the set in memory at once.

use serde::{Deserialize, Serialize};

use super::{failed, input};
use crate::{Batch, Failure, InputSpec, Metric, Result, RoleKind, ValueSpec};

const NAME: &str = "regression";

/// Of one of the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Moments {
    rows: u64,
    mean: f64,
    predicted_mean: f64,
    /// Sums of products of deviations from the means.
    variation: f64,
    predicted_variation: f64,
    covariation: f64,
    /// Sums of squares and sizes of differences.
    squared: f64,
    absolute: f64,
}

/// Root mean squared and mean absolute error, R² and Pearson's correlation.
///
/// State: JSON, eight numbers for each number of a row. NaN without rows; R² and the correlation also
/// when all targets (or all predictions) are equal.
#[derive(Clone, Debug)]
pub struct Regression {
    state: Vec<Moments>,
    names: Vec<String>,
    values: [ValueSpec; 4],
    wants: [InputSpec; 2],
}

impl Regression {
    /// With nothing counted.
    pub fn new() -> Self {
        let value = |name: &str, higher_is_better| ValueSpec { name: name.into(), unit: None, higher_is_better };
        Self {
            state: Vec::new(),
            names: Vec::new(),
            values: [value("rmse", false), value("mae", false), value("r2", true), value("pearson", true)],
            wants: [InputSpec::required("predictions"), InputSpec::required("targets")],
        }
    }
}

impl Default for Regression {
    fn default() -> Self {
        Self::new()
    }
}

impl Moments {
    fn of(predicted: f64, target: f64) -> Self {
        let difference = predicted - target;
        Self {
            rows: 1,
            mean: target,
            predicted_mean: predicted,
            squared: difference * difference,
            absolute: difference.abs(),
            ..Self::default()
        }
    }

    fn add(&mut self, other: Self) {
        if other.rows == 0 {
            return;
        }
        let (own, others) = (self.rows as f64, other.rows as f64);
        let all = own + others;
        let (by, predicted_by) = (other.mean - self.mean, other.predicted_mean - self.predicted_mean);
        let weight = own * others / all;
        self.variation += other.variation + by * by * weight;
        self.predicted_variation += other.predicted_variation + predicted_by * predicted_by * weight;
        self.covariation += other.covariation + by * predicted_by * weight;
        self.mean += by * others / all;
        self.predicted_mean += predicted_by * others / all;
        self.squared += other.squared;
        self.absolute += other.absolute;
        self.rows += other.rows;
    }

    /// In the order of the values.
    fn values(&self) -> [f64; 4] {
        let rows = self.rows as f64;
        // A variation that is zero makes both undefined, rather than infinite.
        let of = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { f64::NAN };
        [
            (self.squared / rows).sqrt(),
            self.absolute / rows,
            1.0 - of(self.squared, self.variation),
            of(self.covariation, (self.variation * self.predicted_variation).sqrt()),
        ]
    }
}

impl Metric for Regression {
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
        let predictions = input(batch, NAME, RoleKind::Metric, call, "predictions")?;
        let targets = input(batch, NAME, RoleKind::Metric, call, "targets")?;
        let shape = predictions.shape();
        if targets.shape() != shape || shape.len() != 2 {
            let found = targets.shape();
            let reason = format!("targets of shape {found:?} for predictions of shape {shape:?}, expected as many");
            return Err(Failure::new(NAME, RoleKind::Metric, call, reason));
        }
        let read =
            |tensor: &retune_tensor::AnyTensor| tensor.to_float32().map_err(failed(NAME, RoleKind::Metric, call));
        let (predictions, targets) = (read(predictions)?, read(targets)?);
        self.names = batch.classes().to_vec();
        self.state.resize(self.state.len().max(shape[1]), Moments::default());
        for (cell, (predicted, target)) in predictions.iter().zip(&targets).enumerate() {
            self.state[cell % shape[1]].add(Moments::of(f64::from(*predicted), f64::from(*target)));
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Vec<u8>> {
        serde_json::to_vec(&self.state).map_err(|e| Failure::new(NAME, RoleKind::Metric, "snapshot", e.to_string()))
    }

    fn merge(&mut self, snapshot: &[u8]) -> Result<()> {
        let other: Vec<Moments> = serde_json::from_slice(snapshot)
            .map_err(|e| Failure::new(NAME, RoleKind::Metric, "merge", format!("the state cannot be read: {e}")))?;
        self.state.resize(self.state.len().max(other.len()), Moments::default());
        self.state.iter_mut().zip(other).for_each(|(own, other)| own.add(other));
        Ok(())
    }

    fn compute(&mut self) -> Result<Vec<(String, f64)>> {
        let each: Vec<[f64; 4]> = self.state.iter().map(Moments::values).collect();
        let count = each.len() as f64;
        let mut all: Vec<(String, f64)> = Vec::new();
        for (at, value) in self.values.iter().enumerate() {
            all.push((value.name.clone(), each.iter().map(|values| values[at]).sum::<f64>() / count));
        }
        if each.len() > 1 {
            for (at, value) in self.values.iter().enumerate() {
                let named = self.names.iter().zip(&each);
                all.extend(named.map(|(name, values)| (format!("{}.{name}", value.name), values[at])));
            }
        }
        Ok(all)
    }

    fn reset(&mut self) -> Result<()> {
        self.state.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use retune_tensor::{Device, from_float32};

    use super::*;

    fn batch(predictions: &[f32], targets: &[f32], outputs: usize) -> Batch {
        let (device, rows) = (Device::flex(), targets.len() / outputs);
        let names: Vec<String> = ["x", "y"].iter().take(outputs).map(ToString::to_string).collect();
        Batch::new(Vec::new())
            .of_classes(names.into())
            .with("predictions", from_float32(predictions.to_vec(), &[rows, outputs], &device).unwrap())
            .with("targets", from_float32(targets.to_vec(), &[rows, outputs], &device).unwrap())
    }

    fn values(parts: &[Batch]) -> Vec<(String, f64)> {
        let mut metric = Regression::new();
        parts.iter().for_each(|part| metric.update(part).unwrap());
        metric.compute().unwrap()
    }

    fn close(got: &[(String, f64)], expected: &[(&str, f64)]) {
        assert_eq!(got.len(), expected.len(), "{got:?}");
        for ((name, got), (expected_name, expected)) in got.iter().zip(expected) {
            assert_eq!(name, expected_name);
            assert!((got - expected).abs() < 1e-9, "{name}: {got} against {expected}");
        }
    }

    #[test]
    fn the_values_are_those_of_their_definitions() {
        // Differences 1, -1, 0, 2 of targets 1, 2, 3, 6: mean 3, variation 14; predictions 2, 1, 3, 8: mean 3.5, 29.
        let got = values(&[batch(&[2.0, 1.0, 3.0, 8.0], &[1.0, 2.0, 3.0, 6.0], 1)]);
        let covariation = 2.0 + 2.0 + 9.0 + 48.0 - 4.0 * 3.0 * 3.5;
        close(
            &got,
            &[
                ("rmse", 1.5f64.sqrt()),
                ("mae", 1.0),
                ("r2", 1.0 - 6.0 / 14.0),
                ("pearson", covariation / (14.0f64 * 29.0).sqrt()),
            ],
        );
    }

    #[test]
    fn several_numbers_are_averaged_and_told_by_name() {
        let x = values(&[batch(&[2.0, 1.0, 4.0], &[1.0, 2.0, 3.0], 1)]);
        let y = values(&[batch(&[0.0, 5.0, 5.5], &[1.0, 4.0, 6.0], 1)]);
        let both = values(&[batch(&[2.0, 0.0, 1.0, 5.0, 4.0, 5.5], &[1.0, 1.0, 2.0, 4.0, 3.0, 6.0], 2)]);
        for at in 0..4 {
            assert!((both[at].1 - (x[at].1 + y[at].1) / 2.0).abs() < 1e-12);
            let (of_x, of_y) = (&both[4 + 2 * at], &both[5 + 2 * at]);
            assert_eq!((&*of_x.0, &*of_y.0), (&*format!("{}.x", x[at].0), &*format!("{}.y", x[at].0)));
            assert!((of_x.1 - x[at].1).abs() < 1e-12 && (of_y.1 - y[at].1).abs() < 1e-12);
        }
    }

    #[test]
    fn parts_merge_to_the_whole_and_numbers_far_from_zero_lose_nothing() {
        let far = |x: f32| 1e6 + x;
        let (predictions, targets) = ([2.0, 1.0, 3.0, 8.0].map(far), [1.0, 2.0, 3.0, 6.0].map(far));
        let whole = values(&[batch(&predictions, &targets, 1)]);
        let mut folded = Regression::new();
        for row in [3, 1, 0, 2] {
            let mut part = Regression::new();
            part.update(&batch(&predictions[row..=row], &targets[row..=row], 1)).unwrap();
            folded.merge(&part.snapshot().unwrap()).unwrap();
        }
        folded.merge(&Regression::new().snapshot().unwrap()).unwrap();
        let near = values(&[batch(&[2.0, 1.0, 3.0, 8.0], &[1.0, 2.0, 3.0, 6.0], 1)]);
        let expected: Vec<(&str, f64)> = near.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        close(&whole, &expected);
        close(&folded.compute().unwrap(), &expected);
    }

    #[test]
    fn what_is_undefined_is_no_number() {
        let constant = values(&[batch(&[1.0, 2.0], &[3.0, 3.0], 1)]);
        assert!(constant[2].1.is_nan() && constant[3].1.is_nan() && constant[0].1.is_finite());
        assert!(values(&[])[0].1.is_nan());
        let mut metric = Regression::new();
        metric.update(&batch(&[1.0], &[1.0], 1)).unwrap();
        metric.reset().unwrap();
        assert!(metric.compute().unwrap()[0].1.is_nan());
    }
}
