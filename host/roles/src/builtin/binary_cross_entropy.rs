//! Binary cross-entropy: every label of a row is a question of its own.
//!
//! With the logit `x` and the label `y` (1 or 0) a cell costs `w y softplus(-x) + (1 - y) softplus(x)`, which is
//! `-w y log(sigmoid(x)) - (1 - y) log(1 - sigmoid(x))` without overflow; `w` weighs the rows that have the label.
//! `numerator` = the sum over all cells, `denominator` = their number, as the mean of PyTorch's `BCEWithLogitsLoss`.

use std::collections::BTreeMap;

use retune_tensor::{AnyTensor, Dtype, TensorError, from_float32, full};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{failed, input};
use crate::nearest::nearest;
use crate::{Batch, ErrorKind, Failure, InputSpec, Loss, LossOutput, Progress, Refusal, Result, RoleKind};

const NAME: &str = "binary-cross-entropy";
const CALL: &str = "compute";

/// Settings of [`BinaryCrossEntropy`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BinaryCrossEntropyConfig {
    /// Weight of a label where it holds, beside 1 where it does not: one for all labels, or a table by label. Rows
    /// without the label over rows with it make both sides count alike.
    #[serde(default)]
    #[schemars(extend("x-write" = "pos_weight = 3.0 or pos_weight = { rare = 10.0 }"))]
    pub pos_weight: Option<PosWeight>,
}

/// Weights of labels where they hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PosWeight {
    /// The same for each.
    All(f64),
    /// By name; 1 for those that are not named.
    Of(BTreeMap<String, f64>),
}

/// The loss of several labels a row.
#[derive(Clone, Debug)]
pub struct BinaryCrossEntropy {
    pos_weight: Option<PosWeight>,
    wants: [InputSpec; 2],
}

impl BinaryCrossEntropy {
    /// With these settings.
    ///
    /// # Errors
    /// When a weight is not a positive number.
    pub fn new(config: BinaryCrossEntropyConfig) -> std::result::Result<Self, Refusal> {
        let refuse = |of: String, weight: f64| {
            let message = format!("`pos_weight`{of} is {weight}; expected a number above 0");
            Err(Refusal::new(ErrorKind::Config, message))
        };
        let good = |weight: f64| weight > 0.0 && weight.is_finite();
        match &config.pos_weight {
            Some(PosWeight::All(weight)) if !good(*weight) => return refuse(String::new(), *weight),
            Some(PosWeight::Of(of)) => {
                if let Some((label, weight)) = of.iter().find(|(_, weight)| !good(**weight)) {
                    return refuse(format!(" of `{label}`"), *weight);
                }
            }
            _ => {}
        }
        let wants = [InputSpec::required("logits"), InputSpec::required("labels")];
        Ok(Self { pos_weight: config.pos_weight, wants })
    }

    /// The weight of each of the classes, or none when all are 1.
    fn weights(&self, classes: &[String], count: usize) -> std::result::Result<Option<Vec<f32>>, Failure> {
        match &self.pos_weight {
            None => Ok(None),
            Some(PosWeight::All(weight)) => Ok(Some(vec![*weight as f32; count])),
            Some(PosWeight::Of(of)) => {
                let mut weights = vec![1.0; count];
                for (label, weight) in of {
                    let Some(slot) = classes.iter().position(|class| class == label).and_then(|at| weights.get_mut(at))
                    else {
                        let near = nearest(label, classes.iter().map(String::as_str));
                        let help = near.map_or_else(
                            || format!("the labels are {}", classes.join(", ")),
                            |near| format!("did you mean `{near}`?"),
                        );
                        let reason = format!("`pos_weight` names `{label}`, which is no label of the run");
                        return Err(Failure::new(NAME, RoleKind::Loss, CALL, reason).help(help));
                    };
                    *slot = *weight as f32;
                }
                Ok(Some(weights))
            }
        }
    }
}

impl Loss for BinaryCrossEntropy {
    fn name(&self) -> &str {
        NAME
    }

    fn wants(&self) -> &[InputSpec] {
        &self.wants
    }

    fn compute(&mut self, batch: &Batch, _at: &Progress) -> Result<LossOutput> {
        let logits = input(batch, NAME, RoleKind::Loss, CALL, "logits")?;
        let labels = input(batch, NAME, RoleKind::Loss, CALL, "labels")?;
        if labels.shape() != logits.shape() || labels.rank() != 2 {
            let reason = format!(
                "labels of shape {:?} for logits of shape {:?}, expected a label for each logit",
                labels.shape(),
                logits.shape()
            );
            return Err(Failure::new(NAME, RoleKind::Loss, CALL, reason));
        }
        let weights = self.weights(batch.classes(), logits.shape()[1])?;
        sums(logits, labels, weights).map_err(failed(NAME, RoleKind::Loss, CALL))
    }
}

