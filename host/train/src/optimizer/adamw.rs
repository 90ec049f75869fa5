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
//! On the CPU all parameters are one sweep: their pieces go to all cores together, in
//! place, with no wait between one parameter and the next. A group of scalars that never had a
//! gradient, such as the row of a token that no text has, has zero moments; while
//! its gradient is zero too, only decay is applied, which is what the formulas give, to the bit.
//!
//! Price: two numbers a learning scalar, in memory that is touched by the first gradient. A
//! scalar costs seven reads and writes, one of a group without moments three.

use rayon::prelude::*;
use retune_tensor::{AnyTensor, Device, TensorError};

use crate::{
    error::TrainError,
    model::{Parameter, Parameters},
    optimizer::gradients::{BLOCK, Floats, Gradients, from_floats, into_floats, read_scalars},
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
    states: Vec<Option<State>>,
}

/// Scalars that are left out together while they have no moments.
const GROUP: usize = 64;

#[derive(Debug)]
struct State {
    moments: Moments,
    /// For each group on the host, whether any of its moments is not zero.
    moved: Vec<bool>,
}

impl State {
    fn new(moments: Moments) -> Self {
        let moved = match (&moments.first, &moments.second) {
            (Floats::Host(first), Floats::Host(second)) => {
                let groups = first.par_chunks(GROUP).zip(second.par_chunks(GROUP));
                groups.map(|(first, second)| !(all_zero(first) && all_zero(second))).collect()
            }
            _ => Vec::new(),
        };
        Self { moments, moved }
    }
}

/// Everything that one piece of the sweep reads and writes.
struct Piece<'a> {
    parameter: usize,
    weights: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    moved: &'a mut [bool],
    gradient: &'a [f32],
    coefficients: Coefficients,
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
        Self { spec, states: (0..parameters).map(|_| None).collect() }
    }

    /// What is remembered of a parameter, when it has learnt.
    pub fn moments(&self, index: usize) -> Option<&Moments> {
        self.states.get(index)?.as_ref().map(|state| &state.moments)
    }

    /// Restores what [`Optimizer::moments`] gave.
    pub fn set_moments(&mut self, index: usize, moments: Moments) {
        if let Some(slot) = self.states.get_mut(index) {
            *slot = Some(State::new(moments));
        }
    }

    /// Drops the state of a parameter that was frozen or given new weights.
    pub fn forget(&mut self, index: usize) {
        if let Some(slot) = self.states.get_mut(index) {
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
        let (mut on_host, mut on_device) = (Vec::new(), Vec::new());
        let slots = self.states.iter_mut().zip(gradients.into_parts()).enumerate();
        for (index, (slot, gradient)) in slots {
            let (Some(gradient), Some(parameter)) = (gradient, parameters.at(index)) else { continue };
            if !parameter.trainable {
                continue;
            }
            let (name, rate) = (parameter.name.clone(), rate(parameter));
            let failed = || TrainError::tensor(format!("updating `{name}`"));
            let state = match slot {
                Some(state) => state,
                slot => slot.insert(State::new(Moments::zero_like(&gradient).map_err(failed())?)),
            };
            state.moments.step += 1;
            let coefficients = Coefficients::new(&self.spec, rate, state.moments.step, scale);
            match gradient {
                Floats::Host(gradient) => {
                    let value = parameters.take_value(index)?;
                    let (shape, device) = (value.shape(), value.device());
                    let weights = into_floats(value).map_err(failed())?;
                    on_host.push(Learning { index, weights, shape, device, gradient, state, coefficients });
                }
                Floats::Device(gradient) => {
                    let moments = &mut state.moments;
                    let update = |value| moments.apply(value, gradient, coefficients, measure).map_err(failed());
                    on_device.extend(parameters.update_value(index, update)?.map(|squared| (index, squared)));
                }
            }
        }
        let squares = sweep(&mut on_host, measure)?;
        for learning in on_host {
            let Learning { index, weights, shape, device, gradient, .. } = learning;
            drop(gradient);
            let value = from_floats(weights, &shape, &device).map_err(TrainError::tensor("updating a parameter"))?;
            parameters.set_value(index, value)?;
            changes[index] = measure.then_some(0.0);
        }
        if measure {
            // Pieces are in order, so that sums do not depend on threads.
            for (index, squared) in squares {
                changes[index] = Some(changes[index].unwrap_or(0.0) + squared);
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

/// A parameter on the host, taken apart for the sweep.
struct Learning<'a> {
    index: usize,
    weights: Vec<f32>,
    shape: Vec<usize>,
    device: Device,
    gradient: Vec<f32>,
    state: &'a mut State,
    coefficients: Coefficients,
}

/// Updates all of them; gives the squared norm of each piece's change, in order.
fn sweep(on_host: &mut [Learning], measure: bool) -> Result<Vec<(usize, f64)>, TrainError> {
    let mut pieces = Vec::new();
    for learning in on_host {
        let State { moments, moved } = &mut *learning.state;
        let (Floats::Host(first), Floats::Host(second)) = (&mut moments.first, &mut moments.second) else {
            let error = TensorError::new("adamw", "gradient and optimiser state lie on different devices");
            return Err(TrainError::tensor("updating a parameter")(error));
        };
        let moments = first.chunks_mut(BLOCK).zip(second.chunks_mut(BLOCK)).zip(moved.chunks_mut(BLOCK / GROUP));
        let values = learning.weights.chunks_mut(BLOCK).zip(learning.gradient.chunks(BLOCK));
        pieces.extend(values.zip(moments).map(|((weights, gradient), ((first, second), moved))| Piece {
            parameter: learning.index,
            weights,
            first,
            second,
            moved,
            gradient,
            coefficients: learning.coefficients,
        }));
    }
    let update = |piece: Piece| {
        let parameter = piece.parameter;
        (parameter, if measure { piece.update::<true>() } else { piece.update::<false>() })
    };
    Ok(pieces.into_par_iter().map(update).collect())
}

impl Piece<'_> {
    /// Gives the squared norm of the change when `MEASURE`.
    fn update<const MEASURE: bool>(self) -> f64 {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2")]
            fn wide<const MEASURE: bool>(piece: Piece) -> f64 {
                piece.update_groups::<MEASURE>()
            }
            if std::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has been asked whether it has AVX2.
                return unsafe { wide::<MEASURE>(self) };
            }
        }
        self.update_groups::<MEASURE>()
    }

    #[inline(always)]
    fn update_groups<const MEASURE: bool>(self) -> f64 {
        let Self { weights, first, second, moved, gradient, coefficients: c, .. } = self;
        let mut squared = 0.0;
        let groups = weights.chunks_mut(GROUP).zip(gradient.chunks(GROUP)).zip(moved);
        for (group, ((weights, gradient), moved)) in groups.enumerate() {
            *moved |= !all_zero(gradient);
            if *moved || c.epsilon == 0.0 {
                let part = group * GROUP..group * GROUP + weights.len();
                squared += update_block::<MEASURE>(weights, &mut first[part.clone()], &mut second[part], gradient, c);
            } else {
                squared += decay_block::<MEASURE>(weights, c.keep);
            }
        }
        squared
    }
}

