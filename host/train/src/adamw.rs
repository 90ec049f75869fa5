//! AdamW with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).
//!
//! The arithmetic, in float32, is that of `torch.optim.AdamW`:
//!
//! ```text
//! p ← p · (1 - lr·λ)
//! m ← m + (1 - β₁)(g - m)          v ← β₂·v + (1 - β₂)·g²
//! p ← p - lr/(1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + ε)
//! ```
//!
//! `t` counts the updates of one parameter: its state is made by its first
//! gradient and dropped when it is frozen. A parameter without a gradient is left
//! alone, decay included.
//!
//! Price: two numbers a learning scalar. On the CPU an update is one pass over
//! memory, in place, on all cores.

use rayon::prelude::*;
use retune_tensor::{AnyTensor, TensorError};

use crate::{
    error::TrainError,
    gradients::{BLOCK, Floats, Gradients, from_floats, into_floats, read_scalars},
    model::{Parameter, Parameters},
    spec::AdamW,
};

/// What the optimiser remembers of one parameter.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Updates so far.
    pub step: u64,
    /// Running mean of the gradient.
    pub first: Floats,
    /// Running mean of its square.
    pub second: Floats,
}

/// The rate and decay of one parameter in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Learning rate, schedule and layer scale included.
    pub learning_rate: f64,
    /// Weight decay; 0 for biases and norms.
    pub weight_decay: f64,
}

/// AdamW over all parameters of a model, by index.
#[derive(Debug)]
pub struct Optimizer {
    spec: AdamW,
    moments: Vec<Option<Moments>>,
}

/// The scalars of one update, worked out in float64 as PyTorch does.
#[derive(Clone, Copy)]
struct Coefficients {
    keep: f32,
    beta1_rest: f32,
    beta2: f32,
    beta2_rest: f32,
    step_size: f32,
    second_root: f32,
    epsilon: f32,
    gradient_scale: f32,
}

impl Optimizer {
    /// With no state yet, for `parameters` parameters.
    pub fn new(spec: AdamW, parameters: usize) -> Self {
        Self { spec, moments: (0..parameters).map(|_| None).collect() }
    }

    /// What is remembered of a parameter, when it has learnt.
    pub fn moments(&self, index: usize) -> Option<&Moments> {
        self.moments.get(index).and_then(Option::as_ref)
    }

    /// Restores what [`Optimizer::moments`] gave.
    pub fn set_moments(&mut self, index: usize, moments: Moments) {
        if let Some(slot) = self.moments.get_mut(index) {
            *slot = Some(moments);
        }
    }

    /// Drops the state of a parameter that was frozen or given new weights.
    pub fn forget(&mut self, index: usize) {
        if let Some(slot) = self.moments.get_mut(index) {
            *slot = None;
        }
    }

    /// One update from gradients that are to be multiplied by `scale`.
    ///
    /// With `measure`, gives the squared norm of each parameter's change.
    pub fn update(
        &mut self,
        parameters: &mut Parameters,
        gradients: Gradients,
        scale: f64,
        rate: impl Fn(&Parameter) -> Rate,
        measure: bool,
    ) -> Result<Vec<Option<f64>>, TrainError> {
        let mut changes = vec![None; parameters.len()];
        let mut on_device = Vec::new();
        for (index, gradient) in gradients.into_parts().into_iter().enumerate() {
            let (Some(gradient), Some(parameter)) = (gradient, parameters.at(index)) else { continue };
            if !parameter.trainable {
                continue;
            }
            let name = parameter.name.clone();
            let failed = || TrainError::tensor(format!("updating `{name}`"));
            let rate = rate(parameter);
            let moments = match &mut self.moments[index] {
                Some(moments) => moments,
                slot => slot.insert(Moments::zero_like(&gradient).map_err(failed())?),
            };
            moments.step += 1;
            let coefficients = Coefficients::new(&self.spec, rate, moments.step, scale);
            let update = |value| moments.apply(value, gradient, coefficients, measure).map_err(failed());
            match parameters.update_value(index, update)? {
                Some(Change::Known(squared)) => changes[index] = Some(squared),
                Some(Change::OnDevice(squared)) => on_device.push((index, squared)),
                None => {}
            }
        }
        let (indices, scalars): (Vec<_>, Vec<_>) = on_device.into_iter().unzip();
        let read = read_scalars(&scalars).map_err(TrainError::tensor("reading the size of the update"))?;
        for (index, squared) in indices.into_iter().zip(read) {
            changes[index] = Some(squared);
        }
        Ok(changes)
    }
}

