//! The gradient of one optimiser step, summed over its micro-batches.
//!
//! On the CPU a gradient is a plain vector: the buffer that the backward pass
//! made is taken over without a copy, and what follows (sums, norms, the update)
//! is one pass over memory on all cores. On other devices it stays a tensor.
//! Sums of squares are taken in float64 over fixed blocks, so a norm does not
//! depend on the number of threads.

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use retune_tensor::device::is_host;
use retune_tensor::{AnyTensor, Device, TensorError, transfer};

/// Values handled together; also the unit of work of a thread.
pub(crate) const BLOCK: usize = 1 << 14;

/// Numbers that live where they are best worked on.
#[derive(Clone, Debug)]
pub enum Floats {
    /// On the CPU.
    Host(Vec<f32>),
    /// Elsewhere; a vector.
    Device(AnyTensor),
}

/// Takes a float32 tensor apart, in row-major order. Free of copies when `value`
/// is the only handle of a contiguous tensor that was made from floats, as the
/// gradients of the model's own kernels are; burn's operations make theirs from bytes.
pub fn into_floats(value: AnyTensor) -> Result<Vec<f32>, TensorError> {
    let flat: Tensor<1> = value.reshape(&[-1])?.typed()?;
    drop(value);
    match flat.into_data().try_into_vec::<f32>() {
        Ok(floats) => Ok(floats),
        Err(error) => Err(TensorError::new("read", format!("float32 values cannot be read back: {error:?}"))),
    }
}

/// A float32 tensor of `shape` on `device`, without a copy on the CPU.
pub fn from_floats(values: Vec<f32>, shape: &[usize], device: &Device) -> Result<AnyTensor, TensorError> {
    let length = values.len();
    transfer::sent::<f32>(length);
    let flat = AnyTensor::from(Tensor::<1>::from_data(TensorData::new(values, [length]), device));
    let shape: Vec<i32> = shape.iter().map(|&n| n as i32).collect();
    flat.reshape(&shape)
}

impl Floats {
    /// Takes over `value`, as a vector.
    pub fn new(value: AnyTensor) -> Result<Self, TensorError> {
        if is_host(&value.device()) {
            into_floats(value).map(Self::Host)
        } else {
            value.reshape(&[-1]).map(Self::Device)
        }
    }

    /// The numbers, on the host.
    pub fn to_vec(&self) -> Result<Vec<f32>, TensorError> {
        match self {
            Self::Host(values) => Ok(values.clone()),
            Self::Device(value) => value.to_float32(),
        }
    }

    /// For numbers on a device; see [`Gradients::add`] for those on the host.
    fn add(&mut self, other: Self) -> Result<(), TensorError> {
        match (self, other) {
            (Self::Device(sum), Self::Device(part)) => *sum = sum.add(&part)?,
            _ => return Err(TensorError::new("add", "gradients of one parameter lie on different devices")),
        }
        Ok(())
    }
}

/// One slot a parameter, in the parameters' order; `None` where there is no gradient.
#[derive(Clone, Debug, Default)]
pub struct Gradients(Vec<Option<Floats>>);

impl Gradients {
    /// No gradient yet, for `parameters` parameters.
    pub fn none(parameters: usize) -> Self {
        Self(vec![None; parameters])
    }

    /// Adds what one backward pass gave.
    pub fn add(&mut self, parts: Vec<Option<AnyTensor>>) -> Result<(), TensorError> {
        let mut on_host = Vec::new();
        for (sum, part) in self.0.iter_mut().zip(parts) {
            let Some(part) = part else { continue };
            match (sum, Floats::new(part)?) {
                (Some(Floats::Host(sum)), Floats::Host(part)) => on_host.push((sum, part)),
                (Some(sum), part) => sum.add(part)?,
                (sum, part) => *sum = Some(part),
            }
        }
        // The pieces of all parameters at once, with no wait between one and the next.
        let pieces = on_host.iter_mut().flat_map(|(sum, part)| sum.chunks_mut(BLOCK).zip(part.chunks(BLOCK)));
        pieces.collect::<Vec<_>>().into_par_iter().for_each(|(sum, part)| {
            for (s, p) in sum.iter_mut().zip(part) {
                *s += p;
            }
        });
        Ok(())
    }

