//! The processes that train together.
//!
//! Data order, dropout, sums and decisions are defined over `rank` and `size`; one
//! process is the case of size one, where every sum is the number itself. What is
//! summed is always numerators, denominators and gradients of numerators, so the
//! number of workers never changes the loss.
//!
//! Every worker makes the same calls in the same order, also one that has no row of a
//! step or that cannot go on: it says so in the call, and all stop together. No worker waits
//! for one that has left.
//!
//! Price: one small message per step, one sum per parameter that learns, and every worker
//! evaluates the whole validation set. Checkpoints are written by rank 0, into a directory that all read.

use crate::{
    error::TrainError,
    model::Parameters,
    optimizer::gradients::{Floats, Gradients, from_floats},
};

/// One process among those that train together: the collective operations it takes part in.
pub trait Workers {
    /// Which one this is, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// What each worker gave, in the order of ranks.
    ///
    /// # Errors
    /// When a worker has left.
    fn gather(&self, message: Vec<u8>) -> Result<Vec<Vec<u8>>, TrainError>;

    /// Replaces each number by its sum over all workers, the same on each to the bit. All give equally many.
    ///
    /// # Errors
    /// When a worker has left.
    fn sum(&self, values: &mut [f32]) -> Result<(), TrainError>;
}

/// The only process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Workers for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn gather(&self, message: Vec<u8>) -> Result<Vec<Vec<u8>>, TrainError> {
        Ok(vec![message])
    }

    fn sum(&self, _values: &mut [f32]) -> Result<(), TrainError> {
        Ok(())
    }
}

/// Whether any worker says yes; all hear the same answer.
pub(crate) fn any(workers: &dyn Workers, yes: bool) -> Result<bool, TrainError> {
    if workers.size() == 1 {
        return Ok(yes);
    }
    Ok(workers.gather(vec![u8::from(yes)])?.iter().any(|said| said.first() == Some(&1)))
}

/// Replaces each gradient that any worker has by its sum; a worker that has none counts as zero.
/// `present` says for each parameter whether any has one.
pub(crate) fn sum_gradients(
    workers: &dyn Workers,
    parameters: &Parameters,
    gradients: &mut Gradients,
    present: &[bool],
) -> Result<(), TrainError> {
    if workers.size() == 1 {
        return Ok(());
    }
    for ((slot, parameter), _) in gradients.slots_mut().zip(parameters).zip(present).filter(|(_, present)| **present) {
        let failed = || TrainError::tensor(format!("summing the gradient of `{}`", parameter.name));
        match slot {
            Some(Floats::Host(values)) => workers.sum(values)?,
            Some(Floats::Device(value)) => {
                let mut values = value.to_float32().map_err(failed())?;
                workers.sum(&mut values)?;
                let length = values.len();
                *value = from_floats(values, &[length], &value.device()).map_err(failed())?;
            }
            None => {
                let mut values = vec![0.0; parameter.numel() as usize];
                workers.sum(&mut values)?;
                let shape = [values.len()];
                let sum = from_floats(values, &shape, &parameter.value.device()).map_err(failed())?;
                *slot = Some(Floats::new(sum).map_err(failed())?);
            }
        }
    }
    Ok(())
}