impl Coefficients {
    fn new(spec: &AdamW, rate: Rate, step: u64, scale: f64) -> Self {
        let power = i32::try_from(step).unwrap_or(i32::MAX);
        Self {
            keep: (1.0 - rate.learning_rate * rate.weight_decay) as f32,
            beta1_rest: (1.0 - spec.beta1) as f32,
            beta2: spec.beta2 as f32,
            beta2_rest: (1.0 - spec.beta2) as f32,
            step_size: (rate.learning_rate / (1.0 - spec.beta1.powi(power))) as f32,
            second_root: (1.0 - spec.beta2.powi(power)).sqrt() as f32,
            epsilon: spec.epsilon as f32,
            gradient_scale: scale as f32,
        }
    }
}

/// The squared norm of a parameter's change.
enum Change {
    Known(f64),
    OnDevice(AnyTensor),
}

impl Moments {
    fn zero_like(gradient: &Floats) -> Result<Self, TensorError> {
        let zeros = || match gradient {
            Floats::Host(values) => Ok(Floats::Host(vec![0.0; values.len()])),
            Floats::Device(value) => value.mul_scalar(0.0).map(Floats::Device),
        };
        Ok(Self { step: 0, first: zeros()?, second: zeros()? })
    }

    fn apply(
        &mut self,
        value: AnyTensor,
        gradient: Floats,
        c: Coefficients,
        measure: bool,
    ) -> Result<(AnyTensor, Option<Change>), TensorError> {
        let (shape, device) = (value.shape(), value.device());
        match (&mut self.first, &mut self.second, gradient) {
            (Floats::Host(first), Floats::Host(second), Floats::Host(gradient)) => {
                let mut weights = into_floats(value)?;
                let blocks: Vec<f64> = weights
                    .par_chunks_mut(BLOCK)
                    .zip(first.par_chunks_mut(BLOCK))
                    .zip(second.par_chunks_mut(BLOCK))
                    .zip(gradient.par_chunks(BLOCK))
                    .map(|(((weights, first), second), gradient)| {
                        if measure {
                            update_block::<true>(weights, first, second, gradient, c)
                        } else {
                            update_block::<false>(weights, first, second, gradient, c)
                        }
                    })
                    .collect();
                let change = measure.then(|| Change::Known(blocks.iter().sum()));
                Ok((from_floats(weights, &shape, &device)?, change))
            }
            (Floats::Device(first), Floats::Device(second), Floats::Device(gradient)) => {
                let dims: Vec<i32> = shape.iter().map(|&n| n as i32).collect();
                let old = value.reshape(&[-1])?;
                let gradient = gradient.mul_scalar(f64::from(c.gradient_scale))?;
                *first = first.add(&gradient.sub(first)?.mul_scalar(f64::from(c.beta1_rest))?)?;
                let square = gradient.mul(&gradient)?.mul_scalar(f64::from(c.beta2_rest))?;
                *second = second.mul_scalar(f64::from(c.beta2))?.add(&square)?;
                let root =
                    second.sqrt()?.mul_scalar(1.0 / f64::from(c.second_root))?.add_scalar(f64::from(c.epsilon))?;
                let new =
                    old.mul_scalar(f64::from(c.keep))?.sub(&first.div(&root)?.mul_scalar(f64::from(c.step_size))?)?;
                let change = if measure {
                    let difference = new.sub(&old)?;
                    Some(Change::OnDevice(difference.mul(&difference)?.sum(&[], false)?))
                } else {
                    None
                };
                Ok((new.reshape(&dims)?, change))
            }
            _ => Err(TensorError::new("adamw", "gradient and optimiser state lie on different devices")),
        }
    }
}

