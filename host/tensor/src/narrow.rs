//! Matrices that are kept in bfloat16 and computed with in float32.
//!
//! A bfloat16 is the upper half of a float32, so widening is exact: a product with a narrow matrix gives the bits that the
//! wide one gives. What does not change may be kept so, at half the memory.
//!
//! Price: a kernel widens what it reads, each time: 6 bytes of memory traffic an element.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, FloatDType, bf16};
use rayon::prelude::*;

use crate::any::AnyTensor;
use crate::dtype::Dtype;
use crate::error::Result;

/// Elements a thread widens at a time.
const PIECE: usize = 1 << 14;

/// The same numbers in float32.
pub fn widen(values: &[bf16]) -> Vec<f32> {
    let mut wide = vec![0.0; values.len()];
    widen_into(values, &mut wide);
    wide
}

/// [`widen`] into memory that is there, as long as `values`.
pub(crate) fn widen_into(values: &[bf16], to: &mut [f32]) {
    let each = |(to, values): (&mut [f32], &[bf16])| {
        for (to, value) in to.iter_mut().zip(values) {
            *to = f32::from_bits(u32::from(value.to_bits()) << 16);
        }
    };
    if values.len() <= PIECE {
        each((to, values));
    } else {
        to.par_chunks_mut(PIECE).zip(values.par_chunks(PIECE)).for_each(each);
    }
}

/// A matrix on any device for a product with `other`: in float32 where only the matrix is bfloat16.
pub fn widened<B: Backend>(matrix: FloatTensor<B>, other: DType) -> FloatTensor<B> {
    if (matrix.dtype(), other) == (DType::BF16, DType::F32) { B::float_cast(matrix, FloatDType::F32) } else { matrix }
}

impl AnyTensor {
    /// The same numbers in bfloat16, when each of them is one: `None` when bits would be lost, or the tensor is not float32.
    ///
    /// # Errors
    /// When the device fails.
    pub fn narrowed(&self) -> Result<Option<Self>> {
        if self.dtype() != Dtype::Float32 {
            return Ok(None);
        }
        let values = self.to_float32()?;
        // A NaN is not worth keeping exactly: its low bits may matter to nobody, but its being told apart from infinity does.
        if values.par_iter().any(|value| value.to_bits() & 0xffff != 0 || value.is_nan()) {
            return Ok(None);
        }
        drop(values);
        self.cast(Dtype::Bfloat16).map(Some)
    }

    /// The same numbers in float32, for an operation that asks for one type; itself when it is not bfloat16.
    ///
    /// # Errors
    /// When the device fails.
    pub fn widened(&self) -> Result<Self> {
        if self.dtype() == Dtype::Bfloat16 { self.cast(Dtype::Float32) } else { Ok(self.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, from_float32};

    fn made(values: Vec<f32>) -> AnyTensor {
        let length = values.len();
        from_float32(values, &[length], &Device::flex()).unwrap()
    }

    #[test]
    fn every_bfloat16_is_widened_to_the_float32_that_half_says() {
        let all: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
        for (wide, narrow) in widen(&all).iter().zip(&all) {
            assert!(wide.to_bits() == narrow.to_f32().to_bits() || (wide.is_nan() && narrow.is_nan()), "{narrow}");
        }
    }

    #[test]
    fn only_what_loses_nothing_is_narrowed() {
        let exact = made(vec![0.0, -0.0, 1.0, -0.15625, 256.0, f32::INFINITY]);
        let narrow = exact.narrowed().unwrap().unwrap();
        assert_eq!((narrow.dtype(), narrow.byte_len()), (Dtype::Bfloat16, 12));
        assert_eq!(narrow.widened().unwrap().to_float32().unwrap(), exact.to_float32().unwrap());
        assert!(made(vec![1.0, 0.1]).narrowed().unwrap().is_none());
        assert!(made(vec![f32::NAN]).narrowed().unwrap().is_none());
        assert!(narrow.narrowed().unwrap().is_none());
    }
}
