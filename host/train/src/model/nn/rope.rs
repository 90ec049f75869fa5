//! Rotary positions (Su et al. 2021), in the half-split order of Hugging Face:
//! component `i` of a head turns with component `i + head_dim / 2`.

use burn::tensor::{Tensor, TensorData};
use retune_tensor::Device;

use super::kernels;

/// Cosines and sines of the positions of one batch.
#[derive(Clone, Debug)]
pub(in crate::model) struct Rope {
    /// `[seq, head_dim / 2]`.
    cos: Tensor<2>,
    sin: Tensor<2>,
}

impl Rope {
    /// Positions `0..seq`; position `p` turns pair `i` by `p * theta^(-2i / head_dim)`.
    /// Frequencies are float32, as in transformers; the angles' sines are exact.
    pub(in crate::model) fn new(seq: usize, head_dim: usize, theta: f64, device: &Device) -> Self {
        let half = head_dim / 2;
        let frequency = |i: usize| (1.0 / theta.powf(2.0 * i as f64 / head_dim as f64)) as f32;
        let angles: Vec<f32> = (0..seq).flat_map(|p| (0..half).map(move |i| p as f32 * frequency(i))).collect();
        let tensor = |f: fn(f32) -> f32| {
            Tensor::from_data(TensorData::new(angles.iter().map(|a| f(*a)).collect::<Vec<f32>>(), [seq, half]), device)
        };
        Self { cos: tensor(f32::cos), sin: tensor(f32::sin) }
    }

    /// `x`: `[batch, seq, heads, head_dim]`.
    pub(in crate::model) fn turn(&self, x: Tensor<4>) -> Tensor<4> {
        kernels::rope(x, self.cos.clone(), self.sin.clone())
    }
}
