//! Rotary positions (Su et al. 2021), in the half-split order of Hugging Face:
//! component `i` of a head turns with component `i + head_dim / 2`. Where a share of each head turns, it is as if
//! that were the head, and the rest stays.

use burn::tensor::{Tensor, TensorData};
use retune_tensor::{Device, transfer};

use super::kernels;
use crate::model::Layout;
use crate::model::rotary::{Rotary, frequencies};

/// Cosines and sines of the positions of one batch.
#[derive(Clone, Debug)]
pub(in crate::model) struct Rope {
    /// `[tokens, pairs]`.
    cos: Tensor<2>,
    sin: Tensor<2>,
    pairs: usize,
    head_dim: usize,
}

impl Rope {
    /// For the tokens of `layout` at the positions of their documents. Frequencies and angles are float32, as in
    /// transformers; the angles' sines are exact.
    pub(in crate::model) fn new(layout: &Layout, head_dim: usize, rotary: &Rotary, device: &Device) -> Self {
        let width = rotary.width(head_dim);
        let half = width.div_ceil(2);
        let of_length = |length| frequencies(width, rotary.theta, &rotary.scaling, length);
        let (mut cos, mut sin) =
            (Vec::with_capacity(layout.tokens() * half), Vec::with_capacity(layout.tokens() * half));
        let (mut turns, mut factor) = of_length(0);
        for span in layout.spans() {
            if rotary.depends_on_length() {
                (turns, factor) = of_length(layout.reach(&span));
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
        Self { cos: tensor(cos), sin: tensor(sin), pairs: half, head_dim }
    }

    /// `x`: `[tokens, heads * head_dim]`; on the CPU in place, when nobody else holds it.
    pub(in crate::model) fn turn(&self, x: Tensor<2>) -> Tensor<2> {
        let turn = |x| kernels::rope(x, self.cos.clone(), self.sin.clone());
        let ([tokens, all], turning) = (x.dims(), 2 * self.pairs);
        if turning == self.head_dim {
            return turn(x);
        }
        let heads = all / self.head_dim;
        let x = x.reshape([tokens, heads, self.head_dim]);
        let turned = turn(x.clone().narrow(2, 0, turning).reshape([tokens, heads * turning]));
        let rest = x.narrow(2, turning, self.head_dim - turning);
        Tensor::cat(vec![turned.reshape([tokens, heads, turning]), rest], 2).reshape([tokens, all])
    }
}