    /// In the parameters' order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&Floats>> {
        self.0.iter().map(Option::as_ref)
    }

    /// In the parameters' order, for sums over workers.
    pub(crate) fn slots_mut(&mut self) -> impl Iterator<Item = &mut Option<Floats>> {
        self.0.iter_mut()
    }

    /// In the parameters' order, given away.
    pub fn into_parts(self) -> Vec<Option<Floats>> {
        self.0
    }

    /// Whether no number of any gradient is other than zero; reads one number of each that lies on a device.
    pub fn are_zero(&self) -> Result<bool, TensorError> {
        for part in self.0.iter().flatten() {
            let zero = match part {
                Floats::Host(values) => values.par_iter().all(|value| *value == 0.0),
                Floats::Device(value) => value.eq_scalar(0.0)?.all(&[], false)?.item()? != 0.0,
            };
            if !zero {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sum of squares of each gradient; one readback in all.
    pub fn squared_norms(&self) -> Result<Vec<Option<f64>>, TensorError> {
        let mut on_device = Vec::new();
        for part in self.0.iter().flatten() {
            if let Floats::Device(value) = part {
                on_device.push(value.mul(value)?.sum(&[], false)?);
            }
        }
        let mut read = read_scalars(&on_device)?.into_iter();
        // The pieces of all gradients at once, with no wait between one and the next.
        let pieces: Vec<(usize, &[f32])> = self
            .0
            .iter()
            .enumerate()
            .filter_map(|(index, part)| match part {
                Some(Floats::Host(values)) => Some((index, values)),
                _ => None,
            })
            .flat_map(|(index, values)| values.chunks(BLOCK).map(move |piece| (index, piece)))
            .collect();
        let squares: Vec<f64> = pieces.par_iter().map(|(_, piece)| squared_norm_of_block(piece)).collect();
        let mut norms: Vec<Option<f64>> = self
            .0
            .iter()
            .map(|part| match part {
                Some(Floats::Host(_)) => Some(0.0),
                Some(Floats::Device(_)) => Some(read.next().unwrap_or(f64::NAN)),
                None => None,
            })
            .collect();
        for ((index, _), square) in pieces.iter().zip(squares) {
            norms[*index] = norms[*index].map(|norm| norm + square);
        }
        Ok(norms)
    }
}

fn squared_norm_of_block(block: &[f32]) -> f64 {
    const LANES: usize = 8;
    let square = |x: f32| f64::from(x) * f64::from(x);
    // Independent sums, so that additions need not wait for one another.
    let mut sums = [0.0_f64; LANES];
    let lanes = block.chunks_exact(LANES);
    let rest: f64 = lanes.remainder().iter().map(|&x| square(x)).sum();
    for lane in lanes {
        for (sum, &x) in sums.iter_mut().zip(lane) {
            *sum += square(x);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Sum of squares, in float64, the same on any number of threads.
pub fn squared_norm(values: &[f32]) -> f64 {
    let blocks: Vec<f64> = values.par_chunks(BLOCK).map(squared_norm_of_block).collect();
    blocks.iter().sum()
}

/// Scalars of shape `[]`, read back in one go.
pub fn read_scalars(scalars: &[AnyTensor]) -> Result<Vec<f64>, TensorError> {
    let Some(first) = scalars.first() else { return Ok(Vec::new()) };
    if is_host(&first.device()) {
        return scalars.iter().map(AnyTensor::item).collect();
    }
    let floats: Vec<AnyTensor> =
        scalars.iter().map(|s| s.untracked().cast(retune_tensor::Dtype::Float32)).collect::<Result<_, _>>()?;
    let together = retune_tensor::stack(&floats.iter().collect::<Vec<_>>(), 0)?;
    Ok(together.to_float32()?.into_iter().map(f64::from).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_squared_norm_is_the_sum_of_squares(values in prop::collection::vec(-100_f32..100.0, 0..70)) {
            let plain: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
            prop_assert!((squared_norm(&values) - plain).abs() <= 1e-9 * plain.max(1.0));
        }
    }

    #[test]
    fn a_gradient_is_zero_when_all_its_numbers_are_however_small_their_squares() {
        let tensor = |values: &[f32]| from_floats(values.to_vec(), &[values.len()], &Device::flex()).unwrap();
        for (values, zero) in [([0.0, -0.0], true), ([0.0, 1e-40], false)] {
            let mut host = Gradients::none(2);
            host.add(vec![None, Some(tensor(&values))]).unwrap();
            let device = Gradients(vec![Some(Floats::Device(tensor(&values))), None]);
            assert_eq!([host, device].map(|gradients| gradients.are_zero().unwrap()), [zero; 2], "{values:?}");
        }
    }

    #[test]
    fn gradients_of_tensors_on_a_device_are_summed_and_measured_like_those_on_the_host() {
        let tensor = |values: &[f32]| from_floats(values.to_vec(), &[values.len()], &Device::flex()).unwrap();
        let mut host = Gradients::none(2);
        let mut device = Gradients(vec![Some(Floats::Device(tensor(&[1.0, 2.0]))), None]);
        host.add(vec![Some(tensor(&[1.0, 2.0])), None]).unwrap();
        host.add(vec![Some(tensor(&[2.0, 2.0])), None]).unwrap();
        if let Some(sum) = &mut device.0[0] {
            sum.add(Floats::Device(tensor(&[2.0, 2.0]))).unwrap();
        }
        for gradients in [host, device] {
            assert_eq!(gradients.squared_norms().unwrap(), [Some(25.0), None]);
            assert_eq!(gradients.iter().next().unwrap().unwrap().to_vec().unwrap(), [3.0, 4.0]);
            assert!(!gradients.are_zero().unwrap());
        }
    }
}
