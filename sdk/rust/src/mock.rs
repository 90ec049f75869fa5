//! The host, as far as a plugin's logic needs one: tensors, batches, logging.
//!
//! Eager, on the CPU, every array contiguous, every element rounded to its type (see [`precision`]): a
//! float32 that overflows on the host is infinite here too. The
//! rules are those of `wit/tensor.wit`; what a host would answer with a trap
//! panics here, at the plugin's line. Price: no gradients, integers that are exact to 2⁵³ only, and speed that
//! suits tests only.

pub mod fused;
pub mod logging;
pub mod tokenizer;

mod elementwise;
mod geometry;
mod make;
mod precision;
mod reduce;
mod select;
mod shape;

#[cfg(test)]
mod tests;

use std::rc::Rc;

pub use make::{arange, cat, eye, from_float32, from_int64, full, normal, stack, uniform};

use crate::{Dtype, Error};

/// An array. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Rc<Vec<f64>>,
    pub(crate) dtype: Dtype,
}

/// Named arrays.
#[derive(Clone, Debug, Default)]
pub struct Batch(pub(crate) Vec<(String, Tensor)>);

impl Batch {
    pub fn get(&self, name: &str) -> Option<Tensor> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, tensor)| tensor.clone())
    }
}

/// What the host would trap on.
#[track_caller]
#[cold]
#[allow(clippy::panic, reason = "the counterpart of a trap, in tests only")]
fn violation(operation: &str, why: impl std::fmt::Display) -> ! {
    panic!("`{operation}`: {why}")
}

impl Tensor {
    /// A tensor of these elements, each rounded to its type.
    pub(crate) fn make(shape: Vec<usize>, mut data: Vec<f64>, dtype: Dtype) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        data.iter_mut().for_each(|x| *x = precision::round(*x, dtype));
        Self { shape, data: Rc::new(data), dtype }
    }

    pub fn shape(&self) -> Vec<u32> {
        self.shape.iter().map(|size| *size as u32).collect()
    }

    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub fn numel(&self) -> u64 {
        self.data.len() as u64
    }

    pub fn to_float32(&self) -> Result<Vec<f32>, Error> {
        Ok(self.data.iter().map(|x| *x as f32).collect())
    }

    pub fn to_int64(&self) -> Result<Vec<i64>, Error> {
        Ok(self.data.iter().map(|x| *x as i64).collect())
    }

    pub fn item(&self) -> Result<f64, Error> {
        match self.data.as_slice() {
            [only] => Ok(*only),
            _ => Err(Error::input(format!("`item` wants one element, this tensor has shape {:?}", self.shape))),
        }
    }

    pub fn detach(&self) -> Self {
        self.clone()
    }

    #[track_caller]
    fn must_be_float(&self, operation: &str) {
        if !self.dtype.is_float() {
            violation(operation, format_args!("wants a float tensor, this one is {}; `cast` it first", self.dtype));
        }
    }

    #[track_caller]
    fn must_be_bool(&self, operation: &str) {
        if self.dtype != Dtype::Boolean {
            violation(operation, format_args!("wants a boolean tensor, this one is {}", self.dtype));
        }
    }

    #[track_caller]
    fn must_be_number(&self, operation: &str) {
        if self.dtype == Dtype::Boolean {
            violation(operation, "wants numbers, this tensor is boolean; `cast` it first");
        }
    }

    #[track_caller]
    fn must_be_int(&self, operation: &str, what: &str) {
        if !self.dtype.is_int() {
            violation(operation, format_args!("{what} has to be of integers, it is {}", self.dtype));
        }
    }
}
