//! The processes that train together.
//!
//! Data order, dropout, sums and decisions are defined over `rank` and `size`; one
//! process is the case of size one, where every sum is the number itself. What is
//! summed is always numerators, denominators and gradients of numerators, so the
//! number of workers never changes the loss.

use crate::{error::TrainError, optimizer::gradients::Gradients};

/// One process among those that train together.
pub trait Workers {
    /// Which one this is, from 0.
    fn rank(&self) -> usize;
    /// How many there are.
    fn size(&self) -> usize;
    /// Replaces each number by its sum over all workers.
    fn sum(&self, values: &mut [f64]) -> Result<(), TrainError>;
    /// Replaces each gradient by its sum over all workers; one that is missing counts as zero.
    fn sum_gradients(&self, gradients: &mut Gradients) -> Result<(), TrainError>;
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

    fn sum(&self, _values: &mut [f64]) -> Result<(), TrainError> {
        Ok(())
    }

    fn sum_gradients(&self, _gradients: &mut Gradients) -> Result<(), TrainError> {
        Ok(())
    }
}
