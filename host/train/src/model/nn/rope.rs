//! Rotary positions (Su et al. 2021), in the half-split order of Hugging Face:
//! component `i` of a head turns with component `i + head_dim / 2`.

use burn::tensor::{Tensor, TensorData};
use retune_tensor::Device;

use super::kernels;

/// Cosines and sines of the positions of one batch.
#[derive(Clone, Debug)]
pub(in crate::model) struct Rope {
    /// `[tokens, head_dim / 2]`.
    cos: Tensor<2>,
    sin: Tensor<2>,
}

impl Rope {
    /// For tokens at `positions` of their documents; position `p` turns pair `i` by `p * theta^(-2i / head_dim)`.
    /// Frequencies are float32, as in transformers; the angles' sines are exact.
    pub(in crate::model) fn new(positions: &[u32], head_dim: usize, theta: f64, device: &Device) -> Self {
        let half = head_dim / 2;
        let frequency = |i: usize| (1.0 / theta.powf(2.0 * i as f64 / head_dim as f64)) as f32;
        let angles: Vec<f32> =
            positions.iter().flat_map(|p| (0..half).map(move |i| *p as f32 * frequency(i))).collect();
        let tensor = |f: fn(f32) -> f32| {
            Tensor::from_data(
                TensorData::new(angles.iter().map(|a| f(*a)).collect::<Vec<f32>>(), [positions.len(), half]),
                device,
            )
        };
        Self { cos: tensor(f32::cos), sin: tensor(f32::sin) }
    }

    /// `x`: `[tokens, heads * head_dim]`.
    pub(in crate::model) fn turn(&self, x: Tensor<2>, heads: usize) -> Tensor<2> {
        let [tokens, width] = x.dims();
        let x = x.reshape([1, tokens, heads, width / heads]);
        kernels::rope(x, self.cos.clone(), self.sin.clone()).reshape([tokens, width])
    }
}
