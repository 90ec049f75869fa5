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
//! its gradient is zero too, only decay is applied, which is what the formulas give, to the bit. The sweep sees whether a new
//! weight is not finite while it is in the cache; on another device that is asked before weights are written.
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

/// What an update came to.
#[derive(Debug, Default)]
pub struct Updated {
    /// Squared norm of each parameter's change, where that was measured.
    pub changes: Vec<Option<f64>>,
    /// The first parameter with a weight that is no finite number, as far as the sweep saw one.
    pub not_finite: Option<usize>,
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
    /// With `measure`, gives the squared norm of each parameter's change. Weights that became infinite or no number are in the
    /// model when this returns: whoever called throws it away.
    pub fn update(
        &mut self,
        parameters: &mut Parameters,
        gradients: Gradients,
        scale: f64,
        rate: impl Fn(&Parameter) -> Rate,
        measure: bool,
    ) -> Result<Updated, TrainError> {
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
        let swept = sweep(&mut on_host, measure)?;
        let not_finite = swept.iter().filter(|(_, swept)| !swept.finite).map(|(index, _)| *index).min();
        for learning in on_host {
            let Learning { index, weights, shape, device, gradient, .. } = learning;
            drop(gradient);
            let value = from_floats(weights, &shape, &device).map_err(TrainError::tensor("updating a parameter"))?;
            parameters.set_value(index, value)?;
            changes[index] = measure.then_some(0.0);
        }
        if measure {
            // Pieces are in order, so that sums do not depend on threads.
            for (index, swept) in swept {
                changes[index] = Some(changes[index].unwrap_or(0.0) + swept.squared);
            }
        }
        let (indices, scalars): (Vec<_>, Vec<_>) = on_device.into_iter().unzip();
        let read = read_scalars(&scalars).map_err(TrainError::tensor("reading the size of the update"))?;
        for (index, squared) in indices.into_iter().zip(read) {
            changes[index] = Some(squared);
        }
        Ok(Updated { changes, not_finite })
    }
}

/// What the sweep of a piece came to.
#[derive(Clone, Copy)]
struct Swept {
    /// Squared norm of the change, where it was measured.
    squared: f64,
    /// All weights are finite.
    finite: bool,
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

/// Updates all of them; gives what each piece came to, in order.
fn sweep(on_host: &mut [Learning], measure: bool) -> Result<Vec<(usize, Swept)>, TrainError> {
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
    /// Measures the change when `MEASURE`.
    fn update<const MEASURE: bool>(self) -> Swept {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2")]
            fn wide<const MEASURE: bool>(piece: Piece) -> Swept {
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
    fn update_groups<const MEASURE: bool>(self) -> Swept {
        let Self { weights, first, second, moved, gradient, coefficients: c, .. } = self;
        let (mut squared, mut largest) = (0.0, 0);
        let groups = weights.chunks_mut(GROUP).zip(gradient.chunks(GROUP)).zip(moved);
        for (group, ((weights, gradient), moved)) in groups.enumerate() {
            *moved |= !all_zero(gradient);
            if *moved || c.epsilon == 0.0 {
                let part = group * GROUP..group * GROUP + weights.len();
                let moments = (&mut first[part.clone()], &mut second[part]);
                squared += update_block::<MEASURE>(weights, moments, gradient, c, &mut largest);
            } else {
                squared += decay_block::<MEASURE>(weights, c.keep, &mut largest);
            }
        }
        Swept { squared, finite: largest < INFINITE }
    }
}

/// The bits of an infinite value without its sign; those of what is no number are greater, all others less.
const INFINITE: u32 = 0x7f80_0000;

/// The bits of a value without its sign, in the order of magnitudes.
#[inline(always)]
fn magnitude(value: f32) -> u32 {
    value.to_bits() & !(1 << 31)
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
fn decay_block<const MEASURE: bool>(weights: &mut [f32], keep: f32, largest: &mut u32) -> f64 {
    let (mut squared, mut most) = (0.0, *largest);
    for w in weights {
        let old = *w;
        *w = old * keep;
        most = most.max(magnitude(*w));
        if MEASURE {
            let change = f64::from(*w - old);
            squared += change * change;
        }
    }
    *largest = most;
    squared
}

/// Updates one block in place, and `largest` by the magnitudes of its weights; gives the squared norm of the change when `MEASURE`.
#[inline(always)]
fn update_block<const MEASURE: bool>(
    weights: &mut [f32],
    (first, second): (&mut [f32], &mut [f32]),
    gradient: &[f32],
    c: Coefficients,
    largest: &mut u32,
) -> f64 {
    let (mut squared, mut most) = (0.0, *largest);
    for (((w, m), v), g) in weights.iter_mut().zip(first).zip(second).zip(gradient) {
        let g = g * c.gradient_scale;
        let old = *w;
        *m += c.beta1_rest * (g - *m);
        *v = c.beta2 * *v + c.beta2_rest * g * g;
        let root = v.sqrt() / c.second_root + c.epsilon;
        *w = old * c.keep - c.step_size * (*m / root);
        most = most.max(magnitude(*w));
        if MEASURE {
            let change = f64::from(*w - old);
            squared += change * change;
        }
    }
    *largest = most;
    squared
}

#[cfg(test)]
#[path = "adamw_tests.rs"]
mod tests;
