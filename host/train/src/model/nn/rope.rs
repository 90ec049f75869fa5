//! Rotary positions (Su et al. 2021), in the half-split order of Hugging Face:
//! component `i` of a head turns with component `i + head_dim / 2`.

use burn::tensor::{Tensor, TensorData};
use retune_tensor::{Device, transfer};

use super::kernels;
use crate::model::Layout;
use crate::model::rotary::{Rotary, frequencies};

/// Cosines and sines of the positions of one batch.
#[derive(Clone, Debug)]
pub(in crate::model) struct Rope {
    /// `[tokens, head_dim / 2]`.
    cos: Tensor<2>,
    sin: Tensor<2>,
}

impl Rope {
    /// For the tokens of `layout` at the positions of their documents. Frequencies and angles are float32, as in
    /// transformers; the angles' sines are exact.
    pub(in crate::model) fn new(layout: &Layout, head_dim: usize, rotary: &Rotary, device: &Device) -> Self {
        let half = head_dim / 2;
        let of_length = |length| frequencies(head_dim, rotary.theta, &rotary.scaling, length);
        let (mut cos, mut sin) =
            (Vec::with_capacity(layout.tokens() * half), Vec::with_capacity(layout.tokens() * half));
        let (mut turns, mut factor) = of_length(0);
        for span in layout.spans() {
            if rotary.depends_on_length() {
                (turns, factor) = of_length(span.len());
            }
            for position in &layout.positions()[span] {
                for turn in &turns {
                    let angle = *position as f32 * turn;
                    cos.push(angle.cos() * factor);
                    sin.push(angle.sin() * factor);
                }
            }
        }
        let tensor = |values| {
            transfer::sent::<f32>(layout.tokens() * half);
            Tensor::from_data(TensorData::new(values, [layout.tokens(), half]), device)
        };
        Self { cos: tensor(cos), sin: tensor(sin) }
    }

    /// `x`: `[tokens, heads * head_dim]`; on the CPU in place, when nobody else holds it.
    pub(in crate::model) fn turn(&self, x: Tensor<2>) -> Tensor<2> {
        kernels::rope(x, self.cos.clone(), self.sin.clone())
    }
}