#[inline(always)]
fn all_zero(values: &[f32]) -> bool {
    // Without the sign: a zero may be negative.
    values.iter().fold(0, |bits, value| bits | value.to_bits() << 1) == 0
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

impl Moments {
    fn zero_like(gradient: &Floats) -> Result<Self, TensorError> {
        let zeros = || match gradient {
            Floats::Host(values) => Ok(Floats::Host(vec![0.0; values.len()])),
            Floats::Device(value) => value.mul_scalar(0.0).map(Floats::Device),
        };
        Ok(Self { step: 0, first: zeros()?, second: zeros()? })
    }

    /// An update by tensor operations; gives the squared norm of the change when asked to `measure`.
    fn apply(
        &mut self,
        value: AnyTensor,
        gradient: AnyTensor,
        c: Coefficients,
        measure: bool,
    ) -> Result<(AnyTensor, Option<AnyTensor>), TensorError> {
        let (Floats::Device(first), Floats::Device(second)) = (&mut self.first, &mut self.second) else {
            return Err(TensorError::new("adamw", "gradient and optimiser state lie on different devices"));
        };
        let dims: Vec<i32> = value.shape().iter().map(|&n| n as i32).collect();
        let old = value.reshape(&[-1])?;
        let gradient = gradient.mul_scalar(f64::from(c.gradient_scale))?;
        *first = first.add(&gradient.sub(first)?.mul_scalar(f64::from(c.beta1_rest))?)?;
        let square = gradient.mul(&gradient)?.mul_scalar(f64::from(c.beta2_rest))?;
        *second = second.mul_scalar(f64::from(c.beta2))?.add(&square)?;
        let root = second.sqrt()?.mul_scalar(1.0 / f64::from(c.second_root))?.add_scalar(f64::from(c.epsilon))?;
        let new = old.mul_scalar(f64::from(c.keep))?.sub(&first.div(&root)?.mul_scalar(f64::from(c.step_size))?)?;
        let change = if measure {
            let difference = new.sub(&old)?;
            Some(difference.mul(&difference)?.sum(&[], false)?)
        } else {
            None
        };
        Ok((new.reshape(&dims)?, change))
    }
}

/// What [`update_block`] does where moments and gradient are zero.
#[inline(always)]
fn decay_block<const MEASURE: bool>(weights: &mut [f32], keep: f32) -> f64 {
    let mut squared = 0.0;
    for w in weights {
        let old = *w;
        *w = old * keep;
        if MEASURE {
            let change = f64::from(*w - old);
            squared += change * change;
        }
    }
    squared
}

/// Updates one block in place; gives the squared norm of the change when `MEASURE`.
#[inline(always)]
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

    /// Gradients given as `scale` times too small are the same as torch's. `update` gives value and change.
    fn follow(scale: f32, mut update: impl FnMut(Vec<f32>, Vec<f32>, Coefficients) -> (Vec<f32>, f64)) {
        let mut value = vec![0.5, -1.25, 2.0, 0.03125];
        let spec = AdamW::default();
        for (step, ((gradient, learning_rate), expected)) in (1..).zip(GRADIENTS.iter().zip(RATES).zip(TORCH)) {
            let rate = Rate { learning_rate, weight_decay: 0.1 };
            let c = Coefficients::new(&spec, rate, step, f64::from(scale));
            let before = value.clone();
            let (got, squared) = update(value, gradient.iter().map(|g| g / scale).collect(), c);
            for (got, expected) in got.iter().zip(expected) {
                assert!(
                    (got - expected).abs() <= 2e-7 * expected.abs().max(0.1),
                    "step {step}: {got} is not {expected}"
                );
            }
            let expected: f64 = got.iter().zip(&before).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            assert!((squared - expected).abs() <= 1e-6 * expected, "{squared} is not {expected}");
            value = got;
        }
    }

    fn on_host(
        state: &mut State,
        weights: Vec<f32>,
        gradient: Vec<f32>,
        coefficients: Coefficients,
    ) -> (Vec<f32>, f64) {
        let (shape, device) = (vec![weights.len()], Device::flex());
        let mut all = [Learning { index: 0, weights, shape, device, gradient, state, coefficients }];
        let squared = sweep(&mut all, true).unwrap().iter().map(|(_, squared)| squared).sum();
        let [learning] = all;
        (learning.weights, squared)
    }

    #[test]
    fn an_update_on_the_host_is_that_of_torch() {
        for scale in [1.0, 0.125] {
            let mut state = State::new(Moments::zero_like(&Floats::Host(vec![0.0; 4])).unwrap());
            follow(scale, |value, gradient, c| on_host(&mut state, value, gradient, c));
        }
    }

    #[test]
    fn an_update_by_tensor_operations_is_that_of_torch() {
        let tensor = |values: Vec<f32>| from_float32(values, &[2, 2], &Device::flex()).unwrap();
        let flat = |values: Vec<f32>| from_float32(values, &[4], &Device::flex()).unwrap();
        for scale in [1.0, 0.125] {
            let mut moments = Moments::zero_like(&Floats::Device(flat(vec![0.0; 4]))).unwrap();
            follow(scale, |value, gradient, c| {
                let (new, change) = moments.apply(tensor(value), flat(gradient), c, true).unwrap();
                assert_eq!(new.shape(), [2, 2]);
                (new.to_float32().unwrap(), change.unwrap().item().unwrap())
            });
        }
    }

    /// Lengths that no group and no piece divides; the gradient begins in one group at a time.
    #[test]
    fn groups_without_moments_are_updated_to_the_same_bits_as_all_others() {
        let length = 2 * BLOCK + 3 * GROUP + 5;
        let spec = AdamW::default();
        let zeros = || State::new(Moments::zero_like(&Floats::Host(vec![0.0; length])).unwrap());
        let (mut left_out, mut plain) = (zeros(), zeros());
        let weights: Vec<f32> = (0..length).map(|i| (i as f32 * 0.37).sin()).collect();
        let (mut found, mut expected) = (weights.clone(), weights);
        for step in 1..5usize {
            let mut gradient = vec![0.0; length];
            let from = [0, BLOCK + 7 * GROUP + 1, length - 3, 40][step - 1];
            gradient[from..(from + 9).min(length)].fill(0.3 * step as f32);
            gradient[GROUP * 11] = -0.0;
            let c = Coefficients::new(&spec, Rate { learning_rate: 0.01, weight_decay: 0.1 }, step as u64, 0.5);
            // As if every group had moments.
            plain.moved.fill(true);
            let a = on_host(&mut left_out, found, gradient.clone(), c);
            let b = on_host(&mut plain, expected, gradient, c);
            assert!((a.1 - b.1).abs() <= 1e-12 * b.1);
            (found, expected) = (a.0, b.0);
            assert_eq!(found, expected, "step {step}");
        }
        assert!(left_out.moved.iter().filter(|moved| **moved).count() <= 8);
        for (a, b) in
            [(&left_out.moments.first, &plain.moments.first), (&left_out.moments.second, &plain.moments.second)]
        {
            assert_eq!(a.to_vec().unwrap(), b.to_vec().unwrap());
        }
        assert_eq!(State::new(left_out.moments.clone()).moved, left_out.moved);
    }
}