/// Updates one block in place; gives the squared norm of the change when `MEASURE`.
fn update_block<const MEASURE: bool>(
    weights: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[f32],
    c: Coefficients,
) -> f64 {
    let mut squared = 0.0;
    for (((w, m), v), g) in weights.iter_mut().zip(first).zip(second).zip(gradient) {
        let g = g * c.gradient_scale;
        let old = *w;
        *m += c.beta1_rest * (g - *m);
        *v = c.beta2 * *v + c.beta2_rest * g * g;
        let root = v.sqrt() / c.second_root + c.epsilon;
        *w = old * c.keep - c.step_size * (*m / root);
        if MEASURE {
            let change = f64::from(*w - old);
            squared += change * change;
        }
    }
    squared
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use retune_tensor::{Device, from_float32};

    use super::*;

    const GRADIENTS: [[f32; 4]; 5] = [
        [0.1, -0.2, 0.3, 0.0],
        [-0.05, 0.4, 1e-3, 0.0],
        [10.0, 0.0, -0.3, 1e-6],
        [0.7, 0.7, 0.7, 0.7],
        [-1.0, 2.0, -3.0, 4.0],
    ];
    const RATES: [f64; 5] = [0.0, 0.01, 0.02, 0.015, 0.005];
    /// torch.optim.AdamW of torch 2.15.0, weight_decay 0.1, from [0.5, -1.25, 2.0, 0.03125].
    const TORCH: [[f32; 4]; 5] = [
        [0.5, -1.25, 2.0, 0.03125],
        [0.496_836_63, -1.252_411, 1.991_274_7, 0.031_218_75],
        [0.483_021_5, -1.255_566_1, 1.988_982_4, 0.018_597_461],
        [0.473_830_34, -1.262_901_4, 1.979_080_2, 0.009_852_628],
        [0.471_490_8, -1.265_784_6, 1.980_209_4, 0.006_737_894_4],
    ];

    /// Gradients given as `scale` times too small are the same as torch's.
    fn follow(make: impl Fn(Vec<f32>) -> Floats, scale: f32) {
        let device = Device::flex();
        let mut value = from_float32(vec![0.5, -1.25, 2.0, 0.03125], &[2, 2], &device).unwrap();
        let mut moments = Moments::zero_like(&make(vec![0.0; 4])).unwrap();
        let spec = AdamW::default();
        for ((gradient, learning_rate), expected) in GRADIENTS.iter().zip(RATES).zip(TORCH) {
            moments.step += 1;
            let rate = Rate { learning_rate, weight_decay: 0.1 };
            let c = Coefficients::new(&spec, rate, moments.step, f64::from(scale));
            let gradient = make(gradient.iter().map(|g| g / scale).collect());
            let before = value.to_float32().unwrap();
            let (new, change) = moments.apply(value, gradient, c, true).unwrap();
            value = new;
            assert_eq!(value.shape(), [2, 2]);
            let got = value.to_float32().unwrap();
            for (got, expected) in got.iter().zip(expected) {
                assert!(
                    (got - expected).abs() <= 2e-7 * expected.abs().max(0.1),
                    "step {}: {got} is not {expected}",
                    moments.step
                );
            }
            let squared = match change {
                Some(Change::Known(squared)) => squared,
                Some(Change::OnDevice(squared)) => squared.item().unwrap(),
                None => panic!("the change was asked for"),
            };
            let expected: f64 = got.iter().zip(&before).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            assert!((squared - expected).abs() <= 1e-6 * expected, "{squared} is not {expected}");
        }
    }

    #[test]
    fn an_update_on_the_host_is_that_of_torch() {
        follow(Floats::Host, 1.0);
        follow(Floats::Host, 0.125);
    }

    #[test]
    fn an_update_by_tensor_operations_is_that_of_torch() {
        let tensor = |values: Vec<f32>| Floats::Device(from_float32(values, &[4], &Device::flex()).unwrap());
        follow(tensor, 1.0);
        follow(tensor, 0.125);
    }
}