fn sums(
    logits: &AnyTensor,
    labels: &AnyTensor,
    weights: Option<Vec<f32>>,
) -> std::result::Result<LossOutput, TensorError> {
    let device = labels.untracked().device();
    let held = match weights {
        Some(weights) => {
            let count = weights.len();
            labels.mul(&from_float32(weights, &[1, count], &device)?)?
        }
        None => labels.clone(),
    };
    let absent = labels.neg()?.add_scalar(1.0)?;
    let cost = held.mul(&logits.neg()?.softplus()?)?.add(&absent.mul(&logits.softplus()?)?)?;
    let denominator = full(&[], logits.numel() as f64, Dtype::Float32, &device)?;
    Ok(LossOutput { numerator: cost.sum(&[], false)?, denominator, reported: Vec::new() })
}

#[cfg(test)]
mod tests {
    use retune_tensor::Device;
    use serde_json::json;

    use super::*;

    const LOGITS: [f32; 6] = [0.3, -2.0, 80.0, -1.5, 4.0, -90.0];
    const LABELS: [f32; 6] = [1.0, 0.0, 1.0, 1.0, 1.0, 1.0];

    fn loss(config: serde_json::Value) -> BinaryCrossEntropy {
        BinaryCrossEntropy::new(serde_json::from_value(config).unwrap()).unwrap()
    }

    fn batch(logits: AnyTensor) -> Batch {
        let names: [String; 3] = ["rude", "spam", "threat"].map(String::from);
        Batch::new(vec!["a".into(), "b".into()])
            .of_classes(names.to_vec().into())
            .with("logits", logits)
            .with("labels", from_float32(LABELS.to_vec(), &[2, 3], &Device::flex()).unwrap())
    }

    fn leaf() -> AnyTensor {
        from_float32(LOGITS.to_vec(), &[2, 3], &Device::flex()).unwrap().leaf().unwrap()
    }

    /// In float64, by the definition; logits of ±80 and more overflow the naive form in float32.
    fn cost(x: f64, y: f64, w: f64) -> f64 {
        w * y * (-x).exp().ln_1p() + (1.0 - y) * x.exp().ln_1p()
    }

    #[test]
    fn loss_and_gradient_are_those_of_the_definition() {
        for (config, weights) in [
            (json!({}), [1.0; 3]),
            (json!({"pos_weight": 3.0}), [3.0; 3]),
            (json!({"pos_weight": {"spam": 0.5}}), [1.0, 0.5, 1.0]),
        ] {
            let leaf = leaf();
            let out = loss(config).compute(&batch(leaf.clone()), &Progress::default()).unwrap();
            assert_eq!(out.denominator.item().unwrap(), 6.0);
            let cells = || LOGITS.iter().zip(LABELS).zip(weights.iter().cycle());
            let expected: f64 = cells().map(|((x, y), w)| cost(f64::from(*x), f64::from(y), *w)).sum();
            let got = out.numerator.item().unwrap();
            assert!((got - expected).abs() < 1e-5 * expected, "{got} against {expected}");
            let gradient = out.numerator.backward().unwrap().take(&leaf).unwrap().to_float32().unwrap();
            for (got, ((x, y), w)) in gradient.iter().zip(cells()) {
                let sigmoid = 1.0 / (1.0 + (-f64::from(*x)).exp());
                let y = f64::from(y);
                let expected = (1.0 - y) * sigmoid - w * y * (1.0 - sigmoid);
                assert!((f64::from(*got) - expected).abs() < 1e-6, "{got} against {expected} at {x}");
            }
        }
    }

    #[test]
    fn a_weight_that_is_none_is_refused() {
        let refused = |config| {
            let config = serde_json::from_value(config).unwrap();
            BinaryCrossEntropy::new(config).err().unwrap().message
        };
        assert_eq!(refused(json!({"pos_weight": 0.0})), "`pos_weight` is 0; expected a number above 0");
        assert_eq!(
            refused(json!({"pos_weight": {"spam": -1.0}})),
            "`pos_weight` of `spam` is -1; expected a number above 0"
        );
        let failure =
            loss(json!({"pos_weight": {"spm": 2.0}})).compute(&batch(leaf()), &Progress::default()).unwrap_err();
        assert!(failure.to_string().ends_with("`pos_weight` names `spm`, which is no label of the run"), "{failure}");
        assert_eq!(failure.details().help.as_deref(), Some("did you mean `spam`?"));
    }

    #[test]
    fn labels_of_another_shape_are_refused() {
        let device = Device::flex();
        let batch = Batch::new(vec!["a".into(), "b".into()])
            .with("logits", leaf())
            .with("labels", from_float32(vec![0.0; 2], &[2], &device).unwrap());
        let failure = loss(json!({})).compute(&batch, &Progress::default()).unwrap_err();
        assert!(failure.to_string().contains("[2] for logits of shape [2, 3]"), "{failure}");
    }
}
